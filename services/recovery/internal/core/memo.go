package core

// memo remembers the latest answers, between memoSize and twice as many, so that a repeated request gets the same one.
type memo[K comparable, V any] struct {
	young, old map[K]V
}

const memoSize = 20_000

func newMemo[K comparable, V any]() memo[K, V] { return memo[K, V]{young: map[K]V{}} }

func (m *memo[K, V]) get(key K) (V, bool) {
	if value, ok := m.young[key]; ok {
		return value, true
	}
	value, ok := m.old[key]
	return value, ok
}

func (m *memo[K, V]) put(key K, value V) {
	if len(m.young) >= memoSize {
		m.young, m.old = map[K]V{}, m.young
	}
	m.young[key] = value
}

package shop

import "sync"

// keyedMutex lets one caller at a time work on the same key. The zero value is ready.
type keyedMutex struct {
	mu   sync.Mutex
	busy map[string]chan struct{}
}

// lock waits for the key and returns the function that frees it.
func (k *keyedMutex) lock(key string) (unlock func()) {
	for {
		k.mu.Lock()
		if k.busy == nil {
			k.busy = map[string]chan struct{}{}
		}
		held, taken := k.busy[key]
		if !taken {
			mine := make(chan struct{})
			k.busy[key] = mine
			k.mu.Unlock()
			return func() {
				k.mu.Lock()
				delete(k.busy, key)
				k.mu.Unlock()
				close(mine)
			}
		}
		k.mu.Unlock()
		<-held
	}
}

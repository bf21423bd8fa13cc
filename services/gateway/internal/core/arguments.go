package core

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
)

// prepared returns the arguments of an invocation as they are sent: a JSON object, with the idempotency key under the tool's own
// argument unless the arguments give that one already. The bytes of the other arguments stay as they are.
func prepared(inv *Invocation) ([]byte, *Failure) {
	arguments := bytes.TrimSpace(inv.Arguments)
	if len(arguments) == 0 {
		arguments = []byte("{}")
	}
	if arguments[0] != '{' || !json.Valid(arguments) {
		return nil, &Failure{Cause: CauseArguments, Detail: "arguments: not a JSON object; nothing was sent"}
	}
	if inv.IdempotencyArgument == "" || inv.IdempotencyKey == "" {
		return arguments, nil
	}
	var given map[string]json.RawMessage
	if err := json.Unmarshal(arguments, &given); err != nil {
		return nil, &Failure{Cause: CauseArguments, Detail: "arguments: not a JSON object; nothing was sent"}
	}
	if _, ok := given[inv.IdempotencyArgument]; ok {
		return arguments, nil
	}
	with := make([]byte, 0, len(arguments)+len(inv.IdempotencyArgument)+len(inv.IdempotencyKey)+8)
	with = append(with, '{')
	with = append(with, quote(inv.IdempotencyArgument)...)
	with = append(with, ':')
	with = append(with, quote(inv.IdempotencyKey)...)
	if len(given) > 0 {
		with = append(with, ',')
	}
	return append(with, arguments[1:]...), nil
}

// metaOf returns the _meta of an invocation. Every tool server gets it; what a server does not know it ignores.
func metaOf(inv *Invocation) []byte {
	m := metaWriter{buffer: make([]byte, 1, 256)}
	m.buffer[0] = '{'
	m.text("signalbox.dev/idempotency-key", inv.IdempotencyKey)
	if inv.ID.Run != "" {
		m.text("signalbox.dev/operation", inv.ID.Run+"/"+inv.ID.Operation)
		m.raw("signalbox.dev/attempt", strconv.AppendUint(nil, uint64(inv.ID.Attempt), 10))
		m.text("signalbox.dev/run", inv.ID.Run)
	}
	m.text("signalbox.dev/step", inv.StepPath)
	if len(inv.FencingTokens) > 0 {
		// A map of strings always marshals, with its keys in order.
		tokens, _ := json.Marshal(inv.FencingTokens)
		m.raw("signalbox.dev/fencing-tokens", tokens)
	}
	m.text("traceparent", inv.Traceparent)
	if len(m.buffer) == 1 {
		return nil
	}
	return append(m.buffer, '}')
}

type metaWriter struct{ buffer []byte }

func (m *metaWriter) text(key, value string) {
	if value == "" {
		return
	}
	m.key(key)
	if plain(value) {
		m.buffer = append(m.buffer, '"')
		m.buffer = append(m.buffer, value...)
		m.buffer = append(m.buffer, '"')
		return
	}
	m.buffer = append(m.buffer, quote(value)...)
}

func (m *metaWriter) raw(key string, value []byte) {
	m.key(key)
	m.buffer = append(m.buffer, value...)
}

func (m *metaWriter) key(key string) {
	if len(m.buffer) > 1 {
		m.buffer = append(m.buffer, ',')
	}
	m.buffer = append(m.buffer, '"')
	m.buffer = append(m.buffer, key...)
	m.buffer = append(m.buffer, '"', ':')
}

// plain reports whether text stands in JSON as it is, which keys and paths nearly always do.
func plain(text string) bool {
	return strings.IndexFunc(text, func(r rune) bool { return r < 0x20 || r > 0x7e || r == '"' || r == '\\' }) < 0
}

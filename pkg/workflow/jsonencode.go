package workflow

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"
	"unicode/utf8"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"google.golang.org/protobuf/types/known/structpb"
)

// appendJSON writes a value as deterministic JSON: members sorted by name, integers as integers, doubles in their shortest form.
func appendJSON(dst []byte, v any) ([]byte, error) {
	switch x := v.(type) {
	case nil, types.Null:
		return append(dst, "null"...), nil
	case bool:
		return strconv.AppendBool(dst, x), nil
	case types.Bool:
		return strconv.AppendBool(dst, bool(x)), nil
	case int64:
		return strconv.AppendInt(dst, x, 10), nil
	case types.Int:
		return strconv.AppendInt(dst, int64(x), 10), nil
	case types.Uint:
		return strconv.AppendUint(dst, uint64(x), 10), nil
	case float64:
		return appendDouble(dst, x)
	case types.Double:
		return appendDouble(dst, float64(x))
	case string:
		return appendText(dst, x), nil
	case types.String:
		return appendText(dst, string(x)), nil
	case types.Bytes:
		return appendText(dst, base64.StdEncoding.EncodeToString(x)), nil
	case types.Timestamp:
		return appendText(dst, x.Time.UTC().Format(time.RFC3339Nano)), nil
	case types.Duration:
		return appendText(dst, strconv.FormatFloat(x.Seconds(), 'f', -1, 64)+"s"), nil
	case map[string]any:
		return appendObject(dst, x)
	case []any:
		return appendArray(dst, x)
	case *structpb.Struct:
		return appendObject(dst, x.AsMap())
	case ref.Val:
		return appendAggregate(dst, x)
	default:
		return nil, fmt.Errorf("%T has no JSON form", v)
	}
}

func appendObject(dst []byte, m map[string]any) ([]byte, error) {
	dst = append(dst, '{')
	var err error
	for i, name := range sortedKeys(m) {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendText(dst, name), ':')
		if dst, err = appendJSON(dst, m[name]); err != nil {
			return nil, err
		}
	}
	return append(dst, '}'), nil
}

func appendArray(dst []byte, items []any) ([]byte, error) {
	dst = append(dst, '[')
	var err error
	for i, item := range items {
		if i > 0 {
			dst = append(dst, ',')
		}
		if dst, err = appendJSON(dst, item); err != nil {
			return nil, err
		}
	}
	return append(dst, ']'), nil
}

// appendAggregate writes lists and maps that CEL made.
func appendAggregate(dst []byte, v ref.Val) ([]byte, error) {
	switch raw := v.Value().(type) {
	case map[string]any:
		return appendObject(dst, raw)
	case []any:
		return appendArray(dst, raw)
	}
	switch x := v.(type) {
	case *types.Err:
		return nil, x
	case traits.Mapper:
		members := map[string]any{}
		for it := x.Iterator(); it.HasNext() == types.True; {
			key := it.Next()
			name, ok := key.(types.String)
			if !ok {
				return nil, fmt.Errorf("a map with the key %v has no JSON form: keys must be strings", key.Value())
			}
			members[string(name)] = x.Get(key)
		}
		return appendObject(dst, members)
	case traits.Lister:
		var items []any
		for it := x.Iterator(); it.HasNext() == types.True; {
			items = append(items, it.Next())
		}
		return appendArray(dst, items)
	default:
		return nil, fmt.Errorf("a value of type %s has no JSON form", v.Type().TypeName())
	}
}

// appendDouble writes the shortest form that reads back as the same double, as encoding/json does.
func appendDouble(dst []byte, f float64) ([]byte, error) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return nil, errors.New("a number that is not finite has no JSON form")
	}
	if f == math.Trunc(f) && math.Abs(f) < 1<<53 {
		return strconv.AppendInt(dst, int64(f), 10), nil
	}
	b, err := json.Marshal(f)
	return append(dst, b...), err
}

const hexDigits = "0123456789abcdef"

// appendText writes a JSON string. Unlike encoding/json it does not escape for HTML: a tool's argument is no web page.
func appendText(dst []byte, s string) []byte {
	return append(appendTextPart(append(dst, '"'), s), '"')
}

// appendTextPart writes the inside of a JSON string.
func appendTextPart(dst []byte, s string) []byte {
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c < utf8.RuneSelf {
			dst = append(dst, s[start:i]...)
			switch c {
			case '"', '\\':
				dst = append(dst, '\\', c)
			case '\n':
				dst = append(dst, '\\', 'n')
			case '\t':
				dst = append(dst, '\\', 't')
			case '\r':
				dst = append(dst, '\\', 'r')
			default:
				dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
			}
			i++
			start = i
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 {
			dst = append(append(dst, s[start:i]...), "\ufffd"...)
			i += n
			start = i
			continue
		}
		i += n
	}
	return append(dst, s[start:]...)
}

package core

import (
	"strings"
	"testing"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
)

func TestOutputRule(t *testing.T) {
	for name, c := range map[string]struct {
		result, output, message string
		isError                 bool
	}{
		"structured": {
			result: `{"structuredContent":{"b":12345678901234567890,"a":1.0},"content":[{"type":"text","text":"x"}]}`,
			output: `{"b":12345678901234567890,"a":1.0}`,
		},
		"structured scalar":      {result: `{"structuredContent":7,"content":[]}`, output: `7`},
		"structured null":        {result: `{"structuredContent":null,"content":[{"type":"text","text":"x"}]}`, output: `"x"`},
		"text":                   {result: `{"content":[{"type":"text","text":"hello <b>\n"}]}`, output: `"hello <b>\n"`},
		"text that is JSON":      {result: `{"content":[{"type":"text","text":" {\"a\": 1.50} "}]}`, output: `{"a": 1.50}`},
		"text that is a number":  {result: `{"content":[{"type":"text","text":"42"}]}`, output: `42`},
		"text that is no JSON":   {result: `{"content":[{"type":"text","text":"{a: 1}"}]}`, output: `"{a: 1}"`},
		"empty text":             {result: `{"content":[{"type":"text","text":""}]}`, output: `""`},
		"two texts":              {result: `{"content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}`, output: `[{"type":"text","text":"a"},{"type":"text","text":"b"}]`},
		"image":                  {result: `{"content":[{"type":"image","data":"AA==","mimeType":"image/png"}]}`, output: `[{"type":"image","data":"AA==","mimeType":"image/png"}]`},
		"nothing":                {result: `{"content":[]}`, output: `[]`},
		"content left out":       {result: `{}`, output: `[]`},
		"tool error":             {result: `{"isError":true,"content":[{"type":"text","text":"no such order"}]}`, output: `"no such order"`, message: "no such order", isError: true},
		"tool error, structured": {result: `{"isError":true,"structuredContent":{"code":7},"content":[{"type":"text","text":"seven"}]}`, output: `{"code":7}`, message: "seven", isError: true},
		"input required":         {result: `{"resultType":"input_required","inputRequests":{}}`, output: `"` + needsInput + `"`, message: needsInput, isError: true},
	} {
		t.Run(name, func(t *testing.T) {
			got := answerOf(AttemptID{}, []byte(c.result), 1000)
			if got.Status != StatusAnswered || string(got.Output) != c.output || got.Message != c.message || got.IsError != c.isError {
				t.Errorf("got %v %s %q isError=%v", got.Status, got.Output, got.Message, got.IsError)
			}
		})
	}
}

func TestAnswersThatAreNone(t *testing.T) {
	for name, result := range map[string]string{
		"a string": `"ok"`, "a list": `[]`, "content is no list": `{"content":"x"}`,
	} {
		t.Run(name, func(t *testing.T) {
			got := answerOf(AttemptID{}, []byte(result), 1000)
			if got.Status != StatusUnknown || got.ErrorType != unavailable {
				t.Errorf("got %v %v", got.Status, got.ErrorType)
			}
		})
	}
	big := `{"content":[{"type":"text","text":"` + strings.Repeat("x", 2000) + `"}]}`
	got := answerOf(AttemptID{}, []byte(big), 1000)
	if got.Status != StatusUnknown || got.ErrorType != errorsv1.ErrorType_ERROR_TYPE_SCHEMA || !strings.Contains(got.Message, "1000") {
		t.Errorf("an output above the limit gave %+v", got)
	}
}

func TestShorten(t *testing.T) {
	long := strings.Repeat("ä", maxMessage)
	if got := shorten(long); len(got) > maxMessage || !strings.HasSuffix(got, "ä…") {
		t.Errorf("cut to %d bytes ending in %q", len(got), got[len(got)-5:])
	}
	if got := shorten("a\xffb"); got != "a\uFFFDb" {
		t.Errorf("got %q", got)
	}
}

func TestPrepared(t *testing.T) {
	for name, c := range map[string]struct{ arguments, argument, want string }{
		"as they are":       {"{ \"a\" : 1.0 }\n", "", `{ "a" : 1.0 }`},
		"none":              {"", "", "{}"},
		"key into empty":    {" { } ", "key", `{"key":"k-\"1\"" }`},
		"key before others": {`{"a":1}`, "key", `{"key":"k-\"1\"","a":1}`},
		"key given already": {`{"key":"mine"}`, "key", `{"key":"mine"}`},
	} {
		t.Run(name, func(t *testing.T) {
			got, failure := prepared(&Invocation{Arguments: []byte(c.arguments), IdempotencyArgument: c.argument, IdempotencyKey: `k-"1"`})
			if failure != nil || string(got) != c.want {
				t.Errorf("got %s, %+v; wanted %s", got, failure, c.want)
			}
		})
	}
	for _, bad := range []string{"[]", "null", `{"a":}`, `{} {}`, "x"} {
		if _, failure := prepared(&Invocation{Arguments: []byte(bad)}); failure == nil || failure.Written {
			t.Errorf("%s was taken: %+v", bad, failure)
		}
	}
}

func TestMeta(t *testing.T) {
	inv := Invocation{
		ID: AttemptID{Namespace: "default", Run: "r-1", Operation: "7", Attempt: 3}, IdempotencyKey: `r-1/"x"/1`, StepPath: "work/fetch",
		FencingTokens: map[string]string{"b": "5/2", "a": "5/1"}, Traceparent: "00-ab-cd-01",
	}
	want := `{"signalbox.dev/idempotency-key":"r-1/\"x\"/1","signalbox.dev/operation":"r-1/7","signalbox.dev/attempt":3,` +
		`"signalbox.dev/run":"r-1","signalbox.dev/step":"work/fetch","signalbox.dev/fencing-tokens":{"a":"5/1","b":"5/2"},"traceparent":"00-ab-cd-01"}`
	if got := string(metaOf(&inv)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := metaOf(&Invocation{}); got != nil {
		t.Errorf("nothing to say gave %s", got)
	}
}

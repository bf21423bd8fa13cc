package core

import (
	"testing"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
)

const (
	timeout      = errorsv1.ErrorType_ERROR_TYPE_TIMEOUT
	unavailable  = errorsv1.ErrorType_ERROR_TYPE_UNAVAILABLE
	throttled    = errorsv1.ErrorType_ERROR_TYPE_THROTTLED
	invalid      = errorsv1.ErrorType_ERROR_TYPE_INVALID
	unauthorised = errorsv1.ErrorType_ERROR_TYPE_UNAUTHORISED
)

func TestSettle(t *testing.T) {
	http := func(status int) Failure { return Failure{Cause: CauseHTTPStatus, Written: true, HTTPStatus: status} }
	rpc := func(code int64) Failure { return Failure{Cause: CauseRPCError, Written: true, Code: code} }
	for name, c := range map[string]struct {
		failure   Failure
		status    Status
		errorType errorsv1.ErrorType
	}{
		"nothing listens":                {Failure{Cause: CauseNoConnection}, StatusNotSent, unavailable},
		"session refused: 401":           {Failure{Cause: CauseNoConnection, HTTPStatus: 401}, StatusNotSent, unauthorised},
		"session refused: 429":           {Failure{Cause: CauseNoConnection, HTTPStatus: 429}, StatusNotSent, throttled},
		"session refused: 404":           {Failure{Cause: CauseNoConnection, HTTPStatus: 404}, StatusNotSent, unavailable},
		"session lost":                   {Failure{Cause: CauseSessionLost, Written: true, HTTPStatus: 404}, StatusNotSent, unavailable},
		"bad arguments":                  {Failure{Cause: CauseArguments}, StatusNotSent, invalid},
		"timeout before writing":         {Failure{Cause: CauseTimeout}, StatusNotSent, timeout},
		"timeout after writing":          {Failure{Cause: CauseTimeout, Written: true}, StatusUnknown, timeout},
		"broken before writing":          {Failure{Cause: CauseBroken}, StatusNotSent, unavailable},
		"broken after writing":           {Failure{Cause: CauseBroken, Written: true}, StatusUnknown, unavailable},
		"malformed answer":               {Failure{Cause: CauseMalformed, Written: true}, StatusUnknown, unavailable},
		"307":                            {http(307), StatusNotSent, invalid},
		"400":                            {http(400), StatusNotSent, invalid},
		"401":                            {http(401), StatusNotSent, unauthorised},
		"403":                            {http(403), StatusNotSent, unauthorised},
		"404":                            {http(404), StatusNotSent, invalid},
		"405":                            {http(405), StatusNotSent, invalid},
		"408":                            {http(408), StatusUnknown, timeout},
		"409":                            {http(409), StatusUnknown, unavailable},
		"413":                            {http(413), StatusNotSent, invalid},
		"415":                            {http(415), StatusNotSent, invalid},
		"422":                            {http(422), StatusNotSent, invalid},
		"429":                            {http(429), StatusNotSent, throttled},
		"500":                            {http(500), StatusUnknown, unavailable},
		"501":                            {http(501), StatusUnknown, unavailable},
		"502":                            {http(502), StatusUnknown, unavailable},
		"503":                            {http(503), StatusUnknown, unavailable},
		"504":                            {http(504), StatusUnknown, timeout},
		"parse error":                    {rpc(-32700), StatusNotSent, invalid},
		"invalid request":                {rpc(-32600), StatusNotSent, invalid},
		"method not found":               {rpc(-32601), StatusNotSent, invalid},
		"invalid params":                 {rpc(-32602), StatusNotSent, invalid},
		"internal error":                 {rpc(-32603), StatusUnknown, unavailable},
		"server's own code":              {rpc(-32000), StatusUnknown, unavailable},
		"positive code":                  {rpc(42), StatusUnknown, unavailable},
		"unsupported version":            {rpc(-32022), StatusNotSent, unavailable},
		"headers do not match":           {rpc(-32020), StatusNotSent, invalid},
		"sign in first":                  {rpc(-32042), StatusNotSent, unauthorised},
		"code zero, as broken SDKs give": {rpc(0), StatusUnknown, unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			status, errorType := settle(&c.failure)
			if status != c.status || errorType != c.errorType {
				t.Errorf("got %v %v, wanted %v %v", status, errorType, c.status, c.errorType)
			}
		})
	}
}

func TestServerEndedIsSaidOnlyOfUnknownOutcomes(t *testing.T) {
	f := &Failure{Cause: CauseBroken, Written: true, ServerEnded: true}
	if r := resultOf(AttemptID{}, f); !r.ServerEnded {
		t.Error("a lost process was not reported")
	}
	f.Written = false
	if r := resultOf(AttemptID{}, f); r.ServerEnded {
		t.Error("reported of an attempt that was not sent")
	}
}

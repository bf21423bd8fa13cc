package rpc

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/signalbox-dev/signalbox/services/state/internal/core"
)

// pagedRequest is a request for a page of a list.
type pagedRequest interface {
	proto.Message
	GetPageSize() int32
	GetPageToken() string
}

// stampBytes is how much of the query's digest a page token begins with.
const stampBytes = 8

// pageOf reads the page that a request asks for. Its token must be of the same query: all fields but those of the page are equal.
func pageOf(req pagedRequest, defaultSize int32) (core.Page, error) {
	page := core.Page{Limit: int(cmp.Or(req.GetPageSize(), defaultSize))}
	if page.Limit < 0 {
		return page, core.Invalid("page_size", "%d is below 0; leave it out for %d", page.Limit, defaultSize)
	}
	if req.GetPageToken() == "" {
		return page, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(req.GetPageToken())
	if err != nil || len(raw) <= stampBytes || !bytes.Equal(raw[:stampBytes], stamp(req)) {
		r := core.CursorInvalid()
		r.Field = "page_token"
		r.Message = "page_token: not one that this call gave out for the same query; leave it empty to begin at the first page"
		return page, r
	}
	page.Cursor = string(raw[stampBytes:])
	return page, nil
}

// tokenOf makes the token of the next page of the same query; empty when there is none.
func tokenOf(req pagedRequest, cursor string) string {
	if cursor == "" {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(append(stamp(req), cursor...))
}

// stamp tells queries apart.
func stamp(req pagedRequest) []byte {
	query := proto.Clone(req).ProtoReflect()
	fields := query.Descriptor().Fields()
	for _, name := range []protoreflect.Name{"page_size", "page_token"} {
		query.Clear(fields.ByName(name))
	}
	data, err := proto.MarshalOptions{Deterministic: true}.Marshal(query.Interface())
	if err != nil {
		return nil
	}
	sum := sha256.Sum256(append([]byte(query.Descriptor().FullName()), data...))
	return sum[:stampBytes]
}

// namespaceOf is the namespace that an unset one means.
func namespaceOf(name string) string { return cmp.Or(name, core.DefaultNamespace) }

// anyNamespaceOf is the same where "*" asks for all, which core knows as the empty one.
func anyNamespaceOf(name string) string {
	if name == "*" {
		return ""
	}
	return namespaceOf(name)
}

// oneNamespaceOf is the same where all of them cannot be asked for, and to answer as if "*" had nothing would mislead.
func oneNamespaceOf(name string) (string, error) {
	if name == "*" {
		return "", core.Invalid("namespace", "all namespaces cannot be listed at once here; name one")
	}
	return namespaceOf(name), nil
}

// timeOf turns an unset timestamp into the zero time.
func timeOf(t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.AsTime()
}

func timeProto(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

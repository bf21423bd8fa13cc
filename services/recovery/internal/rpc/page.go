package rpc

import (
	"encoding/base64"
	"encoding/json"

	recoveryv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/recovery/v1"
	"github.com/signalbox-dev/signalbox/services/recovery/internal/core"
)

const defaultPage = 100

// pageToken names the last breaker of a page and the choice it was made for.
type pageToken struct {
	Last         core.Ref
	Server       string
	OnlyTroubled bool
}

// pageOf cuts one page out of the views, which are in order.
func pageOf(views []core.View, chosen func(core.View) bool, in *recoveryv1.ListBreakersRequest) ([]core.View, string, error) {
	token := pageToken{Server: in.GetServer(), OnlyTroubled: in.GetOnlyTroubled()}
	if in.GetPageToken() != "" {
		given, err := decodeToken(in.GetPageToken())
		if err != nil || given.Server != token.Server || given.OnlyTroubled != token.OnlyTroubled {
			return nil, "", errPageToken
		}
		token = given
	}
	size := int(in.GetPageSize())
	if size <= 0 {
		size = defaultPage
	}
	var page []core.View
	for _, view := range views {
		if !chosen(view) || (in.GetPageToken() != "" && view.Ref.Compare(token.Last) <= 0) {
			continue
		}
		if len(page) == size {
			token.Last = page[size-1].Ref
			next, err := encodeToken(token)
			return page, next, err
		}
		page = append(page, view)
	}
	return page, "", nil
}

func encodeToken(token pageToken) (string, error) {
	raw, err := json.Marshal(token)
	return base64.RawURLEncoding.EncodeToString(raw), err
}

func decodeToken(text string) (pageToken, error) {
	var token pageToken
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err == nil {
		err = json.Unmarshal(raw, &token)
	}
	return token, err
}

package app

import (
	"encoding/base64"
	"sort"
	"strconv"

	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/gateway/api"
)

// Page chooses a part of a collection.
type Page struct {
	Limit    int    // most items; 0: MaxPage
	Continue string // of the page before
}

// MaxPage is how many items one page holds at most.
const MaxPage = 5000

func (p Page) limit() (int, error) {
	if p.Limit < 0 || p.Limit > MaxPage {
		return 0, spec.Errors{{Field: "limit", Value: strconv.Itoa(p.Limit), Want: "1 to " + strconv.Itoa(MaxPage)}}
	}
	if p.Limit == 0 {
		return MaxPage, nil
	}
	return p.Limit, nil
}

// after is the key that the page before ended with.
func (p Page) after() (string, error) {
	key, err := base64.RawURLEncoding.DecodeString(p.Continue)
	if err != nil {
		return "", spec.Errors{{Field: "continue", Value: p.Continue, Want: "the value of continue in the page before"}}
	}
	return string(key), nil
}

func continueAfter(key string) string { return base64.RawURLEncoding.EncodeToString([]byte(key)) }

// paginate cuts a page out of a whole collection that is in the order of its keys. It goes by key and not by place, so what comes and goes between
// two pages makes no other item appear twice or not at all.
func paginate[T any](all []T, page Page, sequence uint64, key func(T) string) (api.List[T], error) {
	limit, err := page.limit()
	if err != nil {
		return api.List[T]{}, err
	}
	after, err := page.after()
	if err != nil {
		return api.List[T]{}, err
	}
	if after != "" {
		start := sort.Search(len(all), func(i int) bool { return key(all[i]) > after })
		all = all[start:]
	}
	list := api.List[T]{Items: all, Sequence: sequence}
	if len(all) > limit {
		list.Items = all[:limit]
		list.Continue = continueAfter(key(all[limit-1]))
	}
	if list.Items == nil {
		list.Items = []T{} // an empty list is [] in JSON, never null
	}
	return list, nil
}

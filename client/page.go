package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/manifest"
)

const (
	// maxEmptyPages is the maximum number of consecutive empty pages.
	maxEmptyPages = 256
	// maxElements is the maximum number of elements of a page. A registry without pagination sends
	// all elements in one page.
	maxElements = 100_000
)

var errPages = errors.New("client: the pages of the list do not end")

// list describes one list of the registry.
type list struct {
	path     string
	key      string          // the key of the array in the JSON object of a page
	notFound *registry.Error // the error for status 404
	index    bool            // whether a page is an image index
	bounded  bool            // whether Options.MaxListSize bounds all pages together
}

// pages reads the pages of a list in order and calls each with the elements of each page. A page is
// read completely before the call, so that no connection stays open while the caller works. Other
// members of a page count towards Options.MaxListSize as the elements do. So do empty pages that
// precede a page with elements.
func pages[T any](ctx context.Context, c *Client, l list, query url.Values, decode func(*json.Decoder) (T, error),
	each func([]T) error) error {
	u, empty, left, foreign := c.url(l.path, query), 0, c.opts.MaxListSize, false
	for {
		r := &request{method: http.MethodGet, url: u, foreign: foreign}
		res, err := c.expect(ctx, r, l.notFound, http.StatusOK)
		if err != nil {
			return err
		}
		foreign = r.foreign // if true, another host has chosen the next page
		body := limit(ctx, r, res, left)
		page, err := elements(ctx, body, l, decode)
		drop(res)
		if err != nil {
			return fmt.Errorf("client: %s: %w", r, err)
		}
		if err := each(page); err != nil {
			return err
		}
		if left = body.left; len(page) > 0 && !l.bounded {
			left = c.opts.MaxListSize
		}
		next := nextPage(res.Header)
		if next == "" {
			return nil
		}
		if empty++; len(page) > 0 {
			empty = 0
		}
		to, err := u.Parse(next)
		switch {
		case err != nil, !c.ours(to), to.Path != u.Path:
			return fmt.Errorf("client: %s: the link to the next page leads elsewhere", r)
		case *to == *u, empty > maxEmptyPages:
			return errPages
		}
		u = to
	}
}

// elements reads a JSON object from r and returns the elements of the array under the key of l. It
// returns none if the key is missing or the value is null. It decodes the elements one by one, so
// that nothing after the first invalid element is read.
//
// Errors: ErrContent if two parsers could find different elements; ErrTooLarge for too many
// elements; that of ctx; those of decode and r.
func elements[T any](ctx context.Context, r io.Reader, l list, decode func(*json.Decoder) (T, error)) (all []T,
	err error) {
	dec, p := json.NewDecoder(r), pageObject{list: l}
	if err := expectDelim(dec, '{'); err != nil {
		return nil, err
	}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return nil, cut(err)
		}
		if ours, err := p.member(dec, name); err != nil {
			return nil, cut(err)
		} else if !ours {
			continue
		}
		value, err := dec.Token()
		switch {
		case err != nil:
			return nil, cut(err)
		case value == nil:
			continue
		case value != json.Delim('['):
			return nil, errJSON
		}
		for dec.More() {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			v, err := decode(dec)
			if err != nil {
				return nil, cut(err)
			}
			if all = append(all, v); len(all) > maxElements {
				return nil, ErrTooLarge
			}
		}
		if err := expectDelim(dec, ']'); err != nil {
			return nil, err
		}
	}
	if err := expectDelim(dec, '}'); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.Join(errJSON, err)
	}
	return all, p.check()
}

// maxRest is the maximum size, in bytes, of the members of an index other than its elements.
const maxRest = 1 << 20

// pageObject checks the members of the JSON object of a page while they are read: no key that the
// client uses may occur twice or in another case.
type pageObject struct {
	list
	seen bool   // whether the key of the list has been read
	rest []byte // the other members of an index, each preceded by a comma
}

// member reports whether token is the key of the list. If not, it reads the value of the key.
func (p *pageObject) member(dec *json.Decoder, token json.Token) (bool, error) {
	key, _ := token.(string) // the decoder accepts only strings as keys
	switch {
	case key == p.key && !p.seen:
		p.seen = true
		return true, nil
	case strings.EqualFold(key, p.key):
		return false, errJSON
	case !p.index || !manifest.IsMember(key):
		return false, dec.Decode(&ignored{})
	}
	var value json.RawMessage
	if err := dec.Decode(&value); err != nil {
		return false, err
	}
	if len(p.rest)+len(value) > maxRest {
		return false, ErrTooLarge
	}
	name, err := json.Marshal(key)
	p.rest = slices.Concat(p.rest, []byte{','}, name, []byte{':'}, value)
	return false, err
}

// check checks the members of an index other than its elements.
func (p *pageObject) check() error {
	if !p.index {
		return nil
	}
	index := append([]byte(`{"manifests":[]`), p.rest...)
	if _, err := manifest.Inspect(ocispec.MediaTypeImageIndex, append(index, '}')); err != nil {
		return fmt.Errorf("%w: %w", ErrContent, err)
	}
	return nil
}

var errJSON = fmt.Errorf("%w: malformed list", ErrContent)

// ignored discards a JSON value.
type ignored struct{}

// UnmarshalJSON implements [json.Unmarshaler].
func (*ignored) UnmarshalJSON([]byte) error { return nil }

// expectDelim reads the delimiter want.
//
// Errors: ErrContent for another token; io.ErrUnexpectedEOF; those of the reader.
func expectDelim(dec *json.Decoder, want json.Delim) error {
	got, err := dec.Token()
	switch {
	case err != nil:
		return cut(err)
	case got != want:
		return errJSON
	}
	return nil
}

// cut maps an error of a decoder: malformed JSON becomes ErrContent, an early end becomes
// io.ErrUnexpectedEOF, and other errors stay as they are.
func cut(err error) error {
	var syntax *json.SyntaxError
	var mistyped *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax), errors.As(err, &mistyped):
		return fmt.Errorf("%w: %w", ErrContent, err)
	case errors.Is(err, io.EOF):
		return io.ErrUnexpectedEOF
	}
	return err
}

// nextPage returns the target of the link to the next page (RFC 8288), or "" if there is none.
func nextPage(h http.Header) string {
	for _, value := range h.Values("Link") {
		for {
			_, rest, found := strings.Cut(value, "<")
			target, params, ok := strings.Cut(rest, ">")
			if !found || !ok {
				break
			}
			params, value, _ = strings.Cut(params, ",")
			for param := range strings.SplitSeq(params, ";") {
				key, rel, _ := strings.Cut(strings.TrimSpace(param), "=")
				if strings.EqualFold(key, "rel") && slices.Contains(strings.Fields(strings.Trim(rel, `"`)), "next") {
					return target
				}
			}
		}
	}
	return ""
}

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
	// maxEmptyPages is how many pages in a row may be empty.
	maxEmptyPages = 256
	// maxElements is how many elements a page has at most. A registry that knows no pages sends all
	// at once.
	maxElements = 100_000
)

var errPages = errors.New("client: the pages of a list of the registry have no end")

// list is one list of the registry.
type list struct {
	path     string
	key      string          // of the array in the JSON object that is a page
	notFound *registry.Error // if there is no such list
	index    bool            // a page is an image index
	bounded  bool            // Options.MaxListSize is for all pages together
}

// pages gets the pages of a list one after the other, and calls each with each, once it has arrived
// as a whole: nobody holds a connection while the caller does something else. Whatever else is in a
// page counts towards Options.MaxListSize as the elements do, and so do the empty pages before a
// page that has elements.
func pages[T any](ctx context.Context, c *Client, l list, query url.Values, decode func(*json.Decoder) (T, error),
	each func([]T) error) error {
	u, empty, left, foreign := c.url(l.path, query), 0, c.opts.MaxListSize, false
	for {
		r := &request{method: http.MethodGet, url: u, foreign: foreign}
		res, err := c.expect(ctx, r, l.notFound, http.StatusOK)
		if err != nil {
			return err
		}
		foreign = r.foreign // then another host has chosen the next page
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
			return fmt.Errorf("client: %s: the next page is not of the list", r)
		case *to == *u, empty > maxEmptyPages:
			return errPages
		}
		u = to
	}
}

// elements returns the elements of the array under the key of l in the JSON object that r holds;
// none if there is no such key or it is null. They are decoded one by one, so that nothing is read
// after the first that is not as it should be.
//
// Errors: ErrContent if two readers could find different elements; ErrTooLarge if there are too
// many; that of ctx; those of decode and r.
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

// maxRest is how many bytes the members of an index besides its elements have at most.
const maxRest = 1 << 20

// pageObject holds the object that is a page to its rules while its members are read: no key that
// the client looks for occurs twice, or in another case.
type pageObject struct {
	list
	seen bool   // the key of the list
	rest []byte // the other members of an index, with a comma before each
}

// member reads the value under a key, unless that is the key of the list, and reports whether it
// is.
func (p *pageObject) member(dec *json.Decoder, token json.Token) (bool, error) {
	key, _ := token.(string) // the decoder takes nothing else
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

// check checks the members of an index besides its elements.
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

var errJSON = fmt.Errorf("%w: not the JSON of a list", ErrContent)

// ignored is a JSON value that is of no interest, and not held.
type ignored struct{}

// UnmarshalJSON implements [json.Unmarshaler].
func (*ignored) UnmarshalJSON([]byte) error { return nil }

// expectDelim reads a delimiter.
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

// cut is the error of a decoder that has not read all it wanted: ErrContent if what it read is not
// the JSON that it must be.
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

// nextPage is the URL of the link to the next page (RFC 8288), "" if there is none.
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

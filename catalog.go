package registry

import (
	"cmp"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"iter"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/reference"
)

// What a request for a page of the catalogue looks through at most, however little of it the caller may see. Then the page ends, and its
// Link goes on from there.
const (
	maxScanned  = 1 << 16
	maxScanTime = 500 * time.Millisecond
)

// scanHint is how many names are asked for at a time that are to be filtered.
const scanHint = 1000

// scanned is a repository that was looked at.
type scanned struct {
	name    string
	visible bool // the caller may pull from it
}

// scan yields the repositories of the backend and whether the caller may pull from them. Those below no prefix that the Authorizer
// names are left out.
func (g *guard) scan(ctx context.Context, opts *ListOptions) iter.Seq2[scanned, error] {
	var o ListOptions
	if opts != nil {
		o = *opts
	}
	return func(yield func(scanned, error) bool) {
		if g.r.opts.Authorizer == nil {
			for name, err := range g.r.backend.Repositories(ctx, &o) {
				if !yield(scanned{name, true}, err) || err != nil {
					return
				}
			}
			return
		}
		o.PageHint = max(o.PageHint, scanHint)
		after := o.After
		for _, prefix := range outermost(auth.Prefixes(ctx, g.r.opts.Authorizer, g.identity)) {
			if after > prefix && !strings.HasPrefix(after, prefix) {
				continue
			}
			o.After = max(after, beforePrefix(prefix))
			for name, err := range g.r.backend.Repositories(ctx, &o) {
				s, within := scanned{name: name}, strings.HasPrefix(name, prefix)
				if err == nil && !within && name > prefix {
					break
				}
				if err == nil && within {
					s.visible, err = g.sees(ctx, name)
				}
				if !yield(s, err) || err != nil {
					return
				}
				after = name
			}
		}
	}
}

// sees reports whether the caller may pull from a repository. Nobody is told that it was asked.
func (g *guard) sees(ctx context.Context, name string) (bool, error) {
	err := g.r.opts.Authorizer.Authorize(ctx, g.identity, (&Op{Kind: OpTags, Repository: name}).Access())
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, auth.ErrDenied), errors.Is(err, auth.ErrScope):
		return false, nil
	}
	return false, authorizeFailed(err)
}

// maxPrefixes is how many prefixes are looked below one by one.
const maxPrefixes = 64

// outermost sorts prefixes and leaves out those within another. Of too many it makes the one that they have in common.
func outermost(prefixes []string) []string {
	sorted := slices.Sorted(slices.Values(prefixes))
	var kept []string
	for _, p := range sorted {
		if n := len(kept); n == 0 || !strings.HasPrefix(p, kept[n-1]) {
			kept = append(kept, p)
		}
	}
	if len(kept) > maxPrefixes {
		first, last, n := kept[0], kept[len(kept)-1], 0
		for n < min(len(first), len(last)) && first[n] == last[n] {
			n++
		}
		kept = []string{first[:n]}
	}
	return kept
}

// nameBytes are the characters of names, in order.
const nameBytes = "-./0123456789_abcdefghijklmnopqrstuvwxyz"

// beforePrefix is a name less than all that begin with prefix, as close to them as can be; "" if there is none. Some backends want a name here
// that a repository could have.
func beforePrefix(prefix string) string {
	for prefix != "" {
		head, last := prefix[:len(prefix)-1], strings.IndexByte(nameBytes, prefix[len(prefix)-1])
		name := head // of what is longer, nothing comes before what goes on with the least of the characters
		if last > 0 {
			name += nameBytes[last-1:last] + strings.Repeat("z", max(0, reference.MaxNameLength-len(prefix)))
		}
		if last >= 0 && reference.CheckName(name) == nil {
			return name
		}
		prefix = head
	}
	return ""
}

func (c *call) listRepositories() error {
	n, err := countParam(c.query, c.r.opts.PageSize)
	if err != nil {
		return err
	}
	last, err := lastParam(c.query, ErrNameInvalid, func(s string) error {
		if strings.HasPrefix(s, cursorMark) {
			return nil
		}
		return reference.CheckName(s)
	})
	if err == nil && strings.HasPrefix(last, cursorMark) {
		last, err = c.r.cursors.open(last, c.backend.identity.Name)
	}
	if err != nil {
		return err
	}
	names, next := []string{}, ""
	looked, started := 0, time.Now()
	for s, err := range c.backend.scan(c.req.Context(), &ListOptions{After: last, PageHint: n + 1}) {
		if err != nil {
			return err
		}
		if s.visible {
			if len(names) == n {
				if n > 0 {
					next = names[n-1]
				}
				break
			}
			names = append(names, s.name)
		}
		if looked++; c.r.opts.Authorizer != nil && (looked >= maxScanned || looked%64 == 0 && time.Since(started) > maxScanTime) {
			if next = s.name; !s.visible {
				next = c.r.cursors.seal(s.name, c.backend.identity.Name)
			}
			break
		}
	}
	if next != "" && n > 0 {
		c.linkNext(url.Values{"n": {strconv.Itoa(n)}, "last": {next}})
	}
	return c.writeList(struct {
		Repositories []string `json:"repositories"`
	}{names})
}

// cursors hide a name in the link to the next page: the place where a page ended may be a repository that the caller does not know of.
type cursors struct{ aead cipher.AEAD }

// cursorMark begins a cursor, and no name.
const cursorMark = "~"

// newCursors makes cursors that others with the same secret can read.
func newCursors(secret []byte) (cursors, error) {
	key := sha256.Sum256(append([]byte("registry catalogue cursor\x00"), secret...))
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return cursors{}, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	return cursors{aead}, err
}

// seal returns the cursor behind name, for one caller.
func (c cursors) seal(name, caller string) string {
	// Names of one length, so that the cursor does not tell it.
	padded := name + strings.Repeat("\x00", reference.MaxNameLength-min(len(name), reference.MaxNameLength))
	return cursorMark + base64.RawURLEncoding.EncodeToString(c.aead.Seal(nil, nil, []byte(padded), []byte(caller)))
}

// open returns the name of a cursor.
//
// Errors: ErrNameInvalid.
func (c cursors) open(cursor, caller string) (string, error) {
	b, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(cursor, cursorMark))
	if err == nil && len(b) < c.aead.Overhead() {
		err = errors.New("registry: too short")
	}
	if err == nil {
		b, err = c.aead.Open(nil, nil, b, []byte(caller))
	}
	name := strings.TrimRight(string(b), "\x00")
	if err = cmp.Or(err, reference.CheckName(name)); err != nil {
		return "", ErrNameInvalid.WithMessage("the parameter last: not one of this registry").WithCause(err)
	}
	return name, nil
}

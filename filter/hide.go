package filter

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry"
)

// hiding takes the prefix of [Sub] out of errors. The texts of a Backend may be anything, such as
// those of another registry.
type hiding struct{ prefix string }

func (h hiding) intercept(ctx context.Context, op *registry.Op, next func(context.Context) error) error {
	return h.error(next(ctx), strings.TrimPrefix(op.Repository, h.prefix+"/"))
}

// error returns err, or if a client would read the prefix in it, an error of the same kind with the
// kind's own message and no detail. A name that is not known is that of the repository here.
func (h hiding) error(err error, repo string) error {
	var e *registry.Error
	switch {
	case !errors.As(err, &e):
		return err // nobody reads it but the host
	case repo != "" && errors.Is(e, registry.ErrNameUnknown):
		return e.WithMessage(e.Sentinel().Message()).WithDetail(map[string]string{"name": repo}).WithCause(err)
	case e.Message() != e.Sentinel().Message() && h.in(e.Message()) || h.in(text(e.Detail())):
		return e.WithMessage(e.Sentinel().Message()).WithDetail(nil).WithCause(err)
	}
	return err
}

// in reports whether the prefix is in a text, and not only as a part of a longer word.
func (h hiding) in(s string) bool {
	s = strings.ReplaceAll(strings.ToLower(s), "%2f", "/")
	word := func(i int) bool {
		return i >= 0 && i < len(s) && (s[i] >= 'a' && s[i] <= 'z' || s[i] >= '0' && s[i] <= '9')
	}
	for from := 0; ; from++ {
		i := strings.Index(s[from:], h.prefix)
		if i < 0 {
			return false
		}
		from += i
		if !word(from-1) && !word(from+len(h.prefix)) {
			return true
		}
	}
}

// text is a detail as JSON, without escapes that are needless; "" of digests, which are no names.
func text(detail any) string {
	switch detail.(type) {
	case nil, []digest.Digest:
		return ""
	}
	b, err := json.Marshal(detail)
	if err != nil {
		return fmt.Sprint(detail)
	}
	var v any
	if json.Unmarshal(b, &v) == nil {
		if plain, err := json.Marshal(v); err == nil {
			b = plain
		}
	}
	return string(b)
}

// body returns b with the prefix hidden in what its Read fails with. One that is read straight from
// its file is left as it is: no other registry speaks from it.
func (h hiding) body(b io.ReadSeekCloser) io.ReadSeekCloser {
	if _, ok := b.(registry.FileSource); ok {
		return b
	}
	return &hidingBody{ReadSeekCloser: b, hiding: h}
}

type hidingBody struct {
	io.ReadSeekCloser
	hiding hiding
}

// Read implements [io.Reader].
func (b *hidingBody) Read(p []byte) (int, error) {
	n, err := b.ReadSeekCloser.Read(p)
	if err != nil {
		err = b.hiding.error(err, "")
	}
	return n, err
}

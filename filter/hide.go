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

// hiding removes the prefix of [Sub] from errors. Error texts can contain anything, such as the
// text of an error from another registry.
type hiding struct{ prefix string }

func (h hiding) intercept(ctx context.Context, op *registry.Op, next func(context.Context) error) error {
	return h.error(next(ctx), strings.TrimPrefix(op.Repository, h.prefix+"/"))
}

// error returns err if a client cannot see the prefix in it. Otherwise it returns an error of the
// same kind with the default message and no detail. For an unknown name, the detail names repo,
// which is the name without the prefix.
func (h hiding) error(err error, repo string) error {
	var e *registry.Error
	switch {
	case !errors.As(err, &e):
		return err // such an error reaches only the host's log
	case repo != "" && errors.Is(e, registry.ErrNameUnknown):
		return e.WithMessage(e.Sentinel().Message()).WithDetail(map[string]string{"name": repo}).WithCause(err)
	case e.Message() != e.Sentinel().Message() && h.in(e.Message()) || h.in(text(e.Detail())):
		return e.WithMessage(e.Sentinel().Message()).WithDetail(nil).WithCause(err)
	}
	return err
}

// in reports whether s contains the prefix other than as part of a longer word.
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

// text returns detail as JSON without needless escapes. It returns "" for digests, which contain no
// names.
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

// body returns b with the prefix removed from the errors of Read. A body that is read directly from
// a file stays as it is: its errors come from this process, not from another registry.
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

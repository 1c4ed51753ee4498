package registry

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/registrykit/registry/auth"
)

// WarnStale is the code of a warning that a response was not confirmed by its source: "110 Response
// is Stale" of RFC 7234, section 5.5.1.
const WarnStale = 110

// Limits of the warnings of one response. The distribution spec, section "Warnings", allows 4096
// bytes.
const (
	maxWarnings    = 5
	maxWarningText = 200 // bytes, before quotes are escaped
)

// Warn adds a Warning header to the response of the request that ctx belongs to. A Backend calls it
// before it returns. text is one line of at most 200 bytes; it must be fit for the client to see.
// Without a request, as in Go calls, Warn does nothing.
//
// ctx is the context that an Authorizer, an [Interceptor] or the Backend receives, or one derived
// from it. code has three digits. Bytes of text other than printable ASCII are replaced by "?", and
// the rest of a longer text is dropped. A response has at most five warnings, and each only once;
// Warn does nothing for further ones, and after the response has begun. Warn may be called by many
// goroutines at once.
func Warn(ctx context.Context, code int, text string) {
	if r, ok := ctx.Value(requestKey{}).(*requestContext); ok && 100 <= code && code <= 999 {
		r.warn(strconv.Itoa(code) + ` - "` + warningText(text) + `"`)
	}
}

// warningText returns text as the content of a quoted string (RFC 9110, section 5.6.4).
func warningText(text string) string {
	var b strings.Builder
	for i := range min(len(text), maxWarningText) {
		switch c := text[i]; {
		case c < ' ' || c > '~':
			b.WriteByte('?')
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			fallthrough
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// requestContext is the context of a request below the handler. It is a part of the call, and not a
// value in the context of the request, so that a request without warnings does not pay for it. The
// same holds for the identity of the caller.
type requestContext struct {
	context.Context
	identity auth.Identity // of the caller; it does not change once the request is authenticated

	mu       sync.Mutex
	warnings []string
	began    bool // the header of the response has been sent
}

// requestKey is the key of the requestContext in the contexts that are derived from it.
type requestKey struct{}

// Value implements [context.Context].
func (r *requestContext) Value(key any) any {
	switch key {
	case requestKey{}:
		return r
	case identityKey{}:
		return r.identity
	}
	return r.Context.Value(key)
}

// warn adds a Warning header.
func (r *requestContext) warn(value string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.began && len(r.warnings) < maxWarnings && !slices.Contains(r.warnings, value) {
		r.warnings = append(r.warnings, value)
	}
}

// begin returns the warnings for the response, whose header is about to be sent.
func (r *requestContext) begin() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.began {
		return nil
	}
	r.began = true
	return r.warnings
}

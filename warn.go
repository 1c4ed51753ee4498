package registry

import "context"

// WarnStale is the code of a warning that a response was not confirmed by its source: "110 Response
// is Stale" of RFC 7234, section 5.5.1.
const WarnStale = 110

// Warn adds a Warning header to the response of the request that ctx belongs to. A Backend calls it
// before it returns. text is one line of at most 200 bytes; it must be fit for the client to see.
// Without a request, as in Go calls, Warn does nothing.
func Warn(ctx context.Context, code int, text string) {}

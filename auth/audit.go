package auth

import "context"

// Decision is one answer to the question whether a caller may do something. It has no credentials
// in it, and nothing of the request that could be one.
type Decision struct {
	// Identity is who asked; the zero Identity if nobody was authenticated.
	Identity Identity
	// Accesses is what was asked for; nil if the request ended because its credentials are wrong.
	Accesses []Access
	// Allowed is the answer: all of Accesses, or not.
	Allowed bool
	// Rule is what decided, in the words of the Authorizer; "" if it does not say.
	Rule string
	// Err is why the answer is no; nil if it is yes.
	Err error
	// Method and Path are those of the HTTP request, Path without the id of an upload; "" for a
	// call in this process.
	Method, Path string
	// RemoteAddr is the address of the peer of the connection; "" for a call in this process.
	RemoteAddr string
	// UserAgent is the User-Agent header.
	UserAgent string
}

// AuditFunc is told of each decision before it takes effect, by many goroutines at once. It should
// return quickly.
type AuditFunc func(ctx context.Context, d Decision)

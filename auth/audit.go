package auth

import "context"

// Decision is a record of one decision whether a caller may do something, for an audit log. It
// contains no credentials, and no part of the request that could be one.
type Decision struct {
	// Identity is the caller. It is the zero Identity if the caller was not authenticated.
	Identity Identity
	// Accesses are the permissions that the request needs. They are nil if the request ended
	// because of wrong credentials.
	Accesses []Access
	// Allowed reports whether all of Accesses are allowed.
	Allowed bool
	// Rule is the rule that decided, as the Authorizer describes it. It is "" if the Authorizer is
	// no [Explainer].
	Rule string
	// Err is the reason of a refusal. It is nil if Allowed.
	Err error
	// Method and Path are those of the HTTP request. Path has no upload id. Both are "" for a call
	// from Go code.
	Method, Path string
	// RemoteAddr is the address of the peer of the connection, or of the client if the host uses
	// middleware.Forwarded. It is "" for a call from Go code.
	RemoteAddr string
	// UserAgent is the User-Agent header.
	UserAgent string
}

// AuditFunc receives each decision before it takes effect. Many goroutines call it at the same
// time. It should return quickly, because the request waits for it.
type AuditFunc func(ctx context.Context, d Decision)

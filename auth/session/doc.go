// Package session keeps people signed in at a management API and its page. A session is a random
// value in a cookie of a browser, or in a header that a command line sends. It is never valid for
// pushes and pulls.
//
// # What to call
//
// Call [New] once, and [Sessions.Run] in a goroutine. Package signin begins sessions after a login.
// A host with a login of its own calls [Sessions.Start] for a browser or [Sessions.Issue] for a
// command line. [Sessions.Authenticator] identifies callers by their sessions:
//
//	sessions, err := session.New(driver, people, nil)
//	manage, err := api.New(reg, &api.Options{Authenticator: sessions.Authenticator(tokens), …})
//	go sessions.Run(ctx)
//
// The Authenticator is for a management API and its page only. Do not make it
// registry.Options.Authenticator. If it is there nevertheless, it refuses all sessions, because it
// accepts none for paths below /v2/.
//
// # Values
//
// The value of a session has 79 characters: "rks_", the ID of the account, 52 random characters of
// base32 (260 bits), and a checksum. The storage has only its SHA-256. Browsers send the value in
// the cookie __Host-registry-session, which is Secure, HttpOnly and SameSite=Lax. Command lines
// send "Authorization: Bearer rks_…".
//
// A request that changes something and has the cookie must come from a page of the same origin.
// Otherwise it is refused; see [net/http.CrossOriginProtection].
//
// # When a session ends
//
// A session ends when it has not been used for Options.Idle, or Options.Absolute after the login.
// It also ends when the user signs out, is disabled or removed, or gets another password. All
// replicas refuse it within Options.Refresh, or accounts.Options.Refresh for changes of the
// account; both are 10 seconds by default. The process that makes the change refuses it at once.
//
// A session has the groups and permissions that the account has now. While the storage cannot be
// read, requests fail with 503, and sessions do not end.
package session

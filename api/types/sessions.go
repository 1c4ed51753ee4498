package types

import "time"

// Session is a session of the caller: a browser or a command line that has signed in.
type Session struct {
	// ID identifies the session. It is not the value that signs requests in.
	ID string `json:"id"`
	// Kind is "browser" or "command-line".
	Kind string `json:"kind"`
	// Provider is the name of the provider that the user signed in with. It is absent after a sign-in
	// by password.
	Provider string    `json:"provider,omitempty"`
	Created  time.Time `json:"created"`
	// LastUsed may be five minutes out of date.
	LastUsed time.Time `json:"lastUsed"`
	// Expires is the time at which the session ends if it is used all the time.
	Expires time.Time `json:"expires"`
	// Address and UserAgent are those of the request that began the session.
	Address   string `json:"address,omitempty"`
	UserAgent string `json:"userAgent,omitempty"`
	// Current reports whether it is the session of this request.
	Current bool `json:"current"`
}

// SessionList is a page of the sessions of the caller.
type SessionList struct {
	Items []Session `json:"items"`
}

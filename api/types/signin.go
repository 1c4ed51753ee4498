package types

import "time"

// SignInMethods are the ways to sign in: the response to GET / of package signin.
type SignInMethods struct {
	// Password reports whether users can sign in with a password.
	Password  bool             `json:"password"`
	Providers []SignInProvider `json:"providers"`
}

// SignInProvider is an OpenID provider that people sign in with. Its name is part of paths: GET
// /oidc/{name} begins a sign-in of a browser, and POST /device/{name} that of a command line.
type SignInProvider struct {
	Name string `json:"name"`
	// Title is for display.
	Title string `json:"title"`
}

// PasswordSignIn is the body of POST /password.
type PasswordSignIn struct {
	Name     string `json:"name"`
	Password string `json:"password"`
	// CommandLine returns the value of the session in SignedIn, and sets no cookie.
	CommandLine bool `json:"commandLine,omitempty"`
	// Return is the local path to which a browser goes afterwards. Default: the home page.
	Return string `json:"return,omitempty"`
}

// SignedIn is the response to a sign-in.
type SignedIn struct {
	// Name is the name of the account.
	Name string `json:"name"`
	// Expires is the time at which the session ends at the latest.
	Expires time.Time `json:"expires"`
	// Session is the value that a command line sends as a Bearer token. It is absent in a browser.
	Session string `json:"session,omitempty"`
	// Return is the local path to which a browser goes. It is absent on a command line.
	Return string `json:"return,omitempty"`
}

// DeviceStart is the response to POST /device/{name}: the user opens VerificationURI in a browser
// on any machine and types UserCode (RFC 8628). Meanwhile, the command line polls.
type DeviceStart struct {
	UserCode        string `json:"userCode"`
	VerificationURI string `json:"verificationURI"`
	// VerificationURIComplete also has the code. It may be absent.
	VerificationURIComplete string `json:"verificationURIComplete,omitempty"`
	// Interval is the number of seconds between two polls.
	Interval int       `json:"interval"`
	Expires  time.Time `json:"expires"`
	// Handle is what the command line sends when it polls. It is secret until the sign-in has ended.
	Handle string `json:"handle"`
}

// DevicePoll is the body of POST /device/{name}/poll. The response is SignedIn, or a Problem with
// status 400 and one of these codes: AUTHORIZATION_PENDING (poll again), SLOW_DOWN (poll again,
// with an interval that is 5 seconds longer), EXPIRED (begin again), ACCESS_DENIED (the user has
// refused).
type DevicePoll struct {
	Handle string `json:"handle"`
}

// SignedOut is the response to POST /logout.
type SignedOut struct {
	// Redirect is the URL at the provider to which a browser goes to sign out there, too. It is absent
	// if the provider has none.
	Redirect string `json:"redirect,omitempty"`
}

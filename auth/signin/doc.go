// Package signin signs people in at a management API and its page: by a password, by an OpenID
// Connect provider in the browser (authorization code with PKCE), or by a provider on a machine
// without a browser (device flow, RFC 8628).
//
// # What to call
//
// [New] returns an [http.Handler], which the host mounts under a prefix:
//
//	key, err := store.SharedSecret(ctx, "signin")
//	people, err := accounts.New(driver, nil)
//	logins, err := accounts.NewAuthenticator(people, nil)
//	sessions, err := session.New(driver, people, nil)
//	login, err := signin.New(people, sessions, key, &signin.Options{
//		URL: "https://registry.example/signin", Passwords: logins, Providers: providers})
//	mux.Handle("/signin/", http.StripPrefix("/signin", login))
//
// [Parse] reads providers from YAML.
//
// # Paths
//
//	GET  /                          the ways to sign in (types.SignInMethods)
//	POST /password                  signs in with a password, as JSON (types.PasswordSignIn) or a form
//	GET  /oidc/{provider}           sends a browser to a provider; ?return=/path is where it goes afterwards
//	GET  /oidc/{provider}/callback  where the provider sends it back: the redirect URI
//	POST /oidc/{provider}/link      links the signed-in user to a person at the provider, through the browser
//	POST /oidc/{provider}/logout    back-channel logout, which the provider calls
//	POST /device/{provider}         begins a sign-in of a command line (types.DeviceStart)
//	POST /device/{provider}/poll    asks whether the user has confirmed it (types.DevicePoll)
//	POST /logout                    signs out
//
// A form gets a redirect, or a page that leads to a provider. A client that sends JSON, or accepts
// it, gets JSON. Errors are
// Problem Details (RFC 9457) or, for browsers, what Options.Fail writes.
//
// # Accounts
//
// A person at a provider is identified by the claims iss and sub. The first sign-in creates an
// account and links it, or fails, see Provider.Create. No account is ever linked because its name
// or e-mail address is equal: a user of the provider could otherwise take over the account of
// another person. A signed-in user links the own account by POST /oidc/{provider}/link.
//
// At each sign-in, the teams that Provider.Teams maps are set exactly: the user joins those of the
// provider's groups, and leaves the others.
//
// # Without TLS
//
// Passwords are refused unless they come by TLS, from a trusted proxy that sends X-Forwarded-Proto:
// https, or to a loopback address. Browsers keep no cookie of a session otherwise.
//
// # No state
//
// Until somebody has signed in, the handler stores nothing. What it must remember of an attempt is
// in a cookie or a handle that is encrypted with the key. So all replicas need the same key.
package signin

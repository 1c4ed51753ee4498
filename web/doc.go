// Package web is the page of a registry: an [http.Handler] with which people see, search and understand what a
// registry has, delete and restore it, and manage accounts and background work, in any browser.
//
//	manage, err := api.New(reg, &api.Options{Parts: api.Parts{Accounts: people}})
//	page, err := web.New(manage, &web.Options{Name: "Acme images"})
//	mux.Handle("/v2/", reg)
//	mux.Handle("/ui/", page)
//
// The page is rendered by the server with html/template. It needs no build step, no other server and no script in the
// browser; a small script makes it more convenient. All its files are in the program.
//
// # Access
//
// The page shows and changes everything through the management API, in the same process, as the sender of the request;
// see api.API.Visit. So it has the rules, the audit records and the events of the API. What the caller may not see does
// not exist for them: the response is a 404, as on /v2/. A part that the API does not have has no views.
//
// The Authenticator of the API identifies callers. With package session, people sign in with a password or a provider;
// see [SignIn]. A host with a sign-in of its own identifies callers by its own Authenticator, and sets
// Options.SignInURL and Options.SignOutURL.
//
// # Changes
//
// Each change is a form that is sent by POST. A request of another origin is refused; see
// [net/http.CrossOriginProtection]. A form contains the version of what it changes. If that was changed meanwhile, the
// page says so, and changes nothing.
//
// # Look
//
// A host sets the name, the logo and the colours of the page, adds links and files of its own, leaves out views, or
// puts a layout of its own around all views; see [Options].
package web

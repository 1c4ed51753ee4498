// Package middleware has handlers around a registry that protect it from web pages, or open it to
// some of them.
//
// Browsers send requests for any web page, also to servers that only the browser's machine reaches.
// A registry that asks for credentials is not harmed by these: it takes none from cookies. A
// registry that lets everybody do everything needs two checks:
//
//   - [LocalHost] refuses requests under a foreign host name. With DNS rebinding, a page makes its own name lead to a loopback address, and
//     then reads and writes as if the registry were its own server.
//   - [SameOrigin] refuses writes for pages of other origins: browsers send them, although they hide the answers.
//
// Reads for pages of other origins pass both. They change nothing, and browsers hide the answers
// from the page unless [CORS] allows its origin.
//
// [LocalOnly] is both:
//
//	mux.Handle("/v2/", middleware.LocalOnly(reg))
//
// CORS goes around the others, so that pages can read their errors. All refuse with errors in the
// JSON of the distribution spec.
//
// HTTP/2 without TLS, which some platforms want behind their proxies, needs no handler:
//
//	server.Protocols = new(http.Protocols)
//	server.Protocols.SetHTTP1(true)
//	server.Protocols.SetUnencryptedHTTP2(true)
package middleware

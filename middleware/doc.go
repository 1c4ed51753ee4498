// Package middleware has handlers around a registry that protect it from web pages, or open it to
// some of them, and that find the client of a request behind a proxy.
//
// Browsers send requests on behalf of any web page, also to servers that only the browser's machine
// can reach. A registry that requires credentials is safe, because it takes none from cookies. A
// registry on which everyone may do everything needs two checks:
//
//   - [LocalHost] refuses requests under a foreign host name. With DNS rebinding, a page makes its
//     own name lead to a loopback address, and then reads and writes as if the registry were its
//     own server.
//   - [SameOrigin] refuses writes for pages of other origins. Browsers send such writes, although
//     they hide the responses from the page.
//
// Reads for pages of other origins pass both checks. They change nothing, and browsers hide the
// responses from the page unless [CORS] allows its origin.
//
// [LocalOnly] combines both checks:
//
//	mux.Handle("/v2/", middleware.LocalOnly(reg))
//
// CORS goes around the other handlers, so that pages can read their errors. All handlers refuse
// with errors in the JSON format of the distribution spec.
//
// Behind a proxy, every request comes from the address of the proxy. [Forwarded] replaces it with
// the address of the client, for events and logs. It goes around everything else:
//
//	server.Handler = middleware.Forwarded(mux, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")})
//
// HTTP/2 without TLS, which some platforms require behind their proxies, needs no handler:
//
//	server.Protocols = new(http.Protocols)
//	server.Protocols.SetHTTP1(true)
//	server.Protocols.SetUnencryptedHTTP2(true)
package middleware

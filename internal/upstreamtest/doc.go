// Package upstreamtest provides a registry for tests that misbehaves on request. It speaks real
// HTTP, counts requests, and serves what a test has put into it.
//
//	s := upstreamtest.New(t)
//	image := s.Image("library/alpine", "3", layer)
//	s.Break(upstreamtest.Match{Method: "GET", Kind: upstreamtest.Blob, Times: 1}, upstreamtest.Cut(1000))
//	// ... point a mirror at s.URL ...
//	require.Equal(t, 2, s.Count("GET", upstreamtest.Blob))
//
// A [Fault] changes the responses that a [Match] selects. Faults combine: all that match apply, in
// the order of the calls of [Server.Break].
//
// # Time
//
// A server of [NewInMemory] listens to no socket. Together with [Transport], it works in the bubble
// of package testing/synctest, so that a test of timeouts takes no time.
package upstreamtest

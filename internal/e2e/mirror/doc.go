// Package mirror proves what docs/mirror.md says of a mirror. Its tests start examples/mirror and
// upstreams as real processes, pull with the programs that people use, stop and break upstreams,
// kill mirrors, and count the requests that upstreams receive.
//
// The tests are short by default. With the flag -full, they run as long as `make mirror` does, and
// also use programs that CI does not install.
package mirror

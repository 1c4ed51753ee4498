//go:build !unix

package importer

// nonblock is zero: this system has no such flag.
const nonblock = 0

// Package objectkey writes names of repositories and digests into the keys of objects. The packages
// that store objects share it; docs/layout.md lists their keys.
package objectkey

import (
	"encoding/binary"
	"encoding/hex"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry/reference"
)

// slash stands for "/" in names of repositories within keys. In a name, "." is always followed by a
// letter or digit, so the result is unique, and the names keep their order.
const slash = ".~"

// Escape returns the name of a repository as keys have it.
func Escape(name string) string { return strings.ReplaceAll(name, "/", slash) }

// Unescape returns the name of the repository that Escape has written as r.
func Unescape(r string) string { return strings.ReplaceAll(r, slash, "/") }

// DigestPath returns a digest as keys have it: "<alg>/<hex>".
func DigestPath(d digest.Digest) string {
	return string(d.Algorithm()) + "/" + d.Encoded()
}

// PathDigest returns the digest at the end of a key, or "" if the key does not end in a valid
// digest.
func PathDigest(key string) digest.Digest {
	i := strings.LastIndexByte(key, '/')
	if i < 0 {
		return ""
	}
	j := strings.LastIndexByte(key[:i], '/')
	d := digest.Digest(key[j+1:i] + ":" + key[i+1:])
	if reference.CheckDigest(string(d)) != nil && d.Validate() != nil { // the first check is fast
		return ""
	}
	return d
}

// EndsIn reports whether a key ends in DigestPath(d). It returns false if d is empty.
func EndsIn(key string, d digest.Digest) bool {
	before, end := len(key)-len(d), strings.IndexByte(string(d), ':')
	return before > 0 && end > 0 && key[before-1] == '/' && key[before+end] == '/' &&
		key[before:before+end] == string(d[:end]) && key[before+end+1:] == string(d[end+1:])
}

// Short returns 64 bits of a valid digest, for sets in memory.
func Short(d digest.Digest) uint64 {
	b, err := hex.DecodeString(d.Encoded()[:16])
	if err != nil {
		return 0
	}
	return binary.BigEndian.Uint64(b)
}

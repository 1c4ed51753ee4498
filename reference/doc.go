// Package reference checks and parses the texts that name content in a registry: repository names,
// tags, digests and whole image names.
//
//   - [CheckName], [CheckTag] and [CheckDigest] check one part.
//   - [ParseRef] reads the <reference> of a URL: a tag or a digest.
//   - [Parse] reads what people type, such as "ubuntu:24.04", and fills in host and tag as docker
//     does.
//
// The rules are those of the OCI distribution specification, section "Pulling manifests". They
// agree with github.com/distribution/reference and github.com/opencontainers/go-digest, which the
// fuzz tests check. Where those libraries accept more on purpose, the tests say so.
//
// Every error wraps [ErrName], [ErrTag], [ErrDigest], [ErrDigestUnsupported] or [ErrHost], and says
// what is wrong and where. It quotes the input with [Quote], so it is short, printable and on one
// line, and can be sent to clients and written to logs.
//
// The functions that check one part read it once and allocate nothing for valid input, as they run
// several times for each request.
package reference

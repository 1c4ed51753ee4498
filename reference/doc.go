// Package reference checks the three kinds of text by which content is addressed: repository names,
// tags and digests. It follows the OCI distribution specification, section "Pulling manifests", and
// agrees with github.com/distribution/reference and github.com/opencontainers/go-digest, which the
// fuzz tests show; where the rules of those libraries are wider on purpose, the tests say so.
//
// Every function reads its argument once, by hand-written scanners, and allocates nothing for valid
// input. Errors wrap [ErrName], [ErrTag], [ErrDigest] or [ErrDigestUnsupported], say what is wrong
// and where, and quote the input by [Quote], so they may be sent to clients and written to logs.
package reference

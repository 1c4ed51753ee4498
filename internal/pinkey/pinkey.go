// Package pinkey has the keys of pins: objects that keep an image of a mirror from removal. The
// mirror writes them, and package retention reads them.
package pinkey

import (
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry/internal/objectkey"
	"github.com/registrykit/registry/reference"
)

// Prefix is the prefix of the keys of all pins. There is one object for each: m/p/<R>/<alg>/<hex>
// for a digest, and m/p/<R>/t/<tag> for a tag. R is the name of the repository as objectkey.Escape
// returns it.
const Prefix = "m/p/"

// Of returns the prefix of the pins of a repository.
func Of(repo string) string { return Prefix + objectkey.Escape(repo) + "/" }

// Key returns the key of the pin of a tag or digest. The arguments must be valid.
func Key(repo string, ref reference.Ref) string {
	if ref.Tag != "" {
		return Of(repo) + "t/" + ref.Tag
	}
	return Of(repo) + objectkey.DigestPath(ref.Digest)
}

// Parse returns the repository and the tag or digest of a key. ok is false for any other key.
func Parse(key string) (repo string, ref reference.Ref, ok bool) {
	parts := strings.Split(strings.TrimPrefix(key, Prefix), "/")
	if len(parts) != 3 {
		return "", reference.Ref{}, false
	}
	repo = objectkey.Unescape(parts[0])
	if parts[1] == "t" {
		ref.Tag = parts[2]
		return repo, ref, reference.CheckName(repo) == nil && reference.CheckTag(ref.Tag) == nil
	}
	ref.Digest = digest.NewDigestFromEncoded(digest.Algorithm(parts[1]), parts[2])
	return repo, ref, reference.CheckName(repo) == nil && reference.CheckDigest(string(ref.Digest)) == nil
}

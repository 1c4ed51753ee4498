package client

import (
	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/reference"
)

// Malformed names, tags and digests are never sent, because they could change the path of the URL.

func checkBlob(repo string, d digest.Digest) error {
	if err := registry.CheckName(repo); err != nil {
		return err
	}
	return registry.CheckDigest(d)
}

func checkRef(repo string, ref reference.Ref) error {
	if err := registry.CheckName(repo); err != nil {
		return err
	}
	return registry.CheckRef(ref)
}

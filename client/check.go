package client

import (
	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/reference"
)

// What cannot be a name, a tag or a digest is never sent: it could become another URL.

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

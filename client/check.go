package client

import (
	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/reference"
)

// What cannot be a name, a tag or a digest is never sent: it could become another URL.

func checkName(repo string) error {
	if err := reference.CheckName(repo); err != nil {
		return registry.ErrNameInvalid.WithMessage(err.Error())
	}
	return nil
}

func checkTag(tag string) error {
	if err := reference.CheckTag(tag); err != nil {
		return registry.ErrTagInvalid.WithMessage(err.Error())
	}
	return nil
}

func checkDigest(d digest.Digest) error {
	if err := reference.CheckDigest(string(d)); err != nil {
		return registry.ErrDigestInvalid.WithMessage(err.Error())
	}
	return nil
}

func checkBlob(repo string, d digest.Digest) error {
	if err := checkName(repo); err != nil {
		return err
	}
	return checkDigest(d)
}

func checkRef(repo string, ref reference.Ref) error {
	switch {
	case ref.Tag == "":
		return checkBlob(repo, ref.Digest)
	case ref.Digest != "":
		return registry.ErrManifestUnknown.WithMessage("both a tag and a digest")
	}
	if err := checkName(repo); err != nil {
		return err
	}
	return checkTag(ref.Tag)
}

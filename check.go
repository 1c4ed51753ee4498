package registry

import (
	"errors"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry/reference"
)

// CheckName checks the name of a repository, for a [Backend] that Go code calls. It returns nil, or
// an [*Error] of the kind ErrNameInvalid with a message that says what is wrong.
func CheckName(repo string) error { return invalid(reference.CheckName(repo)) }

// CheckTag checks a tag, like [CheckName]. Errors: ErrTagInvalid.
func CheckTag(tag string) error { return invalid(reference.CheckTag(tag)) }

// CheckDigest checks a digest, like [CheckName]. Errors: ErrDigestInvalid.
func CheckDigest(d digest.Digest) error { return invalid(reference.CheckDigest(string(d))) }

// CheckRef checks the reference to one manifest, like [CheckName].
//
// Errors: ErrManifestUnknown unless exactly one of tag and digest is set, because no manifest has
// such a reference; ErrTagInvalid; ErrDigestInvalid.
func CheckRef(ref reference.Ref) error {
	switch {
	case ref.Tag != "" && ref.Digest != "":
		return ErrManifestUnknown.WithMessage("the reference has both a tag and a digest")
	case ref.Tag != "":
		return CheckTag(ref.Tag)
	case ref.Digest != "":
		return CheckDigest(ref.Digest)
	}
	return ErrManifestUnknown.WithMessage("the reference has neither a tag nor a digest")
}

// invalid returns the [*Error] for an error of package reference, or nil for nil. All such errors
// are mapped here.
func invalid(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, reference.ErrName):
		return ErrNameInvalid.WithMessage(err.Error())
	case errors.Is(err, reference.ErrTag):
		return ErrTagInvalid.WithMessage(err.Error())
	}
	return ErrDigestInvalid.WithMessage(err.Error())
}

// check refuses malformed names, tags and digests.
func (op *Op) check() error {
	if op.Kind != OpRepositories {
		if err := CheckName(op.Repository); err != nil {
			return err
		}
	}
	if op.From != "" {
		if err := CheckName(op.From); err != nil {
			return err
		}
	}
	if op.Ref.Tag != "" {
		if err := CheckTag(op.Ref.Tag); err != nil {
			return err
		}
	}
	if op.Ref.Digest != "" {
		if err := CheckDigest(op.Ref.Digest); err != nil {
			return err
		}
	}
	for _, t := range op.Tags {
		if err := CheckTag(t.Name); err != nil {
			return err
		}
	}
	switch op.Kind {
	case OpOpenBlob, OpStatBlob, OpMountBlob, OpDeleteBlob, OpReferrers, OpCommit:
		if op.Ref.Digest == "" {
			return ErrDigestInvalid.WithMessage("the digest is missing")
		}
	}
	return nil
}

// checkOneRef refuses an operation on one manifest whose reference is not exactly one tag or digest.
// Restore accepts an empty reference, which stands for the whole repository.
func (op *Op) checkOneRef() error {
	switch op.Kind {
	case OpGetManifest, OpStatManifest, OpDeleteManifest, OpDeleteTag:
		return CheckRef(op.Ref)
	case OpRestore:
		if op.Ref != (reference.Ref{}) {
			return CheckRef(op.Ref)
		}
	}
	return nil
}

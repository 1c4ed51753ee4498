package registry

import (
	"context"
	"iter"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry/reference"
)

// Unimplemented is a [Backend] whose operations all return ErrUnsupported. Every Backend must embed
// it, because the interface has an unexported method. An operation that a later version adds then
// fails closed.
type Unimplemented struct{}

var _ Backend = Unimplemented{}

func (Unimplemented) backend() {}

// OpenBlob returns ErrUnsupported.
func (Unimplemented) OpenBlob(context.Context, string, digest.Digest, *OpenOptions) (*Blob, error) {
	return nil, ErrUnsupported
}

// StatBlob returns ErrUnsupported.
func (Unimplemented) StatBlob(context.Context, string, digest.Digest, *StatOptions) (ocispec.Descriptor, error) {
	return ocispec.Descriptor{}, ErrUnsupported
}

// GetManifest returns ErrUnsupported.
func (Unimplemented) GetManifest(context.Context, string, reference.Ref) (*Manifest, error) {
	return nil, ErrUnsupported
}

// StatManifest returns ErrUnsupported.
func (Unimplemented) StatManifest(context.Context, string, reference.Ref, *StatOptions) (ocispec.Descriptor, error) {
	return ocispec.Descriptor{}, ErrUnsupported
}

// CreateUpload returns ErrUnsupported.
func (Unimplemented) CreateUpload(context.Context, string, *UploadOptions) (Upload, error) {
	return nil, ErrUnsupported
}

// ResumeUpload returns ErrUnsupported.
func (Unimplemented) ResumeUpload(context.Context, string, string, *ResumeOptions) (Upload, error) {
	return nil, ErrUnsupported
}

// MountBlob returns ErrUnsupported.
func (Unimplemented) MountBlob(context.Context, string, digest.Digest, *MountOptions) (ocispec.Descriptor, error) {
	return ocispec.Descriptor{}, ErrUnsupported
}

// PutManifest returns ErrUnsupported.
func (Unimplemented) PutManifest(context.Context, string, string, []byte, *PutOptions) (PutResult, error) {
	return PutResult{}, ErrUnsupported
}

// DeleteBlob returns ErrUnsupported.
func (Unimplemented) DeleteBlob(context.Context, string, digest.Digest, *DeleteOptions) error {
	return ErrUnsupported
}

// DeleteManifest returns ErrUnsupported.
func (Unimplemented) DeleteManifest(context.Context, string, reference.Ref, *DeleteOptions) error {
	return ErrUnsupported
}

// DeleteRepository returns ErrUnsupported.
func (Unimplemented) DeleteRepository(context.Context, string, *DeleteOptions) error {
	return ErrUnsupported
}

// Repositories yields ErrUnsupported.
func (Unimplemented) Repositories(context.Context, *ListOptions) iter.Seq2[string, error] {
	return failed[string](ErrUnsupported)
}

// Tags yields ErrUnsupported.
func (Unimplemented) Tags(context.Context, string, *ListOptions) iter.Seq2[string, error] {
	return failed[string](ErrUnsupported)
}

// Referrers yields ErrUnsupported.
func (Unimplemented) Referrers(context.Context, string, digest.Digest,
	*ReferrersOptions) iter.Seq2[ocispec.Descriptor, error] {
	return failed[ocispec.Descriptor](ErrUnsupported)
}

// History yields ErrUnsupported.
func (Unimplemented) History(context.Context, string, *HistoryOptions) iter.Seq2[HistoryEntry, error] {
	return failed[HistoryEntry](ErrUnsupported)
}

// Restore returns ErrUnsupported.
func (Unimplemented) Restore(context.Context, string, reference.Ref, *RestoreOptions) (RestoreResult, error) {
	return RestoreResult{}, ErrUnsupported
}

// failed returns a list that yields only err.
func failed[T any](err error) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var zero T
		yield(zero, err)
	}
}

package layout

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/manifest"
	"github.com/registrykit/registry/reference"
)

// OpenBlob implements [registry.Backend].
//
// Errors: registry.ErrBlobUnknown. A Read of wrong content returns ErrDigestInvalid.
func (l *Layout) OpenBlob(ctx context.Context, repo string, d digest.Digest,
	_ *registry.OpenOptions) (*registry.Blob, error) {
	desc, err := l.StatBlob(ctx, repo, d, nil)
	if err != nil {
		return nil, err
	}
	return &registry.Blob{Descriptor: desc, Body: &body{pool: l.pool, digest: d, size: desc.Size}}, nil
}

// StatBlob implements [registry.Backend].
//
// Errors: registry.ErrBlobUnknown.
func (l *Layout) StatBlob(ctx context.Context, repo string, d digest.Digest,
	_ *registry.StatOptions) (ocispec.Descriptor, error) {
	if err := check(ctx, repo, d); err != nil {
		return ocispec.Descriptor{}, err
	}
	size, err := l.pool.stat(d)
	if err != nil {
		return ocispec.Descriptor{}, unknownBlob(err)
	}
	return ocispec.Descriptor{MediaType: blobType, Digest: d, Size: size}, nil
}

// check refuses malformed names and digests, and returns the error of ctx.
func check(ctx context.Context, repo string, d digest.Digest) error {
	if err := registry.CheckName(repo); err != nil {
		return err
	}
	if err := registry.CheckDigest(d); err != nil {
		return err
	}
	return ctx.Err()
}

// StatManifest implements [registry.Backend]. It reads the manifest.
//
// Errors: those of GetManifest.
func (l *Layout) StatManifest(ctx context.Context, repo string, ref reference.Ref,
	_ *registry.StatOptions) (ocispec.Descriptor, error) {
	m, err := l.GetManifest(ctx, repo, ref)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	return m.Descriptor, nil
}

// GetManifest implements [registry.Backend].
//
// Errors: registry.ErrManifestUnknown; ErrManifestTooLarge if it exceeds Options.MaxManifestSize;
// ErrDigestInvalid or ErrSizeInvalid if the content is damaged; ErrManifestInvalid if index.json
// and the content disagree about its media type, or several entries have the tag.
func (l *Layout) GetManifest(ctx context.Context, repo string, ref reference.Ref) (*registry.Manifest, error) {
	if err := registry.CheckName(repo); err != nil {
		return nil, err
	}
	if err := registry.CheckRef(ref); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	e, err := l.entry(repo, ref)
	if err != nil {
		return nil, err
	}
	if e == nil {
		if ref.Tag != "" {
			return nil, registry.ErrManifestUnknown
		}
		return l.manifest(ocispec.Descriptor{Digest: ref.Digest, Size: -1})
	}
	return l.manifest(e.desc)
}

// entry returns the entry of a tag or digest, or nil.
func (l *Layout) entry(repo string, ref reference.Ref) (*entry, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	x, err := l.current()
	if err != nil {
		return nil, err
	}
	if ref.Tag != "" {
		return x.find(name{repo, ref.Tag})
	}
	if all := x.digests[ref.Digest]; len(all) > 0 {
		return all[0], nil
	}
	return nil, nil
}

// manifest reads a manifest. desc has its digest, and its media type and size or "" and -1.
func (l *Layout) manifest(desc ocispec.Descriptor) (*registry.Manifest, error) {
	content, err := readAll(l.pool, desc.Digest, l.opts.MaxManifestSize)
	switch {
	case errors.Is(err, fs.ErrNotExist) && desc.MediaType != "":
		return nil, registry.ErrManifestUnknown.WithMessage(
			fmt.Sprintf("the layout lacks %s, which index.json names", desc.Digest))
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, errTooLarge) && desc.MediaType == "":
		return nil, registry.ErrManifestUnknown // what is so large is a layer
	case errors.Is(err, errTooLarge):
		return nil, registry.ErrManifestTooLarge
	case err != nil:
		return nil, err
	}
	size := int64(len(content))
	if desc.Size >= 0 && desc.Size != size {
		return nil, registry.ErrSizeInvalid.WithMessage(fmt.Sprintf("manifest %s has %d bytes; index.json states %d",
			desc.Digest, size, desc.Size))
	}
	mediaType := desc.MediaType
	if mediaType == "" {
		if mediaType = typeOf(content); mediaType == "" {
			return nil, registry.ErrManifestUnknown
		}
	} else if _, err := manifest.Inspect(mediaType, content); err != nil {
		return nil, registry.ErrManifestInvalid.WithMessage(fmt.Sprintf("manifest %s: %s", desc.Digest, err))
	}
	return &registry.Manifest{
		Descriptor: ocispec.Descriptor{MediaType: mediaType, Digest: desc.Digest, Size: size}, Content: content,
	}, nil
}

// typeOf returns the media type of a manifest whose media type no index states, or "" if the
// content is no manifest.
func typeOf(content []byte) string {
	var head struct {
		MediaType string `json:"mediaType"`
	}
	if json.Unmarshal(content, &head) != nil {
		return ""
	}
	types := []string{head.MediaType}
	if head.MediaType == "" {
		types = []string{ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageIndex}
	}
	for _, t := range types {
		if m, err := manifest.ParseStored(t, content); err == nil {
			return m.MediaType
		}
	}
	return ""
}

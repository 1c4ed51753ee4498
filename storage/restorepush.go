package storage

import (
	"context"
	"errors"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/manifest"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/internal/object"
)

// restorable is a manifest that can be pushed again.
type restorable struct {
	digest    digest.Digest
	mediaType string
	content   []byte
	sparse    bool // what it names may be missing, see object.Manifest.Sparse
}

// deletedManifest returns the manifest of the event of a delete, which has been read.
func deletedManifest(e *object.Event) restorable {
	return restorable{e.Digest(), e.Before.MediaType, e.Content, e.Sparse}
}

// push pushes a manifest that was there before. If deleted manifests that it names are missing, it
// also restores those, without their tags. A manifest that was sparse may lack what cannot be
// restored.
func (r *restore) push(ctx context.Context, m restorable, tags ...registry.TagPut) (registry.PutResult, error) {
	p, err := r.repo.store.newManifestPut(r.repo.Name, m.mediaType, m.content,
		&registry.PutOptions{Digest: m.digest, Tags: tags, By: r.opts.By})
	if err != nil {
		return registry.PutResult{}, err
	}
	p.unhide, p.anySize, p.accepted = true, true, true
	if err := r.admit(ctx, p); err != nil {
		return registry.PutResult{}, err
	}
	res, err := p.put(ctx)
	var e *registry.Error
	if !errors.As(err, &e) || !errors.Is(e, registry.ErrManifestBlobUnknown) {
		return res, err
	}
	missing, _ := e.Detail().([]digest.Digest)
	for _, d := range missing {
		if cerr := r.pushChild(ctx, d); cerr == nil {
			continue
		} else if !lost(cerr) {
			return res, cerr
		} else if !m.sparse {
			return res, err
		}
	}
	p.sparse = p.sparse || m.sparse
	return p.put(ctx)
}

// admit calls RestoreOptions.Admit for a push. Content that may not be a manifest is passed as a blob.
func (r *restore) admit(ctx context.Context, p *manifestPut) error {
	if r.opts.Admit == nil {
		return nil
	}
	var blobs []ocispec.Descriptor
	for _, ref := range p.parsed.References {
		if ref.Kind != manifest.KindManifest && !ref.NonDistributable {
			blobs = append(blobs, ocispec.Descriptor{MediaType: ref.MediaType, Digest: ref.Digest, Size: ref.Size})
		}
	}
	return r.opts.Admit(ctx, p.descriptor(), blobs)
}

// pushChild restores a manifest that another one names.
//
// Errors: one for which lost is true if the child, or what it names, cannot be restored.
func (r *restore) pushChild(ctx context.Context, d digest.Digest) error {
	child, err := r.manifest(ctx, d)
	if err != nil {
		return err
	}
	res, err := r.push(ctx, child)
	if err == nil {
		r.children = append(r.children, res)
	}
	return err
}

// lost reports whether err says that content cannot be restored.
func lost(err error) bool {
	return errors.Is(err, registry.ErrManifestUnknown) || errors.Is(err, registry.ErrManifestBlobUnknown)
}

// unhide restores a link that a delete of the repository has hidden, for a manifest that is pending
// in the repository. It returns the link, now live.
//
// The data need no look, as those of a condemned link need none: the link has named them since it
// was live for the first time. A collection that found the data named may have left a tombstone; it
// stays and means nothing.
//
// Errors: object.ErrMissing if there is no such link.
func (r repo) unhide(ctx context.Context, d digest.Digest) (*object.Link, error) {
	var err error
	for range object.Attempts(ctx, &err) {
		l, err := r.ReadLink(ctx, d)
		if err != nil {
			return nil, err
		}
		switch {
		case l.Readable():
			return r.KeepLink(ctx, d)
		case l.State != object.Hidden:
			return nil, object.ErrMissing
		}
		if l, err = r.SetLink(ctx, d, l, object.Live); driver.IsConflict(err) {
			continue
		} else if err != nil {
			return nil, object.RegistryError(err)
		}
		r.IndexBlob(ctx, d)
		return l, nil
	}
	return nil, err
}

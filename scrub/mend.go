package scrub

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/manifest"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver"
)

// Source returns lost content from elsewhere. The caller closes the reader. What it yields is checked:
// content with another digest is refused, and no more than Loss.Size is read, if that is known.
type Source func(ctx context.Context, l Loss) (io.ReadCloser, error)

// FromBackend returns a Source that reads from a Backend, such as a client of another registry, or a
// mirror, which fetches what its own storage lacks. The content must have the same repository there.
func FromBackend(b registry.Backend) Source {
	return func(ctx context.Context, l Loss) (io.ReadCloser, error) {
		if l.Manifest {
			m, err := b.GetManifest(ctx, l.Repository, reference.Ref{Digest: l.Digest})
			if err != nil {
				return nil, err
			}
			return io.NopCloser(bytes.NewReader(m.Content)), nil
		}
		blob, err := b.OpenBlob(ctx, l.Repository, l.Digest, nil)
		if err != nil {
			return nil, err
		}
		return blob.Body, nil
	}
}

// Mend pushes all losses that source has into the storage, and sets the tags of manifests again that a
// run has removed, unless they exist. It looks at losses only, and does not check the storage. opts may
// be nil; Repair is implied. The report counts what is mended and what is still lost, and says in Errors
// why.
//
// Errors: as [Run].
func Mend(ctx context.Context, s *storage.Store, d driver.Driver, source Source, opts *Options) (*Report, error) {
	o := Options{}
	if opts != nil {
		o = *opts
	}
	o.Repair, o.Source = true, source
	r, err := newRun(s, d, &o)
	if err != nil {
		return nil, err
	}
	r.report.Stage = StageLosses
	err = r.losses(ctx)
	report := r.snapshot(true)
	return &report, err
}

// maxManifest is the maximum size of a manifest that is mended, in bytes.
const maxManifest = 16 << 20

// mend pushes lost content that the source has.
func (r *run) mend(ctx context.Context, l Loss) error {
	if l.Manifest {
		return r.mendManifest(ctx, l)
	}
	return r.mendBlob(ctx, l)
}

// mendBlob pushes a blob that the source has.
func (r *run) mendBlob(ctx context.Context, l Loss) (err error) {
	body, err := r.opts.Source(ctx, l)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, body.Close()) }()
	var content io.Reader = body
	if l.Size > 0 {
		content = io.LimitReader(body, l.Size)
	}
	_, err = registry.PushBlob(ctx, r.store, l.Repository, l.Digest, content)
	return err
}

// mendManifest pushes a manifest that the source has, and the blobs that are missing.
func (r *run) mendManifest(ctx context.Context, l Loss) error {
	body, err := r.opts.Source(ctx, l)
	if err != nil {
		return err
	}
	content, err := io.ReadAll(io.LimitReader(body, maxManifest+1))
	if err := errors.Join(err, body.Close()); err != nil {
		return err
	}
	if len(content) > maxManifest {
		return fmt.Errorf("scrub: the manifest has more than %d bytes", maxManifest)
	}
	opts := &registry.PutOptions{Digest: l.Digest, AcceptWrongSizes: true}
	mediaType := l.MediaType
	if mediaType == "" {
		mediaType = storage.StatedMediaType(content)
	}
	_, err = r.store.PutManifest(ctx, l.Repository, mediaType, content, opts)
	var refusal *registry.Error
	if !errors.Is(err, registry.ErrManifestBlobUnknown) || !errors.As(err, &refusal) {
		return err
	}
	missing, _ := refusal.Detail().([]digest.Digest)
	sizes := statedSizes(mediaType, content)
	for _, d := range missing {
		if berr := r.mendBlob(ctx, Loss{Repository: l.Repository, Digest: d, Size: sizes[d]}); berr != nil {
			return errors.Join(err, berr)
		}
	}
	_, err = r.store.PutManifest(ctx, l.Repository, mediaType, content, opts)
	return err
}

// statedSizes returns the sizes that a manifest states for what it names.
func statedSizes(mediaType string, content []byte) map[digest.Digest]int64 {
	sizes := map[digest.Digest]int64{}
	if m, err := manifest.ParseStored(mediaType, content); err == nil {
		for _, ref := range m.References {
			sizes[ref.Digest] = ref.Size
		}
	}
	return sizes
}

// cutName returns the name of the repository in the key of a loss, as keys have it.
func cutName(key string) (name, rest string, ok bool) {
	return strings.Cut(strings.TrimPrefix(key, lossPrefix), "/")
}

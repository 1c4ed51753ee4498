package replicate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/parallel"
)

// Missing is content that [Verify] or [Pin] has not found or found damaged.
type Missing struct {
	// Descriptor is the blob or manifest, as its parent states it.
	Descriptor ocispec.Descriptor
	// Parent is the manifest that names it, or "" for the root.
	Parent digest.Digest
	// Err is why it counts as missing.
	Err error
}

// Verify reads everything that ref names in a backend and checks the digests. It returns what is
// missing or wrong, in the order in which the image names it. Only Platforms, Referrers, Parallel and
// Progress of opts are used; opts may be nil.
//
// Errors: that of ctx; an error for an invalid ref or platform; that of the backend for the manifest
// that ref names. Other errors of the backend are those in Missing.
func Verify(ctx context.Context, b registry.Backend, ref string, opts *Options) ([]Missing, error) {
	missing, err := verify(ctx, b, ref, opts)
	if err != nil {
		return nil, fmt.Errorf("replicate: verifying %s: %w", ref, err)
	}
	return missing, nil
}

func verify(ctx context.Context, b registry.Backend, ref string, opts *Options) ([]Missing, error) {
	o, platforms, err := withDefaults(opts)
	if err != nil {
		return nil, err
	}
	from, err := parseSource(ref)
	if err != nil {
		return nil, err
	}
	v := &verifier{b: b, repo: from.repo, progress: &tracker{call: o.Progress}}
	g := &graph{from: b, repo: from.repo, platforms: platforms, referrers: o.Referrers, width: o.Parallel,
		lenient: true, progress: v.progress}
	if err := g.load(ctx, from.ref()); err != nil {
		return nil, err
	}
	var missing []Missing
	for _, n := range g.order {
		if n.err != nil {
			missing = append(missing, Missing{Descriptor: n.desc, Parent: n.parent, Err: n.err})
		}
		v.progress.manifest(n.desc)
	}
	errs := make([]error, len(g.blobs))
	err = parallel.Each(o.Parallel, len(g.blobs), func(i int) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		errs[i] = v.blob(ctx, g.blobs[i])
		return ctx.Err()
	})
	if err != nil {
		return nil, err
	}
	for i, b := range g.blobs {
		if errs[i] != nil {
			missing = append(missing, Missing{Descriptor: b.desc, Parent: b.parent, Err: errs[i]})
		}
	}
	return missing, nil
}

// verifier reads blobs.
type verifier struct {
	b        registry.Backend
	repo     string
	progress *tracker
}

// verifyBuffers reuses memory; it holds no state.
var verifyBuffers = sync.Pool{New: func() any { return new([reportSize]byte) }}

// errDamaged is returned when a blob has other content than its descriptor says.
var errDamaged = errors.New("the content does not have the digest and size")

// blob reads a blob and returns what is wrong with it.
func (v *verifier) blob(ctx context.Context, b *blob) error {
	blob, err := v.b.OpenBlob(ctx, v.repo, b.desc.Digest, nil)
	if err != nil {
		v.progress.finish(b, nil)
		return err
	}
	defer blob.Body.Close()
	hash := b.desc.Digest.Algorithm().Hash()
	buf := verifyBuffers.Get().(*[reportSize]byte)
	defer verifyBuffers.Put(buf)
	size := int64(0)
	for err == nil {
		if err = ctx.Err(); err != nil {
			return err
		}
		var n int
		n, err = io.ReadFull(blob.Body, buf[:])
		hash.Write(buf[:n])
		if size += int64(n); n > 0 {
			v.progress.moved(b, int64(n), size)
		}
		if size > b.desc.Size {
			break
		}
	}
	v.progress.finish(b, nil)
	switch ended := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF); {
	case err != nil && (!ended || errors.As(err, new(*registry.Error))):
		return err
	case size != b.desc.Size || digest.NewDigest(b.desc.Digest.Algorithm(), hash) != b.desc.Digest:
		return errDamaged
	}
	return nil
}

package importer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/manifest"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver"
)

// sampleOf is the number of layers of which one is hashed with VerifySample.
const sampleOf = 16

// blob imports a layer or config that a manifest names.
//
// Errors: *Problem; those of the destination and of ctx.
func (r *repository) blob(ctx context.Context, ref manifest.Reference) error {
	unlock := r.run.blobs.lock(string(ref.Digest))
	defer unlock()
	r.mu.Lock()
	size, done := r.blobs[ref.Digest]
	r.mu.Unlock()
	if !done {
		var err error
		if size, err = r.takeBlob(ctx, ref); err != nil {
			return err
		}
		r.mu.Lock()
		r.blobs[ref.Digest] = size
		r.mu.Unlock()
	}
	return checkSize(ref, size)
}

// checkSize compares the size of a blob with the one that a manifest states.
func checkSize(ref manifest.Reference, size int64) error {
	if size == ref.Size {
		return nil
	}
	return &Problem{Kind: ProblemSize, Path: blobPath(ref.Digest),
		Message: fmt.Sprintf("%d bytes, but a manifest states %d", size, ref.Size)}
}

// takeBlob makes a blob known in the repository of the destination, and returns its size.
func (r *repository) takeBlob(ctx context.Context, ref manifest.Reference) (int64, error) {
	d := ref.Digest
	desc, err := r.store.StatBlob(ctx, r.name, d, &registry.StatOptions{
		Renew: func(context.Context) bool { return !r.opts.DryRun },
	})
	if err == nil {
		r.report.count(func(rep *Report) { rep.Layers.Present.add(desc.Size) })
		return desc.Size, nil
	}
	if !errors.Is(err, registry.ErrBlobUnknown) {
		return 0, err
	}
	// Only what the old registry would serve from this repository.
	target, _, err := readLink(ctx, r.src, layerPath(r.name, d))
	if err != nil {
		return 0, err
	}
	if !r.opts.DryRun {
		desc, err := r.store.MountBlob(ctx, r.name, d, nil)
		if err == nil {
			r.report.count(func(rep *Report) { rep.Layers.Mounted.add(desc.Size) })
			return desc.Size, nil
		}
		if !errors.Is(err, registry.ErrBlobUnknown) {
			return 0, err
		}
	}
	b := &blob{repository: r, ref: ref, path: blobPath(target), alias: target != d}
	if b.file, err = r.src.Open(ctx, b.path); err != nil {
		return 0, sourceError(ctx, b.path, err)
	}
	defer func() { _ = b.file.Close() }()
	if err := checkSize(ref, b.file.Size); err != nil {
		return 0, err
	}
	return b.file.Size, b.take(ctx)
}

// blob is a blob that is taken over from the source.
type blob struct {
	*repository
	ref   manifest.Reference
	path  string
	alias bool // the source has it under another digest
	file  *File
}

func (b *blob) take(ctx context.Context) error {
	if b.opts.DryRun && !b.seen.add(b.ref.Digest) {
		b.report.count(func(rep *Report) { rep.Layers.Mounted.add(b.file.Size) })
		return nil
	}
	how, err := b.adoptable(ctx)
	if err != nil {
		return err
	}
	if how == "" {
		return b.stream(ctx)
	}
	if b.hashes() {
		if err := b.verify(ctx); err != nil {
			return err
		}
	}
	if b.opts.DryRun {
		b.counted(how)
		return nil
	}
	how, err = b.store.AdoptBlob(ctx, b.name, b.ref.Digest, b.file.Size, b.file.Adoptable, b.adoptOptions())
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		if err := b.reopen(ctx); err != nil {
			return err
		}
		return b.stream(ctx)
	case errors.Is(err, driver.ErrNotExist):
		return &Problem{Kind: ProblemMissing, Path: b.path, Message: "vanished during the import"}
	case errors.Is(err, registry.ErrSizeInvalid):
		return &Problem{Kind: ProblemSize, Path: b.path, Message: "changed its size during the import"}
	case err != nil:
		return err
	}
	b.counted(how)
	return nil
}

func (b *blob) adoptOptions() *storage.AdoptOptions {
	return &storage.AdoptOptions{NoLink: b.opts.Link == LinkNever}
}

// counted counts the blob.
func (b *blob) counted(how driver.Adoption) {
	b.report.count(func(rep *Report) {
		switch how {
		case driver.Linked:
			rep.Layers.Linked.add(b.file.Size)
		case driver.Cloned:
			rep.Layers.Cloned.add(b.file.Size)
		case driver.Copied:
			rep.Layers.Copied.add(b.file.Size)
		default: // another repository had it after all
			rep.Layers.Mounted.add(b.file.Size)
		}
	})
}

// adoptions remembers whether the destination can take over files of the source.
type adoptions struct {
	mu       sync.Mutex
	how      driver.Adoption // how it has taken one over; "" if it has not
	failures int             // in a row, before the first success
}

// maxFailures is the number of files that the destination could not take over before no more are tried.
const maxFailures = 8

// adoptable returns how the destination would take over the blob, or "" if it cannot. It tries until
// it has worked once, so that a blob is not hashed and then streamed.
func (b *blob) adoptable(ctx context.Context) (driver.Adoption, error) {
	a := &b.adopt
	if b.alias || b.file.Adoptable == nil || b.file.Size <= storage.InlineSize {
		return "", nil
	}
	a.mu.Lock()
	how, failures := a.how, a.failures
	a.mu.Unlock()
	if how != "" || failures >= maxFailures {
		return how, nil
	}
	o := b.adoptOptions()
	o.DryRun = true
	how, err := b.store.AdoptBlob(ctx, b.name, b.ref.Digest, b.file.Size, b.file.Adoptable, o)
	a.mu.Lock()
	defer a.mu.Unlock()
	if errors.Is(err, errors.ErrUnsupported) {
		a.failures++
		return "", nil
	}
	a.how = how
	return how, err
}

// hashes reports whether the blob is to be read before it is taken over.
func (b *blob) hashes() bool {
	switch b.opts.Verify {
	case VerifyFull:
		return true
	case VerifyNone:
		return false
	}
	n, _ := strconv.ParseUint(b.ref.Digest.Encoded()[:2], 16, 8)
	return (byte(n)^b.salt)%sampleOf == 0
}

// verify reads the blob and compares its digest.
func (b *blob) verify(ctx context.Context) error {
	h := b.ref.Digest.Algorithm().Hash()
	n, err := io.Copy(h, contextReader{ctx, b.file})
	if err != nil {
		return sourceError(ctx, b.path, err)
	}
	b.report.count(func(rep *Report) { rep.Hashed.add(n) })
	if digest.NewDigest(b.ref.Digest.Algorithm(), h) != b.ref.Digest {
		return b.wrongDigest()
	}
	return nil
}

func (b *blob) wrongDigest() error {
	return &Problem{Kind: ProblemDigest, Path: b.path,
		Message: fmt.Sprintf("the bytes do not have the digest %s", b.ref.Digest)}
}

// reopen opens the file of the blob again, to read it from its beginning.
func (b *blob) reopen(ctx context.Context) error {
	_ = b.file.Close()
	f, err := b.src.Open(ctx, b.path)
	if err != nil {
		return sourceError(ctx, b.path, err)
	}
	b.file = f
	return nil
}

// stream copies the blob through this process, which verifies its digest.
func (b *blob) stream(ctx context.Context) error {
	if b.opts.DryRun {
		if b.opts.Verify == VerifyFull {
			if err := b.verify(ctx); err != nil {
				return err
			}
		}
		b.report.count(func(rep *Report) { rep.Layers.Streamed.add(b.file.Size) })
		return nil
	}
	in := &sourceReader{r: contextReader{ctx, b.file}}
	_, err := registry.PushBlob(ctx, b.store, b.name, b.ref.Digest, in)
	switch {
	case in.err != nil:
		return sourceError(ctx, b.path, in.err)
	case errors.Is(err, registry.ErrDigestInvalid):
		return b.wrongDigest()
	case err != nil:
		return err
	}
	b.report.count(func(rep *Report) { rep.Layers.Streamed.add(b.file.Size) })
	return nil
}

// contextReader fails when its context has ended.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

// Read implements [io.Reader].
func (c contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

// sourceReader keeps the error of r, which is that of the source and not of the destination.
type sourceReader struct {
	r   io.Reader
	err error
}

// Read implements [io.Reader].
func (s *sourceReader) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

package replicate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/client"
	"github.com/registrykit/registry/internal/pause"
)

const (
	// pieceSize is the size of a piece of a large blob, in bytes, if Options.Resume is set. A blob is
	// stored in as many parts, and a store serves a blob of one part at less cost.
	pieceSize = 64 << 20
	// maxPieces is the maximum number of pieces. The pieces of very large blobs are larger.
	maxPieces = 128
	// resumeSize is the size in bytes from which on the state of the upload of a blob is kept.
	resumeSize = 1 << 20
	// cleanupTimeout limits requests that clean up after a failure, even if the context has ended.
	cleanupTimeout = 10 * time.Second
)

// copyBlobs copies all blobs of the graph, several at a time. After a failure no further one begins.
func (c *copier) copyBlobs(ctx context.Context) error {
	group, within := errgroup.WithContext(ctx)
	group.SetLimit(c.opts.Parallel)
	for _, b := range c.graph.blobs {
		if within.Err() != nil {
			break
		}
		group.Go(func() error {
			if err := c.copyBlob(within, b); err != nil {
				return b.failure(err)
			}
			return nil
		})
	}
	err := group.Wait()
	if err == nil {
		err = ctx.Err() // the loop ended early
	}
	return err
}

// transfer is the copy of one blob.
type transfer struct {
	c *copier
	b *blob
	// u is the upload of the last attempt, or nil.
	u registry.Upload
	// mixed is set if some bytes of the upload may not be those that the source sends now.
	mixed bool
	// looked is set when the destination was asked to mount the blob, or to resume its upload.
	looked bool
	read   int64 // bytes read from the source, in all attempts
	// began is the size of the upload when the last attempt began to send, and unsure is set if the
	// destination may not know yet what it has received since.
	began  int64
	unsure bool
}

// copyBlob copies a blob unless the destination has it.
func (c *copier) copyBlob(ctx context.Context, b *blob) error {
	t := &transfer{c: c, b: b}
	a := attempts{retries: c.opts.Retries}
	for {
		err := t.try(ctx)
		if err == nil {
			return nil
		}
		if err = a.next(ctx, err, t.read); err != nil {
			t.giveUp(ctx)
			return err
		}
	}
}

// giveUp ends the upload, unless a later copy will go on with it.
func (t *transfer) giveUp(ctx context.Context) {
	if t.u == nil || t.resumable() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	_ = t.u.Cancel(ctx) // if this fails, the upload expires
}

// resumable reports whether the state of the upload is kept.
func (t *transfer) resumable() bool { return t.c.opts.Resume != nil && t.b.desc.Size >= resumeSize }

// try is one attempt.
func (t *transfer) try(ctx context.Context) error {
	if t.u != nil {
		if err := t.refresh(ctx); err != nil {
			return err
		}
	}
	if t.u == nil {
		found, err := t.find(ctx)
		if found || err != nil {
			return err
		}
		if err := t.begin(ctx); err != nil {
			return err
		}
	}
	err := t.send(ctx)
	if err == nil {
		t.c.progress.finish(t.b, nil)
		return t.save("")
	}
	return t.failed(ctx, err)
}

// find reports whether the destination has the blob, or has mounted it.
func (t *transfer) find(ctx context.Context) (bool, error) {
	c, b := t.c, t.b
	renew := &registry.StatOptions{Renew: func(context.Context) bool { return true }}
	desc, err := c.dst.StatBlob(ctx, c.to.repo, b.desc.Digest, renew)
	switch {
	case err == nil && desc.Size != b.desc.Size:
		return false, registry.ErrSizeInvalid.WithMessage(fmt.Sprintf(
			"the destination has the blob with %d bytes; the manifest states %d", desc.Size, b.desc.Size))
	case err == nil:
		c.progress.finish(b, skipped)
		return true, t.save("")
	case !errors.Is(err, registry.ErrBlobUnknown) && !errors.Is(err, registry.ErrNameUnknown):
		return false, fmt.Errorf("looking for it at the destination: %w", err)
	}
	if t.looked {
		return false, nil
	}
	if c.mount(ctx, b) {
		c.progress.finish(b, mounted)
		return true, t.save("")
	}
	return false, nil
}

// mount reports whether the destination has mounted the blob. An error only means that it has not:
// the blob is then uploaded.
func (c *copier) mount(ctx context.Context, b *blob) bool {
	from := c.opts.MountFrom
	if c.same {
		from = append([]string{c.from.repo}, from...)
	}
	for _, repo := range from {
		if repo == c.to.repo {
			continue
		}
		desc, err := c.dst.MountBlob(ctx, c.to.repo, b.desc.Digest, &registry.MountOptions{From: repo})
		if err == nil && desc.Size == b.desc.Size {
			return true
		}
	}
	if len(c.opts.MountFrom) > 0 || c.noSearch.Load() {
		return false
	}
	desc, err := c.dst.MountBlob(ctx, c.to.repo, b.desc.Digest, nil)
	if errors.Is(err, registry.ErrUnsupported) {
		c.noSearch.Store(true)
	}
	return err == nil && desc.Size == b.desc.Size
}

// begin resumes the upload of an earlier copy, or begins one.
func (t *transfer) begin(ctx context.Context) error {
	c, b := t.c, t.b
	if !t.looked {
		t.looked = true
		if err := t.resume(ctx); err != nil || t.u != nil {
			return err
		}
	}
	u, err := c.dst.CreateUpload(ctx, c.to.repo, &registry.UploadOptions{
		Algorithm: b.desc.Digest.Algorithm(), Size: b.desc.Size,
	})
	if err != nil {
		return fmt.Errorf("beginning the upload: %w", err)
	}
	t.u, t.mixed = u, false
	return t.save(u.ID())
}

// resume continues the upload of an earlier copy, if there is one.
func (t *transfer) resume(ctx context.Context) error {
	if !t.resumable() {
		return nil
	}
	id, err := t.c.opts.Resume.Load(t.c.to.repo, t.b.desc.Digest)
	if err != nil {
		return fmt.Errorf("loading the state of the upload: %w", err)
	}
	if id == "" {
		return nil
	}
	u, err := t.settled(ctx, id, func(size int64) bool { return size%t.piece() != 0 })
	switch {
	case err == nil && u.Size() <= t.b.desc.Size:
		t.u, t.mixed = u, u.Size() > 0
		t.c.progress.resumed(t.b, u.Size())
		return nil
	case err != nil && temporary(err):
		t.looked = false // so that the next attempt looks again
		return fmt.Errorf("resuming the upload: %w", err)
	}
	return t.save("") // the upload has ended, or is not one of this blob
}

// refresh brings the upload of the last attempt up to date. It sets u to nil if the upload has ended.
func (t *transfer) refresh(ctx context.Context) error {
	u, err := t.settled(ctx, t.u.ID(), func(size int64) bool { return size != t.began || !t.unsure })
	switch {
	case err == nil && u.Size() <= t.b.desc.Size:
		t.u = u
		return nil
	case err != nil && temporary(err):
		return fmt.Errorf("resuming the upload: %w", err)
	}
	t.u = nil
	return t.save("")
}

// settled returns the upload with an ID when its size is plausible. A registry knows the size of what
// a broken connection has brought only when it has noticed the end of the connection. If that takes
// longer than a few seconds, the size counts as it is.
func (t *transfer) settled(ctx context.Context, id string, plausible func(size int64) bool) (registry.Upload, error) {
	for wait := firstLook; ; wait *= 2 {
		u, err := t.c.dst.ResumeUpload(ctx, t.c.to.repo, id, nil)
		if err != nil || plausible(u.Size()) || wait > lastLook {
			return u, err
		}
		if err := pause.Sleep(ctx, wait); err != nil {
			return nil, err
		}
	}
}

// The pauses between the looks of settled: six of them, 3 seconds in all.
const (
	firstLook = 50 * time.Millisecond
	lastLook  = 1600 * time.Millisecond
)

// piece returns how many bytes of the blob are appended at a time.
func (t *transfer) piece() int64 {
	if t.resumable() {
		return max(pieceSize, (t.b.desc.Size+maxPieces-1)/maxPieces)
	}
	return max(t.b.desc.Size, 1)
}

// save keeps the ID of the upload for a later copy.
func (t *transfer) save(id string) error {
	if !t.resumable() {
		return nil
	}
	if err := t.c.opts.Resume.Save(t.c.to.repo, t.b.desc.Digest, id); err != nil {
		return fmt.Errorf("saving the state of the upload: %w", err)
	}
	return nil
}

// send sends the bytes that the upload lacks, and commits it.
func (t *transfer) send(ctx context.Context) error {
	size, piece := t.b.desc.Size, t.piece()
	in := &source{ctx: ctx, t: t, pos: t.u.Size()}
	defer in.close()
	for {
		at := t.u.Size()
		t.began = at
		rest := size - at
		if rest == 0 {
			_, err := t.u.Commit(ctx, t.b.desc.Digest, nil)
			return in.explain(err)
		}
		in.seek(at)
		if rest <= piece {
			_, err := t.u.Commit(ctx, t.b.desc.Digest, &registry.Chunk{Offset: at, Length: rest, Body: in})
			return in.explain(err)
		}
		if _, err := t.u.Append(ctx, at, piece, in); err != nil {
			return in.explain(err)
		}
		if t.u.Size() <= at {
			return errors.New("the destination has added nothing to the upload")
		}
		if err := t.save(t.u.ID()); err != nil {
			return err
		}
	}
}

// failed decides about the failure of send. The result is temporary if another attempt may succeed.
func (t *transfer) failed(ctx context.Context, err error) error {
	var response *client.Error
	var ofSource final
	t.unsure = !errors.As(err, &response) && errors.Is(err, registry.ErrUnavailable)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &ofSource):
		return err
	case errors.Is(err, registry.ErrDigestInvalid):
		t.u = nil
		if serr := t.save(""); serr != nil {
			return serr
		}
		if t.mixed { // once: the next upload has the bytes of this copy only
			return again{fmt.Errorf("the resumed upload has other content: %w", err)}
		}
		return fmt.Errorf("the source sent other content than the digest says: %w", err)
	case errors.Is(err, registry.ErrRangeInvalid), errors.Is(err, registry.ErrUploadUnknown),
		errors.Is(err, registry.ErrUploadInvalid), errors.Is(err, registry.ErrSizeInvalid):
		// The upload has another size than thought, or has ended, or the connection broke and the
		// destination has responded to a part of the body: refresh finds out.
		return again{err}
	}
	return err
}

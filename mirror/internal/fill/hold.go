package fill

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/pause"
	"github.com/registrykit/registry/storage"
)

const (
	// followedEvery is the time after which the bytes that have come are appended while another
	// replica follows. Otherwise only whole blocks are, which the store never merges.
	followedEvery = 500 * time.Millisecond
	// endTimeout is the maximum time for what a fill writes after it was told to end.
	endTimeout = 30 * time.Second
	// attempts is how often a write to the upload is tried.
	attempts = 3
)

// holding is a fill that holds the lease. Three goroutines work on it: the pump brings the bytes
// into memory, store appends them to the upload, and keep renews the lease.
type holding struct {
	*fill
	lease  *lease
	upload storage.FollowUpload // only store uses it
	from   int64                // the position at which the fill has begun

	// The fields below are guarded by fill.mu.
	ended    bool  // the pump has ended
	pumpErr  error // why it has ended before the end of the blob
	followed bool  // another replica follows
	etag     string
	url      string // that etag is of
	wrong    string // the URL to blame if the content is wrong
}

// hold fills the blob. It returns nil when the store has it.
//
// Errors: errLost; errAgain; any error with which the fill ends. The upload is then kept, unless the
// content was wrong.
func (h *holding) hold(ctx context.Context) error {
	h.etag, h.url = h.lease.rec.ETag, h.lease.rec.URL
	h.restart(h.upload)
	if h.from = h.stored; h.from > 0 {
		h.fills.resumed.Add(1)
	}
	h.fills.begun.Add(1)
	whole, err := h.resumeAtEnd()
	if err != nil {
		return err
	}
	pumping, cancel := context.WithCancelCause(ctx)
	keeping, stop := context.WithCancel(context.WithoutCancel(ctx))
	var tasks sync.WaitGroup
	tasks.Go(func() {
		var err error
		if !whole {
			err = h.pump(pumping)
		}
		h.mu.Lock()
		h.ended, h.pumpErr = true, err
		h.mu.Unlock()
		h.changed.notify()
	})
	tasks.Go(func() { h.keep(keeping, cancel) })
	err = h.store(pumping)
	cancel(err)
	stop()
	tasks.Wait()
	return h.settle(context.WithoutCancel(ctx), err)
}

// resumeAtEnd reports whether the upload already has all bytes of the blob.
//
// Errors: errAgain if it has other bytes. The upload is then dropped.
func (h *holding) resumeAtEnd() (whole bool, err error) {
	if h.stored == 0 {
		return false, nil
	}
	d, err := h.upload.Digest()
	switch {
	case err != nil:
		return false, err
	case d == h.digest:
		h.verified()
		return true, nil
	case h.size < 0 || h.stored < h.size:
		return false, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), endTimeout)
	defer cancel()
	return false, errors.Join(errAgain, h.drop(ctx))
}

// store appends what the pump brings, and commits the upload at the end.
//
// Errors: the cause of ctx, or the error of the pump, when what has come is stored; errLost;
// registry.ErrNoSpace; errWrong; any error of the storage.
func (h *holding) store(ctx context.Context) error {
	last := time.Now()
	for {
		changed := h.changed.wait()
		chunk, ended, err := h.next(time.Since(last) >= followedEvery)
		switch {
		case errors.Is(context.Cause(ctx), errLost):
			return errLost
		case ended && err == nil && h.stored == 0:
			return h.commitAtOnce(ctx, chunk)
		case len(chunk) > 0:
			if err := h.append(context.WithoutCancel(ctx), chunk); err != nil {
				return err
			}
			last = time.Now()
		case ended && err != nil:
			return err
		case ended:
			return h.commit(context.WithoutCancel(ctx))
		default:
			wait, cancel := context.WithTimeout(context.WithoutCancel(ctx), followedEvery)
			select {
			case <-changed:
			case <-wait.Done():
			}
			cancel()
		}
	}
}

// next returns the next bytes for the upload: the rest of a block that is full. If the pump has
// ended, or if another replica follows and it is due, the block need not be full. The bytes stay in
// memory until they are stored. ended reports that nothing comes after them; err is then the error
// of the pump.
func (h *holding) next(due bool) (chunk []byte, ended bool, err error) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	chunk, full := h.window.at(h.stored)
	end := h.stored + int64(len(chunk))
	switch {
	case h.ended && isWrong(h.pumpErr):
		return nil, true, h.pumpErr
	case h.ended:
		return chunk, end == h.window.end() && (h.stored == 0 || len(chunk) == 0), h.pumpErr
	case full && (h.stored > 0 || end != h.size), h.followed && due:
		return chunk, false, nil
	}
	return nil, false, nil // a blob of one block is committed at once
}

// isWrong reports whether err means that the bytes are not those of the blob.
func isWrong(err error) bool { return errors.Is(err, errWrong) || errors.Is(err, ErrChanged) }

// append appends chunk to the upload. It tries again if the storage fails.
//
// Errors: errLost if another fill has changed the upload; registry.ErrNoSpace; any error of the
// storage.
func (h *holding) append(ctx context.Context, chunk []byte) error {
	from := h.stored
	to := from + int64(len(chunk))
	for n := 1; ; n++ {
		_, err := h.upload.Append(ctx, from, int64(len(chunk)), bytes.NewReader(chunk))
		if err != nil {
			err = h.review(ctx, err, from, to)
		}
		if err == nil {
			h.kept(h.upload)
			return nil
		}
		if n == attempts || errors.Is(err, errLost) || errors.Is(err, registry.ErrNoSpace) {
			return err
		}
		_ = pause.Sleep(ctx, pause.Backoff(n, 100*time.Millisecond, time.Second))
	}
}

// review looks at the upload after an Append of the bytes from from to to has failed with err. It
// returns nil if the bytes are there nevertheless, and err if it is worth trying again.
//
// Errors: errLost.
func (h *holding) review(ctx context.Context, err error, from, to int64) error {
	if rerr := h.upload.Refresh(ctx); errors.Is(rerr, registry.ErrUploadUnknown) {
		return errLost
	} else if rerr != nil {
		return err
	}
	switch size := h.upload.Size(); {
	case size == to:
		return nil // by this fill, or by one that has the same bytes
	case size != from:
		return errLost
	}
	return err
}

// commitAtOnce commits a blob that is in memory as a whole, by the fewest requests.
//
// Errors: as commit.
func (h *holding) commitAtOnce(ctx context.Context, content []byte) error {
	got := h.digest.Algorithm().FromBytes(content)
	if got != h.digest {
		return wrongDigest(got)
	}
	h.verified()
	ctx = context.WithoutCancel(ctx)
	last := &registry.Chunk{Length: int64(len(content)), Body: bytes.NewReader(content)}
	_, err := h.upload.Commit(ctx, h.digest, last)
	if err == nil || errors.Is(err, registry.ErrNoSpace) {
		return err
	}
	if stored, serr := h.isStored(ctx); stored || serr != nil {
		return serr
	}
	if err := h.append(ctx, content); err != nil {
		return err
	}
	return h.commit(ctx)
}

// commit makes the upload the blob. Readers get the last bytes before that, once the digest is
// right.
//
// Errors: errWrong; errLost; registry.ErrNoSpace; any error of the storage.
func (h *holding) commit(ctx context.Context) error {
	got, err := h.upload.Digest()
	if err != nil {
		return err
	}
	if got != h.digest {
		return wrongDigest(got)
	}
	h.verified()
	for n := 1; ; n++ {
		_, err := h.upload.Commit(ctx, h.digest, nil)
		if err == nil || errors.Is(err, registry.ErrNoSpace) {
			return err
		}
		// The response of a write may be lost, and another fill may have been faster.
		if stored, serr := h.isStored(ctx); stored {
			return nil
		} else if serr == nil && errors.Is(err, registry.ErrUploadUnknown) {
			return errLost
		}
		if n == attempts {
			return err
		}
		_ = pause.Sleep(ctx, pause.Backoff(n, 100*time.Millisecond, time.Second))
		if err := h.upload.Refresh(ctx); errors.Is(err, registry.ErrUploadUnknown) {
			return errLost
		}
	}
}

// wrongDigest returns errWrong for content with another digest.
func wrongDigest(got digest.Digest) error {
	return fmt.Errorf("%w: the digest of the content is %s", errWrong, got)
}

// settle leaves the lease and the upload as the next fill of the blob needs them, after this fill
// has ended with err. It returns the error for the readers.
func (h *holding) settle(ctx context.Context, err error) error {
	ctx, cancel := context.WithTimeout(ctx, endTimeout)
	defer cancel()
	switch {
	case err == nil:
		h.finish(nil) // readers need not wait for the lease
		_ = h.lease.remove(ctx, h.holder)
		return nil
	case errors.Is(err, errLost):
		h.abandon()
		_ = h.lease.read(ctx) // if it fails, so does the next write
		return err
	case isWrong(err):
		h.blame(err)
		_ = h.drop(ctx)
		_ = h.lease.remove(ctx, h.holder)
		if h.retryable() {
			return errAgain
		}
		return err
	case errors.Is(err, registry.ErrNoSpace):
		h.fills.setFull()
		_ = h.drop(ctx)
		_ = h.lease.remove(ctx, h.holder)
		return errFull
	case h.stored == 0:
		_ = h.lease.remove(ctx, h.holder)
		return err
	}
	_ = h.lease.change(ctx, h.holder, func(rec *leaseRecord) {
		h.describe(rec)
		rec.Holder = ""
	})
	return err
}

// retryable reports whether another URL may be tried for the same readers after wrong content: none
// of it could be read. It counts the attempts.
func (h *holding) retryable() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.wrongs++
	return h.size >= 0 && h.size <= holdback && h.wrongs < attempts
}

// drop cancels the upload.
func (h *holding) drop(ctx context.Context) error {
	err := h.upload.Cancel(ctx)
	if errors.Is(err, registry.ErrUploadUnknown) {
		return nil
	}
	return err
}

// blame excludes the URL that has sent wrong content. If an earlier fill got the first bytes, their URL is
// not known, and the next fill begins anew.
func (h *holding) blame(reason error) {
	if h.from > 0 || errors.Is(reason, ErrChanged) {
		return
	}
	h.mu.RLock()
	url := h.wrong
	h.mu.RUnlock()
	if url != "" {
		h.source.Blame(url, h.digest, reason)
	}
}

// keep renews the lease until ctx ends. It cancels the fill if another one has taken the lease.
func (h *holding) keep(ctx context.Context, cancel context.CancelCauseFunc) {
	beat := time.Now()
	for pause.Sleep(ctx, h.fills.opts.Lease/10) == nil {
		var err error
		if time.Since(beat) >= h.fills.opts.Lease/3-h.fills.opts.Lease/20 {
			beat = time.Now()
			err = h.lease.change(ctx, h.holder, func(rec *leaseRecord) {
				h.describe(rec)
				rec.Beat++
			})
		} else if !h.lease.rec.Followed {
			err = h.lease.reread(ctx, h.holder)
		}
		if errors.Is(err, errLost) {
			cancel(errLost)
			return
		}
		if h.lease.rec.Followed {
			h.mu.Lock()
			h.followed = true
			h.mu.Unlock()
			h.changed.notify()
		}
	}
}

// describe notes the state of the fill in the record of the lease.
func (h *holding) describe(rec *leaseRecord) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	rec.Upload, rec.Size, rec.ETag, rec.URL = h.fill.upload, h.size, h.etag, h.url
}

package fill

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry/storage"
)

const (
	// holdback is the number of bytes at the end of a blob that readers get only once the digest of
	// the whole blob is right. A client cannot take a wrong blob for a complete one without them.
	holdback = 64 << 10
	// small is the number of missing bytes below which a fill goes on without a reader.
	small = 64 << 20
)

// fill is a blob on its way into the store. Its goroutine is run; see run.go.
type fill struct {
	fills  *Fills
	key    string // of the lease
	repo   string
	digest digest.Digest
	source Source
	holder string // identifies this fill in a lease
	cancel context.CancelCauseFunc

	// changed is notified when the goroutine that stores the bytes has something to do.
	changed signal
	// room is notified when the upload has more, so that a block of the window may be free.
	room signal
	// updated is notified when the upload has another state, and at the end.
	updated signal
	// begun is closed when the size is known and the first bytes are on their way, or at the end.
	begun chan struct{}
	// ended is closed when the store has the blob, or the fill has failed.
	ended chan struct{}

	mu      sync.RWMutex
	size    int64 // of the blob, or -1 while it is not known
	started bool  // begun is closed
	window  window
	upload  string           // ID of the upload
	name    string           // Name of the upload
	older   storage.Snapshot // what the upload has; nil while it has nothing
	stored  int64            // the number of bytes that the upload has
	right   bool             // the digest of all bytes is right
	whole   bool             // the store has the blob
	// moves are the times at which the fill went on with other bytes than those that readers have
	// got: for each, the number of bytes that stayed the same for certain.
	moves []int64
	err   error // why the fill has failed
	// misled is the error for readers who believe in another size than the blob has. The fill stores
	// the blob nevertheless.
	misled  error
	waiters waiters
	wrongs  int // how often the content was wrong
	readers int
	linger  *time.Timer // runs while there is no reader
	stopped bool        // the fill ends for want of readers
}

// newFill returns the fill that a request begins.
func newFill(f *Fills, r *Request, holder string, cancel context.CancelCauseFunc) *fill {
	return &fill{
		fills: f, key: leaseKey(r.Repository, r.Digest), repo: r.Repository, digest: r.Digest, source: r.Source,
		holder: holder, cancel: cancel, begun: make(chan struct{}), ended: make(chan struct{}), size: r.Size,
	}
}

// limit returns the position up to which readers may read. The caller holds mu.
func (fl *fill) limit() int64 {
	switch end := fl.window.end(); {
	case fl.right:
		return end
	case fl.size < 0:
		return 0
	default:
		return min(end, max(0, fl.size-holdback))
	}
}

// place is where a byte of a blob is.
type place int

const (
	nowhere  place = iota // it has not come yet
	inMemory              // in the window
	inUpload              // in the upload
	inStore               // the store has the blob
)

// view is what a reader finds at a position.
type view struct {
	place place
	n     int              // inMemory: the number of bytes copied
	older storage.Snapshot // inUpload
	end   int64            // inUpload: the position up to which the reader may read
}

// track is what a reader has got of a fill.
type track struct {
	moves int   // the number of fill.moves that it knows
	far   int64 // the end of the bytes that it has got
}

// look finds the byte at pos. If it is in memory, look copies it and those that follow to p.
//
// Errors: the error of the fill; errMoved if the reader has got bytes that need not be those of the
// blob. A digest that is right later says nothing about them, so the reader must not get the rest.
func (fl *fill) look(pos int64, p []byte, t *track) (view, error) {
	fl.mu.RLock()
	defer fl.mu.RUnlock()
	for _, same := range fl.moves[t.moves:] {
		if t.far > same {
			return view{}, errMoved
		}
	}
	t.moves = len(fl.moves)
	return fl.find(pos, p)
}

// find is look for a caller that holds mu.
func (fl *fill) find(pos int64, p []byte) (view, error) {
	switch {
	case fl.misled != nil:
		return view{}, fl.misled
	case fl.whole:
		return view{place: inStore}, nil
	case fl.err != nil:
		return view{}, fl.err
	}
	limit := fl.limit()
	if pos >= limit {
		return view{}, nil
	}
	if b, _ := fl.window.at(pos); b != nil {
		return view{place: inMemory, n: copy(p, b[:min(int64(len(b)), limit-pos)])}, nil
	}
	if fl.older == nil || pos >= fl.older.Size() {
		return view{}, nil
	}
	return view{place: inUpload, older: fl.older, end: min(limit, fl.older.Size())}, nil
}

// wait waits until it is worth looking for the byte at pos again.
//
// Errors: the error of ctx.
func (fl *fill) wait(ctx context.Context, pos int64) error {
	fl.mu.Lock()
	if v, err := fl.find(pos, nil); err != nil || v.place != nowhere {
		fl.mu.Unlock()
		return nil
	}
	w := fl.waiters.add(pos)
	fl.mu.Unlock()
	select {
	case <-w.ready:
		return nil
	case <-ctx.Done():
		fl.mu.Lock()
		defer fl.mu.Unlock()
		fl.waiters.remove(w)
		return context.Cause(ctx)
	}
}

// start notes that the blob has a size and is on its way. A reader of an empty blob is at its end at
// once, so the digest must be right before. The caller holds mu.
func (fl *fill) start(size int64) {
	fl.size = size
	if (size > 0 || size == 0 && fl.right) && !fl.started {
		fl.started = true
		close(fl.begun)
	}
}

// came counts n bytes more in memory.
func (fl *fill) came(n int) {
	fl.mu.Lock()
	fl.window.advance(n)
	fl.waiters.wake(fl.limit())
	fl.mu.Unlock()
	fl.fills.bytes.Add(int64(n))
}

// kept notes what the upload has.
func (fl *fill) kept(up storage.FollowUpload) {
	fl.mu.Lock()
	defer fl.mu.Unlock()
	fl.upload, fl.stored, fl.older = up.ID(), up.Size(), up.Snapshot()
	fl.room.notify()
	fl.updated.notify()
}

// restart makes what the upload has all that there is.
func (fl *fill) restart(up storage.FollowUpload) {
	fl.mu.Lock()
	if fl.name != "" && fl.name != up.Name() {
		fl.move(0)
	}
	fl.name, fl.right = up.Name(), false
	fl.mu.Unlock()
	fl.kept(up)
	fl.mu.Lock()
	defer fl.mu.Unlock()
	fl.window.reset(fl.stored)
	if fl.stored > 0 {
		fl.start(fl.size)
	}
	fl.waiters.wake(fl.limit())
}

// abandon forgets the bytes that the upload does not have. Another fill continues the upload.
func (fl *fill) abandon() {
	fl.mu.Lock()
	defer fl.mu.Unlock()
	fl.move(fl.stored)
	fl.window.reset(fl.stored)
	fl.right = false
}

// move notes that the fill goes on with other bytes, after the same first ones. Bytes with the right
// digest cannot change any more. The caller holds mu.
func (fl *fill) move(same int64) {
	if !fl.right {
		fl.moves = append(fl.moves, same)
		fl.waiters.wake(1<<63 - 1)
	}
}

// check compares the size that readers believe in with that of the blob. It is that of a manifest, which
// may be wrong; a reader would take the first bytes of the blob for all of it. The caller holds mu.
func (fl *fill) check(size int64) {
	if fl.size >= 0 && fl.size != size && fl.misled == nil {
		fl.misled = fmt.Errorf("%w: it has %d bytes instead of %d", errWrong, size, fl.size)
		fl.waiters.wake(1<<63 - 1)
	}
}

// found notes that the store has the blob, of size bytes, by whatever upload.
//
// Errors: those of the storage.
func (fl *fill) found(ctx context.Context, size int64) error {
	fl.mu.Lock()
	older, right := fl.older, fl.right
	fl.check(size)
	fl.mu.Unlock()
	if older == nil || right {
		return nil
	}
	became, err := older.Became(ctx, fl.digest)
	if err == nil && !became {
		fl.mu.Lock()
		defer fl.mu.Unlock()
		fl.move(0)
	}
	return err
}

// verified notes that the digest of all bytes is right. Readers get the last bytes.
func (fl *fill) verified() {
	fl.mu.Lock()
	defer fl.mu.Unlock()
	fl.right = true
	fl.check(fl.window.end())
	fl.start(fl.window.end())
	fl.waiters.wake(fl.limit())
}

// finish ends the fill: with success, if err is nil.
func (fl *fill) finish(err error) {
	fl.mu.Lock()
	defer fl.mu.Unlock()
	if fl.whole || fl.err != nil {
		return
	}
	fl.whole, fl.err = err == nil, err
	fl.window.reset(fl.window.end()) // the store has the bytes, or nobody gets them
	fl.older = nil
	fl.waiters.wake(1<<63 - 1)
	fl.updated.notify()
	if !fl.started {
		fl.started = true
		close(fl.begun)
	}
	close(fl.ended)
}

// join counts a reader. It reports false if the fill is ending for want of readers.
func (fl *fill) join() bool {
	fl.mu.Lock()
	defer fl.mu.Unlock()
	if fl.stopped {
		return false
	}
	fl.readers++
	if fl.linger != nil {
		fl.linger.Stop()
		fl.linger = nil
	}
	return true
}

// leave removes a reader from the count.
func (fl *fill) leave() {
	fl.mu.Lock()
	defer fl.mu.Unlock()
	if fl.readers--; fl.readers == 0 && !fl.whole && fl.err == nil {
		fl.linger = time.AfterFunc(fl.fills.opts.Linger, fl.idle)
	}
}

// idle ends a fill that has had no reader for a while, unless little is missing.
func (fl *fill) idle() {
	fl.mu.Lock()
	missing := fl.size - fl.window.end()
	goesOn := fl.size >= 0 && (missing < small || missing < fl.size/4)
	stop := fl.readers == 0 && fl.linger != nil && !fl.whole && fl.err == nil && !goesOn
	fl.stopped = fl.stopped || stop
	fl.mu.Unlock()
	if stop {
		fl.fills.forget(fl)
		fl.cancel(errIdle)
	}
}

package fill

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/options"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver"
)

// Defaults of [Options].
const (
	DefaultBlock  = 4 << 20
	DefaultDirect = 1 << 20
	DefaultLease  = 10 * time.Second
	DefaultWait   = 30 * time.Second
	DefaultLinger = 10 * time.Second
)

// fullFor is how long nothing is stored after the storage was full.
const fullFor = time.Minute

// Fills are the fills of one process. It is safe for concurrent use.
type Fills struct {
	store  *storage.Store
	driver driver.Driver
	opts   Options
	log    *slog.Logger

	mu     sync.Mutex
	active map[string]*fill // by the key of the lease
	closed bool
	full   time.Time      // until when nothing is stored
	tasks  sync.WaitGroup // the goroutines of the fills

	begun, resumed, failed, wrong, bytes, direct, readers atomic.Int64
}

// New returns the Fills of a store. d is the driver of the store, for the leases. It starts nothing.
// opts may be nil.
func New(store *storage.Store, d driver.Driver, opts *Options) *Fills {
	f := &Fills{store: store, driver: d, opts: options.Value(opts), active: map[string]*fill{}}
	options.Default(&f.opts.Block, DefaultBlock)
	options.Default(&f.opts.Direct, DefaultDirect)
	options.Default(&f.opts.Lease, DefaultLease)
	options.Default(&f.opts.Wait, DefaultWait)
	options.Default(&f.opts.Linger, DefaultLinger)
	if f.log = f.opts.Logger; f.log == nil {
		f.log = slog.New(slog.DiscardHandler)
	}
	return f
}

// Open returns a blob that the store does not have yet. It begins a fill, or joins the one in
// progress in this or another process. The last bytes come when the whole blob has its digest;
// otherwise the Body fails, and the store has nothing of it. If the storage is full, the bytes come
// straight from the upstream and are not stored.
//
// A small part of a blob that nothing fills is passed through, see Options.Direct. Its bytes are not
// verified.
//
// Errors: those of Source.Fetch.
func (f *Fills) Open(ctx context.Context, r *Request) (*registry.Blob, error) {
	if f.isFull() {
		return f.openDirect(ctx, r)
	}
	if f.passes(ctx, r) {
		b, err := f.openPart(ctx, r)
		if !errors.Is(err, registry.ErrUnsupported) {
			return b, err
		}
	}
	fl, err := f.join(r)
	if err != nil {
		return nil, err
	}
	size, err := fl.opened(ctx)
	switch {
	case errors.Is(err, errUnstored):
		f.leave(fl)
		return f.openDirect(ctx, r)
	case err != nil:
		f.leave(fl)
		return nil, err
	}
	return f.blob(r, size, newBody(ctx, fl, r.Source, size)), nil
}

// opened waits until the size of the blob is known and its first bytes are on their way. It returns
// the size.
//
// Errors: the error of the fill; the error of ctx.
func (fl *fill) opened(ctx context.Context) (size int64, err error) {
	select {
	case <-fl.begun:
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
	fl.mu.RLock()
	size, err = fl.size, cmp.Or(fl.misled, fl.err)
	fl.mu.RUnlock()
	if err == nil && size < 0 { // the store had the blob already
		desc, err := fl.fills.store.StatBlob(ctx, fl.repo, fl.digest, nil)
		return desc.Size, err
	}
	return size, err
}

// Wait returns when the store has the blob. It fills it if necessary, without a reader.
//
// Errors: those of Source.Fetch; registry.ErrNoSpace if the storage is full; registry.ErrUnavailable
// if another process that fills the blob makes no progress.
func (f *Fills) Wait(ctx context.Context, r *Request) error {
	if f.isFull() {
		return registry.ErrNoSpace
	}
	fl, err := f.join(r)
	if err != nil {
		return err
	}
	defer f.leave(fl)
	select {
	case <-fl.ended:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	fl.mu.RLock()
	err = fl.err
	fl.mu.RUnlock()
	switch {
	case !errors.Is(err, errUnstored):
		return err
	case f.isFull():
		return registry.ErrNoSpace.WithCause(err)
	}
	return registry.ErrUnavailable.WithCause(err)
}

// Close ends all fills of this process, keeps what has come, and releases the leases. Readers get an
// error. Open then returns registry.ErrUnavailable.
func (f *Fills) Close() {
	f.mu.Lock()
	f.closed = true
	for _, fl := range f.active {
		fl.cancel(errClosed)
	}
	f.mu.Unlock()
	f.tasks.Wait()
}

// Stats returns the counters since New.
func (f *Fills) Stats() Stats {
	f.mu.Lock()
	active := len(f.active)
	f.mu.Unlock()
	return Stats{
		Fills: f.begun.Load(), Resumed: f.resumed.Load(), Failed: f.failed.Load(), Wrong: f.wrong.Load(),
		Bytes: f.bytes.Load(), Direct: f.direct.Load(), Active: int64(active), Readers: f.readers.Load(),
	}
}

// join returns the fill of a blob, and counts a reader of it. It begins the fill if there is none.
//
// Errors: registry.ErrUnavailable after Close.
func (f *Fills) join(r *Request) (*fill, error) {
	key := leaseKey(r.Repository, r.Digest)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil, errClosed
	}
	fl := f.active[key]
	if fl == nil || !fl.join() {
		ctx, cancel := context.WithCancelCause(context.Background())
		fl = newFill(f, r, rand.Text(), cancel)
		fl.join()
		f.active[key] = fl
		f.tasks.Go(func() {
			defer cancel(nil)
			fl.run(ctx)
		})
	}
	f.readers.Add(1)
	return fl, nil
}

// leave removes a reader of a fill from the counts.
func (f *Fills) leave(fl *fill) {
	f.readers.Add(-1)
	fl.leave()
}

// running reports whether this process fills the blob with the lease key.
func (f *Fills) running(key string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.active[key] != nil
}

// forget makes the next request for the blob begin another fill.
func (f *Fills) forget(fl *fill) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.active[fl.key] == fl {
		delete(f.active, fl.key)
	}
}

// setFull notes that the storage is full.
func (f *Fills) setFull() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.full = time.Now().Add(fullFor)
}

// isFull reports whether the storage was full a short time ago.
func (f *Fills) isFull() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return time.Now().Before(f.full)
}

// blob returns the result of Open.
func (f *Fills) blob(r *Request, size int64, b io.ReadSeekCloser) *registry.Blob {
	return &registry.Blob{
		Descriptor: ocispec.Descriptor{MediaType: "application/octet-stream", Digest: r.Digest, Size: size}, Body: b,
	}
}

//go:build linux || darwin

package disk

import (
	"cmp"
	"context"
	"errors"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/registrykit/registry/storage/driver"
)

// maxParallel is the maximum number of files and directories that one call syncs at the same time.
// File systems commit them together.
const maxParallel = 16

// Sync implements [driver.Driver]. It does nothing for an object that is known to be durable. It
// appends the state of a small object to the journal. It syncs the file of any other object, its
// directory, and the parents that this process does not know to be durable. Concurrent calls share
// the syncs of the journal and of directories.
//
// After an error, the caller must put the objects again: systems report a lost write once, and a
// later sync succeeds although the write is lost.
func (d *Driver) Sync(ctx context.Context, keys ...string) error {
	for _, key := range keys {
		if err := d.check(ctx, "sync", key); err != nil {
			return err
		}
	}
	if d.fsync == nil || len(keys) == 0 {
		return ctx.Err()
	}
	paths := make([]string, len(keys))
	for i, key := range keys {
		paths[i] = keyPath(key)
	}
	sync := d.syncFiles
	if d.journal != nil {
		sync = d.syncByJournal
	}
	if err := sync(ctx, paths); err != nil {
		return failure("sync", keys[0], err)
	}
	return nil
}

// syncFiles syncs the objects at paths and their directories.
func (d *Driver) syncFiles(ctx context.Context, paths []string) error {
	if len(paths) == 0 {
		return nil
	}
	b, err := d.newBatch()
	if err != nil {
		return err
	}
	for _, path := range paths {
		if err := b.addKey(path); err != nil {
			return err
		}
	}
	return b.run(ctx)
}

// syncByJournal makes the objects at paths durable. It appends the small ones to the journal and
// syncs the others.
func (d *Driver) syncByJournal(ctx context.Context, paths []string) error {
	var demands, kept []*demand
	var direct []string
	for _, path := range paths {
		var st syscall.Stat_t
		switch err := d.object(path, &st); {
		case errors.Is(err, driver.ErrNotExist):
			demands = append(demands, &demand{path: path})
		case err != nil:
			return err
		case !hasOtherNames(&st) && d.known.file(stampOf(&st)) == wholeSafe:
		case st.Size > maxSmall || hasOtherNames(&st):
			direct = append(direct, path)
			if isForeign(&st) {
				kept = append(kept, &demand{path: path, kept: true})
			}
		default:
			demands = append(demands, &demand{path: path})
		}
	}
	var jobs []func() error
	if len(demands) > 0 {
		jobs = append(jobs, func() error { return d.journal.sync(ctx, demands) })
	}
	if len(direct) > 0 {
		jobs = append(jobs, func() error { return d.syncFiles(ctx, direct) })
	}
	if err := parallel(ctx, jobs); err != nil {
		return err
	}
	direct = nil
	for _, m := range demands {
		if m.direct {
			direct = append(direct, m.path)
		}
	}
	if err := d.syncFiles(ctx, direct); err != nil {
		return err
	}
	// After a kept record, replay ignores the older records of the path. So the file is synced
	// first.
	return d.journal.sync(ctx, kept)
}

// publishTime is longer, in nanoseconds, than the driver mostly takes from setting the time of an
// object to publishing it.
const publishTime = int64(100 * time.Millisecond)

// isForeign reports whether the time of a file may be before that of older records of its path:
// another program may have put it there.
func isForeign(st *syscall.Stat_t) bool {
	return hasOtherNames(st) || ctime(st)-mtime(st) > publishTime
}

// syncWritten makes an object durable whose content is already synced. small reports that the
// journal can have it.
func (d *Driver) syncWritten(path string, s stamp, small bool) error {
	if d.fsync == nil {
		return nil
	}
	if d.journal != nil && small {
		return d.syncByJournal(context.Background(), []string{path})
	}
	b, err := d.newBatch()
	if err != nil {
		return err
	}
	b.done[s] = true
	b.addDir(parent(path))
	return b.run(context.Background())
}

// batch is the set of files and directories that one call must sync.
type batch struct {
	d     *Driver
	epoch int64
	files map[string]stamp // by path, as they were seen
	dirs  map[string]bool  // paths
	above map[string]bool  // directories that are durable once dirs are synced
	done  map[stamp]bool   // files that are durable once all is synced
	mu    sync.Mutex       // guards done while it runs
}

// newBatch must be called before the caller reads any attributes, so that they belong to the epoch
// of the batch or to a later one.
func (d *Driver) newBatch() (*batch, error) {
	epoch, err := d.epoch()
	if err != nil {
		return nil, err
	}
	return &batch{
		d: d, epoch: epoch,
		files: make(map[string]stamp), dirs: make(map[string]bool), above: make(map[string]bool), done: make(map[stamp]bool),
	}, nil
}

// addKey adds the object at path, unless it is known to be durable. If there is none, addKey adds
// the nearest existing directory above it, which records its absence.
func (b *batch) addKey(path string) error { return b.add(path, b.d.known.file) }

// addUnknown is addKey for an object whose file must be synced in any case.
func (b *batch) addUnknown(path string) error {
	return b.add(path, func(stamp) safety { return unknown })
}

func (b *batch) add(path string, known func(stamp) safety) error {
	var st syscall.Stat_t
	switch err := b.d.object(path, &st); {
	case errors.Is(err, driver.ErrNotExist):
		for path = parent(path); path != "" && lstat(b.d.objects+path, &st) != nil; {
			path = parent(path)
		}
		b.addDir(path)
		return nil
	case err != nil:
		return err
	default:
		s := stampOf(&st)
		if hasOtherNames(&st) { // the ledger may know another name of the file
			b.files[path] = s
			break
		}
		switch known(s) {
		case wholeSafe:
			return nil
		case contentSafe:
			b.done[s] = true
		case unknown:
			b.files[path] = s
		}
	}
	b.addDir(parent(path))
	return nil
}

// addDir adds a directory and the directories above it, up to one that is known to be durable.
func (b *batch) addDir(path string) {
	b.dirs[path] = true
	for ; path != "" && !b.above[path] && !b.d.known.dir(b.epoch, path); path = parent(path) {
		b.above[path] = true
		b.dirs[parent(path)] = true
	}
}

// run syncs the whole batch in parallel, and records in the ledger what is durable then.
func (b *batch) run(ctx context.Context) error {
	jobs := make([]func() error, 0, len(b.files)+len(b.dirs))
	for path, s := range b.files {
		jobs = append(jobs, func() error { return b.syncObject(path, s) })
	}
	for path := range b.dirs {
		jobs = append(jobs, func() error { return b.d.flights.do(path, b.d.syncDir) })
	}
	if err := parallel(ctx, jobs); err != nil {
		return err
	}
	b.d.known.addDirs(b.epoch, b.above)
	for s := range b.done {
		b.d.known.add(s, wholeSafe)
	}
	return nil
}

// syncObject syncs the file at path. If the file has been replaced or removed since addKey saw it,
// syncObject syncs the directory once more: the first sync may have come before that change, and
// would leave on disk the name of a file that was never synced.
func (b *batch) syncObject(path string, seen stamp) error {
	s, shared, err := b.syncContent(path)
	if err == nil && s != seen {
		err = b.d.flights.do(parent(path), b.d.syncDir)
	}
	if err != nil || shared || s == (stamp{}) {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.done[s] = true
	return nil
}

// syncContent syncs the file at path and returns its stamp, which is zero if there is no file. shared
// reports whether the file has other names, so that its stamp does not identify this one.
func (b *batch) syncContent(path string) (s stamp, shared bool, err error) {
	var st syscall.Stat_t
	fd, err := b.d.openObject(path, &st)
	if errors.Is(err, driver.ErrNotExist) {
		return stamp{}, false, nil
	}
	if err != nil {
		return stamp{}, false, err
	}
	f := os.NewFile(uintptr(fd), b.d.objects+path)
	defer func() { _ = f.Close() }()
	return stampOf(&st), hasOtherNames(&st), b.d.fsync(f)
}

// syncDir syncs the directory at path. If the directory has been removed, it syncs the nearest
// existing directory above it, which records the removal.
func (d *Driver) syncDir(path string) error {
	for {
		err := d.syncDirectory(d.objects + path)
		if err == nil || path == "" || !errors.Is(openError(err), driver.ErrNotExist) {
			return err
		}
		path = parent(path)
	}
}

// parallel runs jobs, at most maxParallel of them at the same time, and returns when none is
// running any more. No job starts after one has failed or ctx has ended. parallel returns the first
// error.
func parallel(ctx context.Context, jobs []func() error) error {
	if err := ctx.Err(); err != nil || len(jobs) == 0 {
		return err
	}
	if len(jobs) == 1 {
		return jobs[0]()
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(maxParallel)
	for _, job := range jobs {
		if gctx.Err() != nil {
			break
		}
		g.Go(func() error {
			if err := gctx.Err(); err != nil {
				return err // Go may have waited for its turn
			}
			return job()
		})
	}
	return cmp.Or(g.Wait(), ctx.Err())
}

// flights lets callers share one sync of a directory. A caller joins a sync that has not begun yet,
// which covers its changes. It never joins a sync that is running, which may not cover them.
type flights struct {
	mu      sync.Mutex
	running map[string]*flight
	waiting map[string]*flight
}

type flight struct {
	landed chan struct{}
	err    error
}

// do runs sync for path, or returns the result of a sync that begins after the call of do.
func (fs *flights) do(path string, sync func(string) error) error {
	fs.mu.Lock()
	if f := fs.waiting[path]; f != nil {
		fs.mu.Unlock()
		<-f.landed
		return f.err
	}
	f := &flight{landed: make(chan struct{})}
	if ahead := fs.running[path]; ahead != nil {
		if fs.waiting == nil {
			fs.waiting = make(map[string]*flight)
		}
		fs.waiting[path] = f
		fs.mu.Unlock()
		<-ahead.landed
		fs.mu.Lock()
		delete(fs.waiting, path)
	}
	if fs.running == nil {
		fs.running = make(map[string]*flight)
	}
	fs.running[path] = f
	fs.mu.Unlock()

	f.err = sync(path)

	fs.mu.Lock()
	if fs.running[path] == f {
		delete(fs.running, path)
	}
	fs.mu.Unlock()
	close(f.landed)
	return f.err
}

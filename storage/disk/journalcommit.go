//go:build linux || darwin

package disk

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"

	"github.com/registrykit/registry/storage/driver"
)

const (
	maxAppend = 1 << 20 // bytes of records that are written at once, about
	hardLimit = 4       // appends wait once a segment has this many times the size of a full one
)

// demand is what a call wants to be durable.
type demand struct {
	path    string
	content *record // the contentRecord to append; nil means the present state of the path
	kept    bool    // the caller makes the file durable without the journal
	stamp   stamp   // of the file whose state was appended

	// direct is set if the state cannot be in the journal. The caller then syncs the file itself.
	direct bool
}

// group is a set of demands that are committed together.
type group struct {
	demands []*demand
	done    chan struct{}
	err     error
}

// sync appends what is demanded to the journal, and returns when that is durable. It shares the
// write and the wait with the calls that run at the same time.
func (j *journal) sync(ctx context.Context, demands []*demand) error {
	if len(demands) == 0 {
		return nil
	}
	j.queue.Lock()
	g := j.next
	leads := g == nil
	if leads {
		g = &group{done: make(chan struct{})}
		j.next = g
	}
	g.demands = append(g.demands, demands...)
	j.queue.Unlock()
	if !leads {
		select {
		case <-g.done:
			return g.err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	j.leading.Lock()
	j.queue.Lock()
	j.next = nil
	j.queue.Unlock()
	began, err := j.commit(g.demands)
	g.err = err
	j.leading.Unlock()
	close(g.done)
	if began {
		j.checkpoint()
	}
	return err
}

// commit appends what is demanded and syncs it. began reports that the caller must call checkpoint.
func (j *journal) commit(demands []*demand) (began bool, err error) {
	for len(demands) > 0 && err == nil {
		if began {
			j.checkpoint()
		}
		var n int
		began, n, err = j.commitSome(demands)
		demands = demands[n:]
	}
	return began, err
}

// commitSome is commit for the first of demands, of which it has satisfied n.
func (j *journal) commitSome(demands []*demand) (began bool, n int, err error) {
	began, err = j.enter()
	if err != nil {
		return false, 0, err
	}
	n, err = j.appendDemands(demands)
	var u *unsettled
	switch {
	case errors.As(err, &u):
		j.unlock()
		if began { // settle locks a directory, which comes before the lock checkpointing, see change
			j.checkpoint()
		}
		return false, 0, u.settle(j.d)
	case isFull(err):
		j.unlock()
		if began { // relieve frees the older segments
			j.checkpointing.unlock()
		}
		err = j.relieve()
		for _, m := range demands {
			m.direct = true
		}
		return false, len(demands), err
	case err != nil:
		j.unlock()
		return began, 0, fmt.Errorf("journal: %w", err)
	}
	file := j.file
	if j.now.end == 0 || file == nil { // nothing was appended
		j.unlock()
		return began, n, nil
	}
	j.syncing.RLock()
	j.unlock()
	err = j.fdatasync(file)
	j.syncing.RUnlock()
	if err != nil {
		distrustErr := j.distrust()
		if began { // relieve frees the older segments
			j.checkpointing.unlock()
		}
		if distrustErr == nil {
			distrustErr = j.relieve()
		}
		return false, 0, fmt.Errorf("journal: %w", errors.Join(err, distrustErr))
	}
	for _, m := range demands[:n] {
		if m.stamp != (stamp{}) {
			j.d.known.add(m.stamp, wholeSafe)
		}
	}
	return began, n, nil
}

// distrust notes that a sync of a segment has failed. No segment is trusted any more, because that
// one may be an older one by now. The caller holds no lock except checkpointing.
func (j *journal) distrust() error {
	if err := j.lock(); err != nil {
		return err
	}
	defer j.unlock()
	return j.mark(distrusted)
}

// appendDemands appends records for the first of demands, and returns their number. The caller
// holds the lock.
func (j *journal) appendDemands(demands []*demand) (n int, err error) {
	if j.now.end == 0 { // there is no room for a segment
		for _, m := range demands {
			m.direct = true
		}
		return len(demands), nil
	}
	j.contents = j.contents[:0]
	var records []record
	size := 0
	for n < len(demands) && size < maxAppend {
		m := demands[n]
		n++
		r := m.content
		if r == nil {
			if r, err = j.look(m); err != nil {
				return 0, err
			}
		}
		if r != nil {
			records = append(records, *r)
			size += r.encodedSize()
		}
	}
	if len(records) == 0 {
		return n, nil
	}
	return n, j.appendRecords(records)
}

// look returns a record of the present state of a path. It returns nil, and sets m.direct, if that
// state cannot be in the journal. The caller holds the lock.
func (j *journal) look(m *demand) (*record, error) {
	for range maxAttempts {
		var st syscall.Stat_t
		err := j.d.object(m.path, &st)
		if errors.Is(err, driver.ErrNotExist) {
			seq, err := j.absent(m.path)
			if errors.Is(err, os.ErrExist) {
				continue
			}
			return &record{kind: absentRecord, path: m.path, seq: seq}, err
		}
		if err != nil {
			return nil, err
		}
		if m.kept {
			return &record{kind: keptRecord, path: m.path, seq: mtime(&st)}, nil
		}
		content, known := j.recent.Get(stampOf(&st))
		if !known && st.Size <= maxSmall {
			content, err = j.read(m.path, &st)
		}
		switch {
		case errors.Is(err, driver.ErrNotExist):
			continue
		case err != nil:
			return nil, err
		case st.Size > maxSmall || hasOtherNames(&st):
			m.direct = true
			return nil, nil
		}
		m.stamp = stampOf(&st)
		return &record{kind: putRecord, path: m.path, seq: mtime(&st), content: content}, nil
	}
	return nil, fmt.Errorf("%s changes all the time", m.path)
}

// read is readSmall in j.contents, as long as there is room. The caller holds the lock.
func (j *journal) read(path string, st *syscall.Stat_t) ([]byte, error) {
	if j.contents == nil {
		j.contents = make([]byte, 0, 2*maxSmall)
	}
	used := len(j.contents)
	content, err := j.d.readSmall(path, st, j.contents[used:])
	if len(content) <= cap(j.contents)-used {
		j.contents = j.contents[:used+len(content)]
	}
	return content, err
}

// readSmall returns the content of the object at path, in buf if that is large enough, and fills st with
// the attributes of the object. It reads nothing if the object is larger than maxSmall.
//
// Errors: driver.ErrNotExist.
func (d *Driver) readSmall(path string, st *syscall.Stat_t, buf []byte) ([]byte, error) {
	fd, err := d.openObject(path, st)
	if err != nil {
		return nil, err
	}
	defer func() { _ = syscall.Close(fd) }()
	if st.Size > maxSmall {
		return nil, nil
	}
	content := slices.Grow(buf[:0], int(st.Size))[:st.Size]
	return content, readFull(fd, content)
}

// readFull fills b from the beginning of a file.
func readFull(fd int, b []byte) error {
	for done := 0; done < len(b); {
		n, err := syscall.Pread(fd, b[done:], int64(done))
		switch {
		case err == syscall.EINTR:
		case err != nil:
			return os.NewSyscallError("pread", err)
		case n == 0:
			return errors.New("the file is shorter than its size")
		default:
			done += n
		}
	}
	return nil
}

// absent returns a bound of the times of the files that were at path before: no earlier file has a
// later time, and every file that will be there has one. The caller holds the lock, so nothing is
// removed meanwhile.
//
// Errors: os.ErrExist if there is an object now; unsettled.
func (j *journal) absent(path string) (int64, error) {
	for range maxAttempts {
		epoch, err := j.d.epoch()
		if err != nil {
			return 0, err
		}
		var up, st syscall.Stat_t
		dir := j.d.objects + parent(path)
		upErr := lstat(dir, &up)
		if lstat(j.d.objects+path, &st) == nil && isFile(&st) {
			return 0, os.ErrExist
		}
		switch {
		case upErr == nil && isDir(&up):
			if !isOurs(&up) {
				return 0, &unsettled{parent(path)}
			}
			return mtime(&up), nil
		case upErr != nil && upErr != syscall.ENOENT && upErr != syscall.ENOTDIR:
			return 0, os.NewSyscallError("lstat", upErr)
		}
		// Without a directory, the epoch is the bound, unless it has changed meanwhile.
		if after, err := j.d.epoch(); err != nil || after == epoch {
			return epoch, err
		}
	}
	return 0, errors.New("directories change all the time")
}

// unsettled is returned if the time of the directory at path is that of the kernel, which is no
// bound. A call is just changing the directory, was killed before it had set the time, or another
// program has changed it.
type unsettled struct{ path string }

func (u *unsettled) Error() string { return u.path + " has a time of the kernel" }

// settle gives the directory a time of its own. The caller does not hold the lock of the journal.
func (u *unsettled) settle(d *Driver) error {
	err := d.change(u.path, d.now(), func(int64) (edit, error) { return edit{}, nil })
	if errors.Is(err, errNoDirectory) || errors.Is(err, syscall.ENOTDIR) {
		return nil
	}
	if err == nil {
		var st syscall.Stat_t
		if lstat(d.objects+u.path, &st) == nil && isDir(&st) && !isOurs(&st) && st.Uid != uint32(os.Geteuid()) {
			err = fmt.Errorf("%s belongs to another user, so its time cannot be set", u.path)
		}
	}
	return err
}

// change changes the path of a record by do, and appends the record. Replay needs the record only
// if there are records before it.
//
// Errors: those of do, and then nothing was changed. After other errors, the change may have been
// made.
func (j *journal) change(r record, do func() error) error {
	for {
		if err := j.lock(); err != nil {
			return err
		}
		if j.now.flags&failed != 0 {
			j.unlock()
			return errJournalFailed
		}
		if j.now.flags&distrusted == 0 {
			break
		}
		j.unlock()
		if err := j.relieve(); err != nil {
			return err
		}
	}
	if err := do(); err != nil || j.now.empty() {
		j.unlock()
		return err
	}
	err := j.appendRecords([]record{r})
	j.unlock()
	if isFull(err) {
		return j.relieve() // the change is durable then
	}
	return err
}

// tidy begins a segment if changes have filled the present one while no call synced anything.
func (j *journal) tidy() {
	if !j.crowded.Load() {
		return
	}
	began, err := j.enter()
	if err != nil {
		return // the next sync gets the error
	}
	j.unlock()
	if began {
		j.checkpoint()
	}
}

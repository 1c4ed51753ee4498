//go:build linux || darwin

package disk

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/registrykit/registry/storage/driver"
)

// recover replays the segments and builds the state of the journal from them. No other process uses
// the directory.
func (j *journal) recover() error {
	var last journalState
	var b [stateSize]byte
	if n, _ := j.state.ReadAt(b[:], 0); n == stateSize {
		_ = last.decode(b[:]) // it is meaningless after a loss of power
	}
	next := journalState{generation: last.generation}
	all, err := j.generations()
	if err != nil {
		return err
	}
	doubt := last.flags & (failed | distrusted)
	r := replay{d: j.d, force: doubt != 0}
	if all, err = j.dropGap(all); err != nil {
		return err
	}
	for i, g := range all {
		content, err := j.readSegment(g)
		if err != nil {
			return err
		}
		records, end, crc := readRecords(content, g)
		if i == 0 || len(records) > 0 {
			next = journalState{generation: g, end: end, crc: crc, count: uint32(len(records))}
			if i > 0 {
				next.flags = older
			}
		}
		for _, rec := range records {
			if err := r.add(rec); err != nil {
				return err
			}
		}
	}
	if err := r.run(); err != nil {
		return fmt.Errorf("replay of the journal: %w", err)
	}
	if err := removeIfThere(j.dir + "new"); err != nil {
		return err
	}
	next.flags |= doubt
	err = j.set(next)
	if isFull(err) && next.empty() && last == (journalState{}) {
		return nil // a directory of an earlier version, without a state, on a full file system
	}
	if err != nil || doubt == 0 {
		return err
	}
	if err := j.lockBoth(); err != nil {
		return err
	}
	defer j.unlockBoth()
	return j.flush()
}

// dropGap removes the segments before a missing generation. That one was freed, and segments are
// freed in their order, so those before it were free, too.
func (j *journal) dropGap(all []uint64) ([]uint64, error) {
	for i := len(all) - 1; i > 0; i-- {
		if all[i-1] != all[i]-1 {
			return all[i:], j.removeSegments(all[i-1])
		}
	}
	return all, nil
}

// replay is what the records of a journal say in the end.
type replay struct {
	d     *Driver
	force bool // write every object again, because the pages that the system has may never reach the disk

	paths    map[string]*pathState
	order    []string // the paths, in the order of their first records
	contents map[contentKey]*record
	dirs     map[string]int64 // directories, with the latest seq below them

	buf []byte // for the content of a file
}

// pathState is the last state of a path.
type pathState struct {
	record
	bound int64 // the greatest seq of all records of the path
}

// contentKey identifies the file that a contentRecord describes.
type contentKey struct {
	path string
	seq  int64
}

func (r *replay) add(rec record) error {
	if !filepath.IsLocal(rec.path) || rec.kind < putRecord || rec.kind > contentRecord {
		return fmt.Errorf("a record of the journal has the kind %d and the path %q", rec.kind, rec.path)
	}
	if r.paths == nil {
		r.paths, r.contents, r.dirs = map[string]*pathState{}, map[contentKey]*record{}, map[string]int64{}
	}
	if rec.kind == contentRecord {
		r.contents[contentKey{rec.path, rec.seq}] = &rec
		return nil
	}
	bound := rec.seq
	if p := r.paths[rec.path]; p != nil {
		bound = max(bound, p.bound)
	} else {
		r.order = append(r.order, rec.path)
	}
	r.paths[rec.path] = &pathState{rec, bound}
	if rec.kind != keptRecord {
		r.dirs[parent(rec.path)] = max(r.dirs[parent(rec.path)], bound)
	}
	return nil
}

// run makes the files what the records say. Removals go first, because a file may be where a
// directory is needed.
func (r *replay) run() error {
	for _, path := range r.order {
		if p := r.paths[path]; p.kind == absentRecord {
			if err := r.remove(p); err != nil {
				return err
			}
		}
	}
	for _, path := range r.order {
		if p := r.paths[path]; p.kind == putRecord {
			if err := r.put(p); err != nil {
				return err
			}
		}
	}
	for _, rec := range r.contents {
		if err := r.repair(rec); err != nil {
			return err
		}
	}
	for dir, seq := range r.dirs {
		if err := r.raise(dir, seq); err != nil {
			return err
		}
	}
	return nil
}

// remove removes the file at a path that was absent, unless the file is a later one.
func (r *replay) remove(p *pathState) error {
	var st syscall.Stat_t
	err := r.d.object(p.path, &st)
	if err == nil && mtime(&st) <= p.bound {
		err = r.d.change(parent(p.path), p.bound, func(int64) (edit, error) {
			return edit{remove: base(p.path)}, os.NewSyscallError("unlink", syscall.Unlink(r.d.objects+p.path))
		})
		if err == nil {
			r.d.prune(parent(p.path))
		}
	}
	if errors.Is(err, driver.ErrNotExist) {
		return nil
	}
	return err
}

// put writes an object again that is absent, older than its record, or damaged.
func (r *replay) put(p *pathState) error {
	var st syscall.Stat_t
	err := r.d.object(p.path, &st)
	if err == nil {
		if mtime(&st) == p.seq {
			return r.rewrite(&p.record, &st)
		}
		if mtime(&st) > p.bound {
			return nil
		}
	}
	if err != nil && !errors.Is(err, driver.ErrNotExist) {
		return err
	}
	return r.write(&p.record)
}

// repair writes the content of an object again that was replaced and may be damaged.
func (r *replay) repair(rec *record) error {
	var st syscall.Stat_t
	err := r.d.object(rec.path, &st)
	if errors.Is(err, driver.ErrNotExist) || err == nil && mtime(&st) != rec.seq {
		return nil
	}
	if err != nil {
		return err
	}
	return r.rewrite(rec, &st)
}

// rewrite writes an object again if the file with the attributes st has another content.
func (r *replay) rewrite(rec *record, st *syscall.Stat_t) error {
	if !r.force && st.Size == int64(len(rec.content)) {
		content, err := r.d.readSmall(rec.path, st, r.buf)
		if err == nil && bytes.Equal(content, rec.content) {
			r.buf = content
			return nil
		}
	}
	return r.write(rec)
}

// write writes the object of a record.
func (r *replay) write(rec *record) error {
	t, err := r.d.newTemp()
	if err != nil {
		return err
	}
	_, err = t.Write(rec.content)
	if err = errors.Join(err, t.close()); err == nil {
		err = setTimes(t.path, rec.seq, rec.seq)
	}
	if err == nil {
		err = r.publish(t.path, rec)
	}
	if err != nil {
		return errors.Join(err, removeIfThere(t.path))
	}
	return nil
}

func (r *replay) publish(temp string, rec *record) error {
	dir := parent(rec.path)
	for attempt := 0; ; attempt++ {
		err := r.d.change(dir, rec.seq, func(int64) (edit, error) {
			return edit{add: base(rec.path)}, os.NewSyscallError("rename", syscall.Rename(temp, r.d.objects+rec.path))
		})
		if !errors.Is(err, errNoDirectory) || attempt == maxAttempts {
			return err
		}
		if err := r.d.makeDirs(dir); err != nil {
			return err
		}
	}
}

// raise gives a directory a time that is not before seq, so that later changes get greater numbers
// than those before the loss of power. Without the directory, it begins an epoch after seq.
func (r *replay) raise(dir string, seq int64) error {
	var st syscall.Stat_t
	err := lstat(r.d.objects+dir, &st)
	switch {
	case err == nil && isDir(&st):
		if mtime(&st) >= seq {
			return nil
		}
		return r.d.change(dir, seq, func(int64) (edit, error) { return edit{}, nil })
	case err != nil && err != syscall.ENOENT && err != syscall.ENOTDIR:
		return os.NewSyscallError("lstat", err)
	}
	if epoch, err := r.d.epoch(); err != nil || epoch >= seq {
		return err
	}
	return setTimes(r.d.pruned, seq, seq)
}

//go:build linux || darwin

package disk

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// enter takes the lock with a segment that can be appended to. If there is no room on the file
// system for a segment, everything is durable and j.now.end is 0. began reports that an older
// segment is full: the caller also holds the lock checkpointing, and must call checkpoint.
func (j *journal) enter() (began bool, err error) {
	if err := j.lock(); err != nil {
		return false, err
	}
	if j.hasRoom(1) {
		return false, nil
	}
	got, err := j.checkpointing.tryLock()
	if err == nil && !got {
		if j.hasRoom(hardLimit) {
			return false, nil // another caller frees segments just now
		}
		j.unlock()
		if err := j.lockBoth(); err != nil {
			return false, err
		}
	}
	if err == nil {
		began, err = j.renew()
		if !began {
			j.checkpointing.unlock()
		}
	}
	if err != nil {
		j.unlock()
	}
	return began, err
}

// lockBoth takes the lock checkpointing and then j.lock.
func (j *journal) lockBoth() error {
	if err := j.checkpointing.lock(); err != nil {
		return err
	}
	if err := j.lock(); err != nil {
		j.checkpointing.unlock()
		return err
	}
	return nil
}

// unlockBoth releases the locks of lockBoth.
func (j *journal) unlockBoth() {
	j.unlock()
	j.checkpointing.unlock()
}

// hasRoom reports whether the segment can be appended to up to times its usual size. The caller
// holds the lock.
func (j *journal) hasRoom(times uint32) bool {
	return j.now.flags&(distrusted|failed) == 0 && j.now.end > 0 &&
		j.now.end < int64(times)*j.maxBytes && j.now.count < times*j.maxRecords
}

// renew begins a segment if the present one has no room. began reports that there are older ones.
// The caller holds the locks checkpointing and j.lock.
func (j *journal) renew() (began bool, err error) {
	if j.now.flags&failed != 0 {
		return false, errJournalFailed
	}
	if j.now.flags&distrusted != 0 {
		if err := j.flush(); err != nil {
			return false, err
		}
	}
	if j.hasRoom(1) { // another caller was faster
		return false, nil
	}
	if err := j.begin(); isFull(err) {
		return false, j.flush()
	} else if err != nil {
		return false, err
	}
	return j.now.flags&older != 0, nil
}

// checkpoint makes everything durable that older segments describe and frees them. The caller holds
// the lock checkpointing, which checkpoint releases. If it fails, no caller can append any more.
// The error is theirs: what this caller has promised is durable. If too many files are open, the
// next checkpoint frees the segments.
func (j *journal) checkpoint() {
	defer j.checkpointing.unlock()
	err := j.syncAll()
	if err == nil {
		err = j.free()
	}
	if err != nil && !hasNoDescriptor(err) { // otherwise the segments wait for the next checkpoint
		_ = j.fail(err)
	}
}

// free frees the segments before the present one, the oldest first. It makes one of them the next
// segment and removes the others. The caller holds the lock checkpointing.
func (j *journal) free() error {
	all, err := j.generations()
	if err != nil {
		return err
	}
	if err := j.lock(); err != nil {
		return err
	}
	current, spare := j.now.generation, j.now.generation+1
	j.unlock()
	// Nothing but the holder of checkpointing changes the generation.
	if len(all) > 0 && all[0] < current && all[len(all)-1] < spare {
		if err := os.Rename(j.dir+segmentName(all[0]), j.dir+segmentName(spare)); err != nil {
			return err
		}
	}
	if err := j.removeSegments(current - 1); err != nil {
		return err
	}
	if err := j.lock(); err != nil {
		return err
	}
	defer j.unlock()
	s := j.now
	s.flags &^= older
	s.spare = spare
	return j.set(s)
}

// fail notes that objects could not be made durable because of err. It returns err.
func (j *journal) fail(err error) error {
	if lockErr := j.lock(); lockErr != nil {
		return errors.Join(err, lockErr)
	}
	defer j.unlock()
	return errors.Join(err, j.mark(failed))
}

// flush makes everything durable that the journal describes, and removes all segments. The caller
// holds the locks checkpointing and j.lock.
func (j *journal) flush() error {
	err := j.syncAll()
	if err == nil {
		j.closeFile()
		err = j.removeSegments(j.now.generation + 1)
	}
	switch {
	case hasNoDescriptor(err):
		return errors.Join(err, j.mark(distrusted)) // the next append begins with another flush
	case err != nil:
		return fmt.Errorf("%w: %w", errJournalFailed, errors.Join(err, j.mark(failed)))
	case j.now.end == 0 && j.now.flags == 0: // a full file system may have no room for a state
		return nil
	}
	return j.set(journalState{generation: j.now.generation + 1})
}

// relieve is flush for a caller that holds no lock of the journal.
//
// Errors: errJournalFailed if another caller has failed to make objects durable. The system reports
// a lost write once, so a second attempt would seem to succeed.
func (j *journal) relieve() error {
	if err := j.lockBoth(); err != nil {
		return err
	}
	defer j.unlockBoth()
	if j.now.flags&failed != 0 {
		return errJournalFailed
	}
	return j.flush()
}

// syncEach makes everything durable that the segments describe, where the whole file system cannot
// be synced. It also syncs the temporary files, one of which may replace an object later.
func (j *journal) syncEach() error {
	all, err := j.generations()
	if err != nil {
		return err
	}
	b, err := j.d.newBatch()
	if err != nil {
		return err
	}
	for _, g := range all {
		content, err := j.readSegment(g)
		if err != nil {
			return err
		}
		records, _, _ := readRecords(content, g)
		for _, r := range records {
			if err := b.addUnknown(r.path); err != nil {
				return err
			}
		}
	}
	temps, err := filepath.Glob(filepath.Join(filepath.Dir(strings.TrimSuffix(j.d.temp, "/")), "*", "*"))
	if err != nil {
		return err
	}
	for _, path := range temps {
		if err := j.syncTemp(path); err != nil {
			return err
		}
	}
	return b.run(context.Background())
}

func (j *journal) syncTemp(path string) error {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	return j.d.fsync(f)
}

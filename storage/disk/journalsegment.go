//go:build linux || darwin

package disk

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// growth is the number of bytes by which a segment grows. A segment is written over zeros or over
// an earlier use, because a sync after which the file is as long as before is much cheaper.
const growth = 256 << 10

// segmentName is the file name of a generation.
func segmentName(generation uint64) string { return fmt.Sprintf("%016x", generation) }

// generations returns the generations of the segments that exist, in ascending order.
func (j *journal) generations() ([]uint64, error) {
	list, err := os.ReadDir(j.dir)
	if err != nil {
		return nil, err
	}
	var all []uint64
	for _, e := range list {
		n, err := strconv.ParseUint(e.Name(), 16, 64)
		if err == nil && n > 0 && e.Name() == segmentName(n) {
			all = append(all, n)
		}
	}
	slices.Sort(all)
	return all, nil
}

// openSegment opens a segment for reading. It does not wait for the other end of a FIFO.
func (j *journal) openSegment(generation uint64) (*os.File, error) {
	return openFile(j.dir+segmentName(generation), syscall.O_RDONLY|syscall.O_NONBLOCK, 0)
}

// readSegment returns the content of a segment.
func (j *journal) readSegment(generation uint64) ([]byte, error) {
	f, err := j.openSegment(generation)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	var st syscall.Stat_t
	if err := fstat(int(f.Fd()), &st); err != nil {
		return nil, err
	}
	b := make([]byte, st.Size)
	if err := readFull(int(f.Fd()), b); err != nil {
		return nil, err
	}
	return b, checkHeader(f.Name(), b)
}

func checkHeader(name string, b []byte) error {
	if int64(len(b)) < headerSize || !bytes.HasPrefix(b, []byte(journalMagic)) {
		return fmt.Errorf("%s is not a segment of a journal", name)
	}
	if v := binary.LittleEndian.Uint32(b[len(journalMagic):]); v != journalVersion {
		return fmt.Errorf("%s has version %d of the journal, and this program knows only version %d: %w",
			name, v, journalVersion, errors.ErrUnsupported)
	}
	return nil
}

// begin makes the next segment the one that is written. The caller holds the locks checkpointing
// and j.lock.
func (j *journal) begin() error {
	next := journalState{generation: j.now.generation + 1, end: headerSize, crc: seed(j.now.generation + 1)}
	if !j.now.empty() {
		next.flags = older
	}
	if j.now.spare != next.generation {
		if err := j.makeSegment(next.generation); err != nil {
			return err
		}
	}
	return j.set(next)
}

// makeSegment makes a durable segment file without records, unless there is one.
func (j *journal) makeSegment(generation uint64) error {
	path := j.dir + segmentName(generation)
	var st syscall.Stat_t
	if lstat(path, &st) != nil {
		temp := j.dir + "new"
		f, err := openFile(temp, syscall.O_WRONLY|syscall.O_CREAT|syscall.O_TRUNC, fileMode)
		if err != nil {
			return err
		}
		b := append(make([]byte, 0, growth), appendHeader(nil)...)
		err = j.write(f, b[:growth], 0)
		if err == nil {
			err = j.fdatasync(f)
		}
		if err = errors.Join(err, f.Close()); err == nil {
			err = os.Rename(temp, path)
		}
		if err != nil {
			return errors.Join(err, removeIfThere(temp))
		}
	}
	return j.d.syncDirectory(strings.TrimSuffix(j.dir, "/"))
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// use opens the segment that is written. The caller holds the lock.
func (j *journal) use() error {
	if j.file != nil && j.opened == j.now.generation {
		return nil
	}
	f, err := openFile(j.dir+segmentName(j.now.generation), syscall.O_RDWR, 0)
	if err != nil {
		return err
	}
	var st syscall.Stat_t
	if err := fstat(int(f.Fd()), &st); err != nil {
		return errors.Join(err, f.Close())
	}
	j.closeFile()
	j.file, j.opened, j.size = f, j.now.generation, st.Size
	return nil
}

// closeFile closes the segment that is open, after the syncs of it that are running.
func (j *journal) closeFile() {
	j.syncing.Lock()
	defer j.syncing.Unlock()
	if j.file != nil {
		_ = j.file.Close() // what is owed to it has been synced
		j.file = nil
	}
}

// appendRecords writes records at the end of the segment. The caller holds the lock, and the
// segment is not distrusted. After an error other than that of a full file system, the segment is
// distrusted. In any case, no record of a failed call counts.
func (j *journal) appendRecords(records []record) error {
	if err := j.use(); errors.Is(err, os.ErrNotExist) { // somebody has removed the segment
		return errors.Join(err, j.mark(distrusted))
	} else if err != nil {
		return err
	}
	s := j.now
	b := j.buf[:0]
	for i := range records {
		b, s.crc = records[i].append(b, s.crc)
	}
	j.buf = b
	err := j.reserve(s.end + int64(len(b)))
	if err == nil {
		err = j.write(j.file, b, s.end)
	}
	if err != nil {
		if !isFull(err) {
			err = errors.Join(err, j.mark(distrusted))
		}
		return err
	}
	s.end += int64(len(b))
	s.count += uint32(len(records))
	err = j.set(s)
	j.crowded.Store(!j.hasRoom(2))
	return err
}

// reserve extends the file of the segment to at least size bytes.
func (j *journal) reserve(size int64) error {
	if size > j.size { // another process may have extended it
		var st syscall.Stat_t
		if err := fstat(int(j.file.Fd()), &st); err != nil {
			return err
		}
		j.size = st.Size
	}
	for j.size < size {
		if err := j.write(j.file, make([]byte, growth), j.size); err != nil {
			return err
		}
		j.size += growth
	}
	return nil
}

// removeSegments removes all segments up to a generation, the oldest first.
func (j *journal) removeSegments(last uint64) error {
	all, err := j.generations()
	if err != nil {
		return err
	}
	for _, g := range all {
		if g > last {
			break
		}
		if err := os.Remove(j.dir + segmentName(g)); err != nil {
			return err
		}
	}
	return j.d.syncDirectory(strings.TrimSuffix(j.dir, "/"))
}

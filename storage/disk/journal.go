//go:build linux || darwin

package disk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/registrykit/registry/internal/lru"
)

const (
	segmentBytes   = 8 << 20 // bytes of records from which on a segment is full
	segmentRecords = 4000    // records from which on a segment is full
	maxRecent      = 1 << 20 // bytes of contents that are kept in memory until they are synced
)

// errJournalFailed is returned for all appends after objects could not be made durable without the
// journal.
var errJournalFailed = errors.New("the journal has failed: restart all processes that use the directory")

// journal makes small objects durable, see the package documentation. Its files are:
//
//   - journal/GENERATION: the segments, see segmentName.
//   - locks/append: held for an append. It contains the journalState.
//   - locks/checkpoint: held while segments are begun or freed. It is taken before locks/append.
//   - locks/open: held by New and Close.
//   - locks/journal: a Driver with a journal holds a shared lock on it until Close.
//   - locks/direct: a Driver without a journal holds a shared lock on it until Close.
type journal struct {
	d    *Driver
	dir  string   // of the segments, with a slash at its end
	root *os.File // objects/, for syncfs: it reports the errors since this file was opened

	// The limits and the system calls are fields for tests.
	maxBytes   int64
	maxRecords uint32
	fdatasync  func(*os.File) error
	write      func(f *os.File, b []byte, off int64) error
	syncAll    func() error // makes everything durable that the records of all segments describe

	checkpointing fileLock
	crowded       atomic.Bool // see tidy

	mu     sync.Mutex // guards the fields below and the flock on state
	state  *os.File   // locks/append
	now    journalState
	file   *os.File // the segment of the generation opened, or nil
	opened uint64
	size   int64 // of file
	buf    []byte

	contents []byte // the contents of files that are being appended, see read

	syncing sync.RWMutex // held while file is synced, and to close file

	leading sync.Mutex // held by the caller that commits a group
	queue   sync.Mutex // guards next
	next    *group     // the group that calls can still join

	recent *lru.Cache[stamp, []byte] // contents of files that may be synced soon
}

// journalState is the state of the journal that all processes share. It is valid while any process
// has the directory open. The first one builds it from the segments.
type journalState struct {
	flags      uint32
	count      uint32 // of records in the segment
	generation uint64 // of the segment that is written
	end        int64  // of the records in the segment; 0 if there is no segment
	crc        uint32 // of the last record
	spare      uint64 // the generation of a free segment whose name is durable, or 0
}

// The flags of a journalState.
const (
	distrusted = 1 << iota // a write or sync of the segment has failed
	failed                 // objects could not be made durable without the journal
	older                  // there are older segments that are not freed
)

const stateSize = 40

// empty reports whether no record counts.
func (s *journalState) empty() bool { return s.count == 0 && s.flags&(older|distrusted) == 0 }

func (s *journalState) encode() []byte {
	b := make([]byte, 0, stateSize)
	b = binary.LittleEndian.AppendUint32(b, s.flags)
	b = binary.LittleEndian.AppendUint32(b, s.count)
	b = binary.LittleEndian.AppendUint64(b, s.generation)
	b = binary.LittleEndian.AppendUint64(b, uint64(s.end))
	b = binary.LittleEndian.AppendUint64(b, s.spare)
	b = binary.LittleEndian.AppendUint32(b, s.crc)
	return append(b, "end\n"...)
}

func (s *journalState) decode(b []byte) error {
	if len(b) != stateSize || string(b[36:]) != "end\n" {
		return errors.New("the state of the journal is damaged")
	}
	*s = journalState{
		flags:      binary.LittleEndian.Uint32(b),
		count:      binary.LittleEndian.Uint32(b[4:]),
		generation: binary.LittleEndian.Uint64(b[8:]),
		end:        int64(binary.LittleEndian.Uint64(b[16:])),
		spare:      binary.LittleEndian.Uint64(b[24:]),
		crc:        binary.LittleEndian.Uint32(b[32:]),
	}
	return nil
}

// lock takes the lock of the journal and reads its state.
func (j *journal) lock() error {
	j.mu.Lock()
	if j.state == nil {
		j.mu.Unlock()
		return errClosed
	}
	err := os.NewSyscallError("flock", flock(int(j.state.Fd()), syscall.LOCK_EX))
	if err == nil {
		var b [stateSize]byte
		var n int
		switch n, err = j.state.ReadAt(b[:], 0); {
		case n == stateSize:
			err = j.now.decode(b[:])
		case n == 0 && err == io.EOF: // there was no room for the first state, see recover
			j.now, err = journalState{}, nil
		}
		if err != nil {
			_ = flock(int(j.state.Fd()), syscall.LOCK_UN)
		}
	}
	if err != nil {
		j.mu.Unlock()
	}
	return err
}

func (j *journal) unlock() {
	_ = flock(int(j.state.Fd()), syscall.LOCK_UN) // it cannot fail on an open file
	j.mu.Unlock()
}

// set changes the state. The caller holds the lock.
func (j *journal) set(s journalState) error {
	if err := j.write(j.state, s.encode(), 0); err != nil {
		return fmt.Errorf("state of the journal: %w", err)
	}
	j.now = s
	return nil
}

// mark adds a flag to the state. The caller holds the lock.
func (j *journal) mark(flag uint32) error {
	s := j.now
	s.flags |= flag
	return j.set(s)
}

func newJournal(d *Driver, dir string) *journal {
	j := &journal{
		d: d, dir: dir + "/", maxBytes: segmentBytes, maxRecords: segmentRecords,
		fdatasync: fdatasync, write: writeAt, recent: lru.New[stamp, []byte](maxRecent),
	}
	j.syncAll = j.syncEverything
	if d.fsync == nil {
		j.syncAll = func() error { return nil }
	}
	j.checkpointing.fd = -1
	return j
}

func writeAt(f *os.File, b []byte, off int64) error {
	_, err := f.WriteAt(b, off)
	return err
}

package gocloud

import (
	"hash/maphash"
	"sync"
	"time"
)

// Locks keep the conditions of Drivers on a local bucket. Drivers on the same objects must share
// them; those on different objects may. Each is held for the check of a condition and the change
// that follows, never while a body is read.
type Locks struct {
	// names is held for writing while the names in a directory are read, and for reading while one
	// changes: a file system may leave out of a directory that is being read what is renamed over.
	names  sync.RWMutex
	shards [shards]shard
}

const shards = 64

// shardSeed selects the shards of names. It never changes, and belongs to the package so that the
// zero Locks work.
var shardSeed = maphash.MakeSeed()

// shard is the lock of the keys that share it.
type shard struct {
	mu   sync.Mutex
	last int64 // the time of the last object written, in Unix nanoseconds
}

// NewLocks returns Locks that nobody else has.
func NewLocks() *Locks { return &Locks{} }

// lock locks a name.
func (l *Locks) lock(name string) *shard {
	l.names.RLock()
	s := &l.shards[maphash.String(shardSeed, name)%shards]
	s.mu.Lock()
	return s
}

func (l *Locks) unlock(s *shard) {
	s.mu.Unlock()
	l.names.RUnlock()
}

// tick is what times are multiples of: Windows keeps no finer ones.
const tick = 100

// stamp returns a time for the next object. No two are the same as long as the process runs; later
// ones are told apart by the clock.
func (s *shard) stamp() time.Time {
	now := time.Now().UnixNano() / tick * tick
	s.last = max(now, s.last+tick)
	return time.Unix(0, s.last)
}

// wait returns when the clock shows another time than that of the last object.
func (s *shard) wait() {
	for {
		now := time.Now().UnixNano()
		if now > s.last || s.last-now > int64(time.Millisecond) { // set back: no time comes twice but by chance
			return
		}
	}
}

package gocloud

import (
	"hash/maphash"
	"sync"
	"time"
)

// Locks keep the conditions of Drivers on local buckets. Drivers on the same objects must share
// Locks; Drivers on different objects may. A Driver holds a lock while it checks a condition and
// makes the change, and never while it reads a body. The zero value is ready to use.
type Locks struct {
	// names is locked for writing while a directory is read, and for reading while an object
	// changes: a file system may leave out of a directory that is being read a name that a rename
	// replaces.
	names  sync.RWMutex
	shards [shards]shard
}

const shards = 64

// shardSeed selects the shards of names. It never changes, and belongs to the package so that the
// zero Locks work.
var shardSeed = maphash.MakeSeed()

// shard is one lock, shared by many names.
type shard struct {
	mu   sync.Mutex
	last int64 // the time of the last object written, in Unix nanoseconds
}

// NewLocks returns new Locks.
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

// tick is the unit of the times of files, in nanoseconds. Windows keeps no finer times.
const tick = 100

// stamp returns a time for the next object, which the process has not used before. After a restart,
// times differ because the clock has advanced.
func (s *shard) stamp() time.Time {
	now := time.Now().UnixNano() / tick * tick
	s.last = max(now, s.last+tick)
	return time.Unix(0, s.last)
}

// wait blocks until the clock differs from the time of the last object.
func (s *shard) wait() {
	for {
		now := time.Now().UnixNano()
		if now > s.last || s.last-now > int64(time.Millisecond) { // set back: a time repeats only by chance
			return
		}
	}
}

package gc

import (
	"context"
	"hash/maphash"
	"iter"
	"sync"

	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/internal/object"
)

// listSnapshot remembers a list when everything that it shows has been read, so that the next look
// reads only what has changed. It cuts a list into blocks before keys that it chooses by their
// hash. So a list is cut the same way again, whatever was added or removed elsewhere. Of each
// block, it keeps a checksum of the keys and versions in it. A block with the same checksum holds
// nothing that was not read in the version listed.
type listSnapshot struct {
	key, version maphash.Seed

	mu   sync.Mutex
	sums map[uint64]snapshotSum // by the hash of the first key
}

// snapshotSum is the checksum of a block: the exclusive or of the hashes of its elements.
type snapshotSum [2]uint64

const (
	// snapshotBlock is the average number of keys in a block. A list takes about one byte of memory
	// for each key.
	snapshotBlock = 64
	// readAtOnce is about the number of objects that changes yields at a time.
	readAtOnce = 1024
)

// newListSnapshot returns a snapshot of empty lists: everything counts as changed.
func newListSnapshot() *listSnapshot {
	return &listSnapshot{key: maphash.MakeSeed(), version: maphash.MakeSeed(), sums: map[uint64]snapshotSum{}}
}

// listed is an object of a list, with the block that it is in.
type listed struct {
	driver.Info
	block uint64
}

// mix returns the hash of one element of a list.
func (l *listSnapshot) mix(key, version string) snapshotSum {
	var sum snapshotSum
	for i, seed := range []maphash.Seed{l.key, l.version} {
		var h maphash.Hash
		h.SetSeed(seed)
		h.WriteString(key)
		h.WriteByte('\n')
		h.WriteString(version)
		sum[i] = h.Sum64()
	}
	return sum
}

// xor returns the exclusive or of two checksums. It adds an element to the checksum of a block, and
// removes one.
func (s snapshotSum) xor(t snapshotSum) snapshotSum { return snapshotSum{s[0] ^ t[0], s[1] ^ t[1]} }

// changes yields, in batches, the objects of a list that are in blocks that have changed since the
// last call, and remembers the new list. The other objects of such a block are yielded, too.
func (l *listSnapshot) changes(list iter.Seq2[driver.Info, error]) iter.Seq2[[]listed, error] {
	return func(yield func([]listed, error) bool) {
		var pending []listed
		var sum snapshotSum
		var block uint64
		start := 0 // index in pending where the block begins
		end := func() {
			if start == len(pending) {
				return
			}
			l.mu.Lock()
			defer l.mu.Unlock()
			if was, ok := l.sums[block]; ok && was == sum {
				pending = pending[:start]
				return
			}
			l.sums[block] = sum
			start = len(pending)
		}
		for info, err := range list {
			if err != nil {
				yield(nil, object.RegistryError(err))
				return
			}
			if h := maphash.String(l.key, info.Key); start == len(pending) || h%snapshotBlock == 0 {
				end()
				if len(pending) >= readAtOnce {
					if !yield(pending, nil) {
						return
					}
					pending, start = nil, 0
				}
				block, sum = h, snapshotSum{}
			}
			pending = append(pending, listed{Info: info, block: block})
			sum = sum.xor(l.mix(info.Key, info.Version))
		}
		if end(); len(pending) > 0 {
			yield(pending, nil)
		}
	}
}

// replace notes that the caller has written f in another version, or removed it if version is "",
// so that the next call of changes does not yield f for that.
func (l *listSnapshot) replace(f listed, version string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	sum, ok := l.sums[f.block]
	if !ok {
		return
	}
	sum = sum.xor(l.mix(f.Key, f.Version))
	if version != "" {
		sum = sum.xor(l.mix(f.Key, version))
	}
	l.sums[f.block] = sum
}

// forEachChanged calls check for each object of a list that is new or changed since the last look,
// many at the same time. After each batch it calls settle, unless settle is nil.
func (c *Collector) forEachChanged(ctx context.Context, l *listSnapshot, list iter.Seq2[driver.Info, error],
	check func(listed) error, settle func() error) error {
	for batch, err := range l.changes(list) {
		if err == nil {
			err = ctx.Err()
		}
		if err == nil {
			err = c.parallel(len(batch), func(i int) error { return check(batch[i]) })
		}
		if err == nil && settle != nil {
			err = settle()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

package gc

import (
	"context"
	"hash/maphash"
	"iter"
	"sync"

	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/internal/object"
)

// looked is what lists were like when all that they show was read, so that another look reads only
// what has changed since. A list is cut into blocks before keys that are chosen by their hash, so
// that it is cut alike again whatever comes and goes elsewhere; of each block remains a sum over
// the keys and versions in it. A block of the same sum holds nothing that was not read in the
// version listed.
type listSnapshot struct {
	key, version maphash.Seed

	mu   sync.Mutex
	sums map[uint64]snapshotSum // by the hash of the first key
}

type snapshotSum [2]uint64

const (
	// snapshotBlock is how many keys a block has on average. A table takes about a byte for each key.
	snapshotBlock = 64
	// readAtOnce is about how many objects are kept in mind to be read.
	readAtOnce = 1024
)

func newListSnapshot() *listSnapshot {
	return &listSnapshot{key: maphash.MakeSeed(), version: maphash.MakeSeed(), sums: map[uint64]snapshotSum{}}
}

// found is an object of a list, and the block that it is in.
type listed struct {
	driver.Info
	block uint64
}

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

func (s snapshotSum) xor(t snapshotSum) snapshotSum { return snapshotSum{s[0] ^ t[0], s[1] ^ t[1]} }

// changes yields the objects of a list that are in blocks which are not as they were, some at once,
// and takes the list for looked at.
func (l *listSnapshot) changes(list iter.Seq2[driver.Info, error]) iter.Seq2[[]listed, error] {
	return func(yield func([]listed, error) bool) {
		var pending []listed
		var sum snapshotSum
		var block uint64
		start := 0 // of the block, in pending
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

// replace notes that an object which was found is in another version, or gone if that is "", by the
// doing of who looks.
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

// look calls read for each object of a list that is new or changed since the look before, many at
// once, and then, now and then, rest.
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

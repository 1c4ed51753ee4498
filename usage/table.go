package usage

import (
	"cmp"
	"encoding/hex"
	"hash/fnv"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
)

// table holds what is known about the records of a repository. Each entry is a fact about one version of
// one record, which can become useless, but never wrong. So a table may be old, incomplete, or a mixture
// of what several writers wrote.
type table struct {
	blobs, manifests []entry // in ascending order of their keys

	// changed are the keys of the entries that were added, changed or dropped since the table was
	// loaded.
	changed []string
	parts   int      // number of parts in the storage, a power of two; 0 if there is no table
	version []string // versions of the parts; "" if a part is absent
}

// entry is a fact: the record of a blob or manifest in its version says this.
type entry struct {
	key     string // the digest, see pack
	version uint64 // hash of the version of the record
	// size is the size of the blob or manifest in bytes. It is negative if that version of the record
	// does not make it visible.
	size   int64
	inline int64  // bytes in the record
	data   uint64 // hash of the names of the data objects; 0 if there are none
}

// unseen is the size of an entry whose record is not visible.
const unseen = -1

func (e *entry) visible() bool { return e.size >= 0 }

// The first byte of a packed digest. The codes have the order of the algorithms in lists.
const (
	packedOther = iota
	packedSHA256
	packedSHA384
	packedSHA512
)

// pack returns a digest as a short string: one byte for the algorithm, and the bytes of the hash.
func pack(d digest.Digest) string {
	code := packedOther
	switch d.Algorithm() {
	case digest.SHA256:
		code = packedSHA256
	case digest.SHA384:
		code = packedSHA384
	case digest.SHA512:
		code = packedSHA512
	}
	if code != packedOther {
		if b, err := hex.DecodeString(d.Encoded()); err == nil {
			return string(rune(code)) + string(b)
		}
	}
	return string(rune(packedOther)) + string(d)
}

// unpack returns the digest that pack has packed.
func unpack(key string) digest.Digest {
	switch key[0] {
	case packedSHA256:
		return digest.NewDigestFromBytes(digest.SHA256, []byte(key[1:]))
	case packedSHA384:
		return digest.NewDigestFromBytes(digest.SHA384, []byte(key[1:]))
	case packedSHA512:
		return digest.NewDigestFromBytes(digest.SHA512, []byte(key[1:]))
	}
	return digest.Digest(key[1:])
}

// hash returns a hash that is the same in every process. It is for versions of records and for names of
// data objects, which clients cannot choose.
func hash(s string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(s))
	return h.Sum64()
}

// hashNames returns the hash of the data of a blob. Repositories that share the bytes of a blob name the
// same data objects.
func hashNames(names []string) uint64 { return hash(strings.Join(names, "\n")) }

// merge brings a list of entries up to date with a list of the storage.
type merge struct {
	old      []entry
	keep     []bool // by index in old
	next     int    // index in old at which the next listed record is expected
	added    []entry
	done     int   // number of elements of added that have been read
	elements int64 // number of records listed
	changed  []string
}

func newMerge(old []entry) *merge { return &merge{old: old, keep: make([]bool, len(old))} }

// add notes that a record is listed in a version.
func (m *merge) add(key string, version uint64) {
	m.elements++
	for m.next < len(m.old) && m.old[m.next].key < key {
		m.next++
	}
	i, found := m.next, m.next < len(m.old) && m.old[m.next].key == key
	if !found {
		// Lists are in ascending order, except with algorithms of which the order of packed keys differs.
		i, found = slices.BinarySearchFunc(m.old, key, func(e entry, key string) int { return cmp.Compare(e.key, key) })
	}
	if found && m.old[i].version == version {
		m.keep[i] = true
		return
	}
	m.added = append(m.added, entry{key: key, version: version, size: unseen})
	m.changed = append(m.changed, key)
}

// entries returns the entries of the records that were listed, in ascending order.
func (m *merge) entries() []entry {
	kept := m.old[:0]
	for i, e := range m.old {
		if m.keep[i] {
			kept = append(kept, e)
		} else {
			m.changed = append(m.changed, e.key)
		}
	}
	if len(m.added) > 0 {
		kept = append(kept, m.added...)
		slices.SortFunc(kept, func(a, b entry) int { return cmp.Compare(a.key, b.key) })
	}
	m.old, m.keep, m.added = nil, nil, nil
	return kept
}

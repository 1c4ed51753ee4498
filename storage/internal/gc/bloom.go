package gc

import (
	"hash/maphash"
	"math/bits"
	"sync"
)

// bloom is a Bloom filter: a set of strings in four bytes each (Bloom, "Space/time trade-offs in
// hash coding with allowable errors", 1970). It claims to have about one in a hundred thousand of
// the strings that it does not have. Each set has its own seed, so the false positives differ from
// set to set. Use it only where a false positive keeps content until the next collection and has no
// other effect. Beyond its limit, the set takes no more memory and has more false positives.
type bloom struct {
	seed  maphash.Seed
	limit int // maximum number of words, in all parts

	mu    sync.RWMutex
	parts []bloomPart // each twice as large as the one before
	words int
}

// bloomPart is a Bloom filter of a fixed size.
type bloomPart struct {
	bits []uint64
	room int // number of strings that may still be added
}

const (
	bloomProbes   = 16
	bloomBits     = 32   // for each string
	bloomSmallest = 1024 // strings in the first part
)

// newBloom returns an empty set of at most limitBytes bytes. The first part is always there,
// whatever the limit.
func newBloom(limitBytes int) *bloom {
	return &bloom{seed: maphash.MakeSeed(), limit: limitBytes / 8}
}

// add adds a string.
func (b *bloom) add(s string) {
	h := maphash.String(b.seed, s)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.claims(h) {
		return
	}
	if len(b.parts) == 0 || b.parts[len(b.parts)-1].room == 0 {
		b.grow()
	}
	last := &b.parts[len(b.parts)-1]
	if last.room > 0 {
		last.room--
	}
	for i := range uint64(bloomProbes) {
		at := last.probe(h, i)
		last.bits[at/64] |= 1 << (at % 64)
	}
}

// grow adds a part of twice the size, unless the limit is reached.
func (b *bloom) grow() {
	room := bloomSmallest << len(b.parts)
	words := room * bloomBits / 64
	if len(b.parts) > 0 && b.words+words > b.limit {
		return
	}
	b.words += words
	b.parts = append(b.parts, bloomPart{bits: make([]uint64, words), room: room})
}

// has reports whether s was added. It may return true although s was not.
func (b *bloom) has(s string) bool {
	h := maphash.String(b.seed, s)
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.claims(h)
}

// claims reports whether any part has the hash h. The caller holds the lock.
func (b *bloom) claims(h uint64) bool {
	for i := range b.parts {
		if b.parts[i].has(h) {
			return true
		}
	}
	return false
}

// has reports whether all bits of the hash h are set.
func (p *bloomPart) has(h uint64) bool {
	for i := range uint64(bloomProbes) {
		at := p.probe(h, i)
		if p.bits[at/64]&(1<<(at%64)) == 0 {
			return false
		}
	}
	return true
}

// probe returns the position of the i-th bit of a string: double hashing, in which a multiplication
// makes the second hash from the first.
func (p *bloomPart) probe(h, i uint64) uint64 {
	step := h*0x9e3779b97f4a7c15 | 1
	at, _ := bits.Mul64(h+i*step, uint64(len(p.bits))*64)
	return at
}

package gc

import (
	"hash/maphash"
	"math/bits"
	"sync"
)

// bloom is a set of strings in four bytes each (Bloom, "Space/time trade-offs in hash coding with
// allowable errors", 1970). Of what it does not have, it claims to have one in a hundred thousand;
// each set has another seed, and so another one. What it is asked for must be such that this only
// keeps for a while what could be removed. Beyond its limit it takes no more room, and claims more.
type bloom struct {
	seed  maphash.Seed
	limit int // of words, in all parts

	mu    sync.RWMutex
	parts []bloomPart // each twice as large as the one before
	words int
}

type bloomPart struct {
	bits []uint64
	room int // for how many more it is made
}

const (
	bloomProbes   = 16
	bloomBits     = 32   // for each string
	bloomSmallest = 1024 // strings
)

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

func (b *bloom) grow() {
	room := bloomSmallest << len(b.parts)
	words := room * bloomBits / 64
	if len(b.parts) > 0 && b.words+words > b.limit {
		return
	}
	b.words += words
	b.parts = append(b.parts, bloomPart{bits: make([]uint64, words), room: room})
}

// has reports whether the string was added; it may say so although it was not.
func (b *bloom) has(s string) bool {
	h := maphash.String(b.seed, s)
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.claims(h)
}

func (b *bloom) claims(h uint64) bool {
	for i := range b.parts {
		if b.parts[i].has(h) {
			return true
		}
	}
	return false
}

func (p *bloomPart) has(h uint64) bool {
	for i := range uint64(bloomProbes) {
		at := p.probe(h, i)
		if p.bits[at/64]&(1<<(at%64)) == 0 {
			return false
		}
	}
	return true
}

// probe is the i-th of the bits of a string: double hashing, with the second hash made from the
// first by a multiplication.
func (p *bloomPart) probe(h, i uint64) uint64 {
	step := h*0x9e3779b97f4a7c15 | 1
	at, _ := bits.Mul64(h+i*step, uint64(len(p.bits))*64)
	return at
}

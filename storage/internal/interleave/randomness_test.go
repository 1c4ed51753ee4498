package interleave

import (
	"crypto/rand"
	mathrand "math/rand/v2"
	"sync"
	"testing"
)

// seededRandomness replaces the source of crypto/rand until the test ends, so that the random names
// in package storage depend on a seed.
func seededRandomness(t *testing.T) *seeded {
	s := &seeded{}
	before := rand.Reader
	rand.Reader = s
	t.Cleanup(func() { rand.Reader = before })
	return s
}

type seeded struct {
	mu  sync.Mutex
	src *mathrand.ChaCha8
}

func (s *seeded) seed(seed uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.src = mathrand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16), byte(seed >> 24)})
}

func (s *seeded) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.src.Read(p)
}

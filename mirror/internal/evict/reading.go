package evict

import (
	"sync"

	"github.com/opencontainers/go-digest"
)

// reading is a manifest or blob of a repository.
type reading struct {
	repo   string
	digest digest.Digest
}

// readings counts what is being read.
type readings struct {
	mu sync.Mutex
	of map[reading]int
}

// Reading notes that a manifest or blob of a repository is being read or filled, before it is
// opened. The unit that it belongs to is not evicted before done is called, by this process; other
// processes learn of reads of more than a few minutes. done may be called more than once.
func (e *Evictor) Reading(repo string, d digest.Digest) (done func()) {
	key := reading{repo, d}
	e.reading.add(key, 1)
	return sync.OnceFunc(func() { e.reading.add(key, -1) })
}

func (r *readings) add(key reading, n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.of[key] += n; r.of[key] == 0 {
		delete(r.of, key)
	}
}

// has reports whether a manifest or blob is being read.
func (r *readings) has(repo string, d digest.Digest) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.of[reading{repo, d}] > 0
}

// all returns what is being read.
func (r *readings) all() []reading {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]reading, 0, len(r.of))
	for key := range r.of {
		all = append(all, key)
	}
	return all
}

// touchReadings notes what is being read as pulled now, so that other replicas know.
func (e *Evictor) touchReadings() {
	if e.pulls == nil {
		return
	}
	for _, key := range e.reading.all() {
		e.pulls.Pulled(key.repo, key.digest, "")
	}
}

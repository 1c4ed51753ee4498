package crash

import (
	"maps"
	"slices"
	"sync"

	"github.com/opencontainers/go-digest"
)

// ledger is the content that the server has acknowledged. Content of a request without a response
// may exist or not. So it is removed from the ledger before the request is sent, and added when the
// response has arrived.
type ledger struct {
	mu        sync.Mutex
	blobs     map[key]int    // the round in which it was acknowledged
	manifests map[key]int    //
	tags      map[tag]target // what each tag was last acknowledged to name
	uploads   []*upload      // acknowledged 202 and not finished
	lost      int
}

type key struct {
	repo   string
	digest digest.Digest
}

type tag struct{ repo, name string }

// target is what a tag may name: a move that was not acknowledged leaves the old or the new
// manifest.
type target struct {
	round   int
	digests []digest.Digest
}

// upload is an upload whose last PATCH received 202.
type upload struct {
	repo     string
	location string
	content  []byte
	offset   int64 // acknowledged
}

func newLedger() *ledger {
	return &ledger{blobs: map[key]int{}, manifests: map[key]int{}, tags: map[tag]target{}}
}

func (l *ledger) do(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
}

// moving notes that a tag is about to name another manifest.
func (l *ledger) moving(t tag, d digest.Digest) {
	l.do(func() {
		if old, ok := l.tags[t]; ok && !slices.Contains(old.digests, d) {
			old.digests = append(old.digests, d)
			l.tags[t] = old
		}
	})
}

// moved notes that the move was acknowledged.
func (l *ledger) moved(t tag, d digest.Digest, round int) {
	l.do(func() { l.tags[t] = target{round: round, digests: []digest.Digest{d}} })
}

// since returns copies of what was acknowledged in a round or later.
func (l *ledger) since(round int) (blobs, manifests map[key]int, tags map[tag]target) {
	l.mu.Lock()
	defer l.mu.Unlock()
	blobs, manifests, tags = maps.Clone(l.blobs), maps.Clone(l.manifests), maps.Clone(l.tags)
	old := func(_ key, r int) bool { return r < round }
	maps.DeleteFunc(blobs, old)
	maps.DeleteFunc(manifests, old)
	maps.DeleteFunc(tags, func(_ tag, v target) bool { return v.round < round })
	return blobs, manifests, tags
}

func (l *ledger) counts() (blobs, manifests, tags int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.blobs), len(l.manifests), len(l.tags)
}

package pulltime

import (
	"context"
	"errors"
	"iter"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry/storage/driver"
)

// Resolution is the resolution of all times.
const Resolution = time.Second

// Times are the pull times of one repository. They do not change.
type Times struct {
	refs map[string]int64 // by digest or tag
	rest int64
}

// Digest returns when the manifest d was last pulled. ok is false if no pull of it is known; the
// last pull is then not after [Times.Rest].
func (t *Times) Digest(d digest.Digest) (at time.Time, ok bool) { return t.last(string(d)) }

// Tag returns when a tag was last pulled, whatever it pointed at. ok is false if no pull of it is
// known; the last pull is then not after [Times.Rest].
func (t *Times) Tag(tag string) (at time.Time, ok bool) { return t.last(tag) }

func (t *Times) last(ref string) (time.Time, bool) {
	if t == nil {
		return time.Time{}, false
	}
	s, ok := t.refs[ref]
	if !ok {
		return time.Time{}, false
	}
	return time.Unix(s, 0), true
}

// Rest is the time after which no manifest or tag was pulled of which no pull is known. It is zero
// unless pulls were dropped because an object was full.
func (t *Times) Rest() time.Time {
	if t == nil || t.rest == 0 {
		return time.Time{}
	}
	return time.Unix(t.rest, 0)
}

// Len returns the number of manifests and tags of which a pull is known.
func (t *Times) Len() int {
	if t == nil {
		return 0
	}
	return len(t.refs)
}

// Digests yields the manifests of which a pull is known, in no order.
func (t *Times) Digests() iter.Seq2[digest.Digest, time.Time] {
	return func(yield func(digest.Digest, time.Time) bool) {
		for ref, at := range t.all() {
			if isDigest(ref) && !yield(digest.Digest(ref), at) {
				return
			}
		}
	}
}

// Tags yields the tags of which a pull is known, in no order.
func (t *Times) Tags() iter.Seq2[string, time.Time] {
	return func(yield func(string, time.Time) bool) {
		for ref, at := range t.all() {
			if !isDigest(ref) && !yield(ref, at) {
				return
			}
		}
	}
}

func (t *Times) all() iter.Seq2[string, time.Time] {
	return func(yield func(string, time.Time) bool) {
		if t == nil {
			return
		}
		for ref, s := range t.refs {
			if !yield(ref, time.Unix(s, 0)) {
				return
			}
		}
	}
}

// isDigest reports whether ref is a digest, and not a tag.
func isDigest(ref string) bool { return strings.Contains(ref, ":") }

// Read returns the pull times of a repository: those of the storage, of all replicas, and those
// that this process has not written yet. For each manifest and tag the most recent time counts. It
// makes one request, and one more for each replica. A repository without pulls is not an error.
//
// Errors: any error of the driver.
func (r *Recorder) Read(ctx context.Context, repo string) (*Times, error) {
	all := &record{Refs: map[string]int64{}}
	// Pending pulls come first: a concurrent Flush moves them to the storage, and never back.
	r.mu.RLock()
	for ref, at := range r.pending[repo] {
		all.Refs[ref] = at.Load()
	}
	r.mu.RUnlock()
	for info, err := range r.driver.List(ctx, prefix(repo), &driver.ListOptions{KeysOnly: true}) {
		if err != nil {
			return nil, wrap("listing", repo, err)
		}
		rec, _, err := r.read(ctx, info.Key)
		if errors.Is(err, driver.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, wrap("reading", repo, err)
		}
		merge(all, rec)
	}
	return &Times{refs: all.Refs, rest: all.Rest}, nil
}

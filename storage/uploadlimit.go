package storage

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/parallel"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/internal/object"
)

// DefaultMaxUploads is the default of Options.MaxUploads.
const DefaultMaxUploads = 10_000

const (
	// beginning is how long an upload counts that has received nothing. It holds nothing in the
	// storage, and another process may have ended it.
	beginning = 10 * time.Second
	// checkedAtOnce is how many uploads of an owner at the limit are looked at to find one that has
	// ended elsewhere.
	checkedAtOnce = object.Parallelism
	// checkedAgain is how long it takes until the same upload is looked at again: refusals must not
	// be expensive.
	checkedAgain = 10 * time.Second
	// maxCounted is how many uploads of all owners are counted.
	maxCounted = 200_000
	// uploadRetry is when an owner at the limit is told to try again.
	uploadRetry = 10 * time.Second
)

// unfinished counts the unfinished uploads of each owner that this process has seen. It costs no
// request to the storage below the limit, and a few for each refusal.
type unfinished struct {
	limit int // 0 is none

	mu     sync.Mutex
	owners map[string]map[[16]byte]counted
	total  int
}

// counted is an unfinished upload.
type counted struct {
	used    time.Time // last
	checked time.Time // when it was last looked whether the upload has ended elsewhere
	begun   bool      // it has received something
}

func newUnfinished(limit int) *unfinished {
	return &unfinished{limit: limit, owners: map[string]map[[16]byte]counted{}}
}

// admitUpload counts an upload that has received nothing yet, unless its owner has too many.
//
// Errors: registry.ErrTooManyRequests.
func (s *Store) admitUpload(ctx context.Context, owner string, id [16]byte) error {
	if s.unfinished.limit == 0 || s.unfinished.admit(owner, id, s.opts.UploadTTL) {
		return nil
	}
	if err := s.checkUploads(ctx, owner); err != nil {
		return err
	}
	if s.unfinished.admit(owner, id, s.opts.UploadTTL) {
		return nil
	}
	return registry.ErrTooManyRequests.WithMessage("too many unfinished uploads").WithRetryAfter(uploadRetry)
}

// checkUploads looks whether some of the uploads of an owner have ended in another process. Those
// that were looked at longest ago come first, so that all have their turn.
func (s *Store) checkUploads(ctx context.Context, owner string) error {
	some := s.unfinished.longestUnchecked(owner, checkedAtOnce)
	return parallel.Each(object.Parallelism, len(some), func(i int) error {
		b, _, err := s.objects.Read(ctx, object.UploadKey(uploadID{random: some[i]}.name()))
		if err != nil && !errors.Is(err, driver.ErrNotExist) {
			return object.RegistryError(err)
		}
		var r uploadRecord
		if _, ok := object.Decode(b, &r); err != nil || !ok || r.State != receiving {
			s.unfinished.remove(owner, some[i])
		}
		return nil
	})
}

// admit adds an upload of the owner and reports true, unless it would be one too many. One that is
// counted already is admitted.
func (n *unfinished) admit(owner string, id [16]byte, ttl time.Duration) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	now, all := time.Now(), n.owners[owner]
	if _, ok := all[id]; !ok && len(all) >= n.limit {
		for id, u := range all {
			if life := now.Sub(u.used); life > ttl || !u.begun && life > beginning {
				n.drop(owner, id)
			}
		}
		if len(all) >= n.limit {
			return false
		}
	}
	n.set(owner, id, n.used(owner, id))
	return true
}

// note counts an upload that has received something, whether or not there are too many.
func (n *unfinished) note(owner string, id [16]byte) {
	if n.limit == 0 {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	u := n.used(owner, id)
	u.begun = true
	n.set(owner, id, u)
}

// used returns an upload, counted or not, as used now.
func (n *unfinished) used(owner string, id [16]byte) counted {
	u, ok := n.owners[owner][id]
	u.used = time.Now()
	if !ok {
		u.checked = u.used
	}
	return u
}

// remove no longer counts an upload.
func (n *unfinished) remove(owner string, id [16]byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.drop(owner, id)
}

// longestUnchecked returns the uploads of the owner that have received something and were looked at
// longest ago. They count as looked at now.
func (n *unfinished) longestUnchecked(owner string, limit int) [][16]byte {
	n.mu.Lock()
	defer n.mu.Unlock()
	now, all := time.Now(), n.owners[owner]
	var ids [][16]byte
	for id, u := range all {
		if u.begun && now.Sub(u.checked) >= checkedAgain {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b [16]byte) int { return all[a].checked.Compare(all[b].checked) })
	ids = ids[:min(len(ids), limit)]
	for _, id := range ids {
		u := all[id]
		u.checked = now
		all[id] = u
	}
	return ids
}

func (n *unfinished) set(owner string, id [16]byte, u counted) {
	if _, ok := n.owners[owner][id]; !ok {
		if n.total >= maxCounted {
			n.forget()
		}
		n.total++
	}
	if n.owners[owner] == nil {
		n.owners[owner] = map[[16]byte]counted{}
	}
	n.owners[owner][id] = u
}

func (n *unfinished) drop(owner string, id [16]byte) {
	all := n.owners[owner]
	if _, ok := all[id]; !ok {
		return
	}
	delete(all, id)
	if n.total--; len(all) == 0 {
		delete(n.owners, owner)
	}
}

// forget makes room: it forgets the uploads of owners at random until half are left.
func (n *unfinished) forget() {
	for owner, all := range n.owners {
		if n.total <= maxCounted/2 {
			return
		}
		n.total -= len(all)
		delete(n.owners, owner)
	}
}

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
	// beginning is how long an upload counts that has received nothing. It occupies nothing in the
	// storage, and another process may have ended it.
	beginning = 10 * time.Second
	// checkedAtOnce is how many uploads of an owner at the limit are read to find uploads that have
	// ended in another process.
	checkedAtOnce = object.Parallelism
	// checkedAgain is the time after which the same upload is read again. It keeps refusals cheap.
	checkedAgain = 10 * time.Second
	// maxCounted is the maximum number of counted uploads of all owners together.
	maxCounted = 200_000
	// uploadRetry is the time after which an owner at the limit should try again.
	uploadRetry = 10 * time.Second
)

// unfinished counts the unfinished uploads of each owner that this process has seen. Below the
// limit it makes no request to the storage, and for each refusal a few.
type unfinished struct {
	limit int // for each owner; 0 means no limit

	mu     sync.Mutex
	owners map[string]map[[16]byte]counted
	total  int
}

// counted is an unfinished upload.
type counted struct {
	used    time.Time // the last use
	checked time.Time // when the record was last read to see whether the upload has ended
	begun   bool      // the upload has received something
}

// newUnfinished returns a count with a limit for each owner; 0 means no limit.
func newUnfinished(limit int) *unfinished {
	return &unfinished{limit: limit, owners: map[string]map[[16]byte]counted{}}
}

// admitUpload counts an upload that has received nothing yet, unless its owner is at the limit.
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

// checkUploads stops counting uploads of an owner that have ended in another process. It reads the
// records of a few uploads, those first that were read longest ago, so that each has its turn.
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

// admit counts an upload as used now and reports true, unless the owner is at the limit. An upload
// that is already counted is always admitted.
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

// note counts an upload that has received something, even beyond the limit.
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

// used returns an upload with the present time as its last use, whether or not it is counted. It
// changes nothing.
func (n *unfinished) used(owner string, id [16]byte) counted {
	u, ok := n.owners[owner][id]
	u.used = time.Now()
	if !ok {
		u.checked = u.used
	}
	return u
}

// remove stops counting an upload.
func (n *unfinished) remove(owner string, id [16]byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.drop(owner, id)
}

// longestUnchecked returns up to limit uploads of the owner that have received something, those
// that were read longest ago. It notes that they are read now.
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

// set counts an upload.
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

// drop stops counting an upload. The caller holds n.mu.
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

// forget makes room: it forgets the uploads of random owners until half of maxCounted are left.
func (n *unfinished) forget() {
	for owner, all := range n.owners {
		if n.total <= maxCounted/2 {
			return
		}
		n.total -= len(all)
		delete(n.owners, owner)
	}
}

package accounts

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/registrykit/registry/internal/parallel"
)

const (
	// flushEvery is the time between two writes of Run.
	flushEvery = 10 * time.Minute
	// flushTimeout is the maximum time of the last write of Run.
	flushTimeout = 30 * time.Second
	// maxUses is the maximum number of secrets whose last use is in memory.
	maxUses = 100_000
	// maxUsesStored is the maximum number of secrets in a usesRecord. Those with the latest uses remain, and revoked
	// secrets among them for a while.
	maxUsesStored = 2 * maxUserSecrets
)

// usesRecord is the times of the last uses of the secrets of an account, by the IDs of the secrets.
type usesRecord struct {
	Used map[string]time.Time `json:"used"`
}

func usesKey(owner ID) string { return prefix + "l/" + string(owner) }

// uses holds the times of last uses that are not stored yet. The zero uses is empty and ready for use.
type uses struct {
	mu  sync.Mutex
	at  map[ID]map[string]time.Time
	len int
}

// note records a use. At the maximum, it drops the use of a further secret.
func (u *uses) note(owner ID, id string, at time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	last, ok := u.at[owner][id]
	switch {
	case ok && !at.After(last):
		return
	case !ok && u.len >= maxUses:
		return
	case u.at == nil:
		u.at = make(map[ID]map[string]time.Time)
	}
	if u.at[owner] == nil {
		u.at[owner] = make(map[string]time.Time)
	}
	if !ok {
		u.len++
	}
	u.at[owner][id] = at
}

// take returns all uses and removes them.
func (u *uses) take() map[ID]map[string]time.Time {
	u.mu.Lock()
	defer u.mu.Unlock()
	all := u.at
	u.at, u.len = nil, 0
	return all
}

// of returns the uses of the secrets of an account.
func (u *uses) of(owner ID) map[string]time.Time {
	u.mu.Lock()
	defer u.mu.Unlock()
	return maps.Clone(u.at[owner])
}

// Used records in memory that a secret was used now. The [Authenticator] calls it for each login by secret.
func (a *Accounts) Used(owner ID, id string) { a.uses.note(owner, id, a.now().UTC()) }

// Run writes the times of the last uses of secrets every ten minutes until ctx ends, and then once more. Without
// Run, Secret.LastUsed covers only the uses in this process since its start. The next write repeats what a
// failed write has not stored.
//
// Errors: the error of ctx, joined with that of the last write.
func (a *Accounts) Run(ctx context.Context) error {
	t := time.NewTicker(flushEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			_ = a.flush(ctx)
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTimeout)
			defer cancel()
			return errors.Join(ctx.Err(), a.flush(last))
		}
	}
}

// flush stores the uses in memory. It puts back those that it could not store.
func (a *Accounts) flush(ctx context.Context) error {
	all := a.uses.take()
	owners := slices.Collect(maps.Keys(all))
	return parallel.Each(parallelRequests, len(owners), func(i int) error {
		owner := owners[i]
		err := a.storeUses(ctx, owner, all[owner])
		if err != nil {
			for id, at := range all[owner] {
				a.uses.note(owner, id, at)
			}
		}
		return err
	})
}

func (a *Accounts) storeUses(ctx context.Context, owner ID, used map[string]time.Time) error {
	_, err := updateOrCreate(ctx, a, usesKey(owner), func(r *usesRecord) error {
		r.Used = later(r.Used, used)
		ids := slices.SortedFunc(maps.Keys(r.Used), func(x, y string) int { return r.Used[y].Compare(r.Used[x]) })
		for _, id := range ids[min(len(ids), maxUsesStored):] {
			delete(r.Used, id)
		}
		return nil
	})
	return err
}

// later returns the later time for each ID. It may change x.
func later(x, y map[string]time.Time) map[string]time.Time {
	if x == nil {
		x = make(map[string]time.Time)
	}
	for id, at := range y {
		if at.After(x[id]) {
			x[id] = at
		}
	}
	return x
}

// lastUses returns the times of the last uses of the secrets of an account, stored or in memory.
func (a *Accounts) lastUses(ctx context.Context, owner ID) (map[string]time.Time, error) {
	r, _, err := get[usesRecord](ctx, a, usesKey(owner))
	if errors.Is(err, ErrUnknown) {
		r, err = new(usesRecord), nil
	}
	if err != nil {
		return nil, err
	}
	return later(r.Used, a.uses.of(owner)), nil
}

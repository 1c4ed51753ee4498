package storage_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/driver/drivertest"
)

// beforePut returns a Store that calls f right before write n of a tag. If f returns an error,
// the Store has died: that call and all later calls return the error.
func beforePut(t *testing.T, driver driver.Driver, tag string, n int, f func() error) *storage.Store {
	var mu sync.Mutex
	var dead error
	puts := 0
	return newStore(t, drivertest.NewFaulty(driver,
		&drivertest.FaultyOptions{Before: func(_ context.Context, call drivertest.Call) error {
			mu.Lock()
			defer mu.Unlock()
			if dead == nil && call.Op == "Put" && call.Key == "r/r/t/"+tag {
				if puts++; puts == n {
					dead = f()
				}
			}
			return dead
		}}), nil)
}

var errDead = errors.New("died")

// dead leaves an unfinished push, which dies right before write n of a tag.
func (c *conditional) dead(driver driver.Driver, tag string, n int, name string, opts *registry.PutOptions) {
	c.t.Helper()
	s := beforePut(c.t, driver, tag, n, func() error { return errDead })
	require.ErrorIs(c.t, c.put(c.t.Context(), s, name, opts), errDead)
}

// untagIf deletes a tag on the condition that it points at an image.
func (c *conditional) untagIf(s *storage.Store, tag, name string) error {
	return s.DeleteManifest(c.t.Context(), "r", byTag(tag), &registry.DeleteOptions{If: expects(c.digest(name))})
}

// TestLeadDecidedPushCompletes changes something after a push has moved its lead and before it
// moves its other tag. A third push expects the old manifest at the other tag. Only one of the
// two pushes succeeds.
func TestLeadDecidedPushCompletes(t *testing.T) {
	type world struct {
		*conditional
		driver driver.Driver
		s      *storage.Store
	}
	var ok error
	for name, test := range map[string]struct {
		between      func(w *world) error
		theirs, mine error
	}{
		"nothing": {func(*world) error { return nil }, registry.ErrUnavailable, ok},
		"many are about to move the other tag": {func(w *world) error {
			for i := range 70 {
				w.dead(w.driver, "b", 3, fmt.Sprint("dead", i), tags("b")) // the first write relies on a guess
			}
			return nil
		}, registry.ErrUnavailable, ok},
		"the lead is moved on many times": {func(w *world) error {
			last := "mine"
			for i := range 70 {
				next := fmt.Sprint("m", i)
				if err := w.put(t.Context(), w.s, next, taggedIf("", expects(w.digest(last)), "a")); err != nil {
					return err
				}
				last = next
			}
			return nil
		}, registry.ErrUnavailable, ok},
		"the lead is deleted on a condition": {func(w *world) error {
			require.ErrorIs(t, w.untagIf(w.s, "a", "mine"), registry.ErrUnavailable)
			return nil
		}, registry.ErrUnavailable, ok},
		"the lead is deleted": {func(w *world) error {
			return w.s.DeleteManifest(t.Context(), "r", byTag("a"), nil)
		}, ok, registry.ErrUnavailable},
		"the manifest is deleted": {func(w *world) error {
			return w.s.DeleteManifest(t.Context(), "r", byDigest(w.digest("mine")), nil)
		}, ok, registry.ErrUnavailable},
		"the others have waited long enough": {func(*world) error {
			time.Sleep(time.Minute)
			return nil
		}, ok, registry.ErrUnavailable},
		"a collector has waited long enough": {func(w *world) error {
			time.Sleep(time.Minute)
			collected(t, w.s, &storage.CollectOptions{Grace: -1})
			return nil
		}, ok, registry.ErrUnavailable},
		"the other tag is moved without a condition": {func(w *world) error {
			return w.put(t.Context(), w.s, "moved", tags("b"))
		}, registry.ErrPreconditionFailed, ok},
		"the other tag is created anew": {func(w *world) error {
			return errors.Join(w.s.DeleteManifest(t.Context(), "r", byTag("b"), nil),
				w.put(t.Context(), w.s, "old", taggedIf("", expectsNothing, "b")))
		}, ok, registry.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				driver := newMemory(t)
				s := newStore(t, driver, nil)
				w := &world{conditional: newConditional(t, s), driver: driver, s: s}
				require.NoError(t, w.put(t.Context(), s, "old", tags("a", "b")))
				old := expects(w.digest("old"))
				var theirs error
				mine := w.put(t.Context(), beforePut(t, driver, "b", 2, func() error {
					require.NoError(t, test.between(w))
					theirs = w.put(t.Context(), s, "theirs", taggedIf("", old, "b"))
					return nil
				}), "mine", taggedIf("", old, "a", "b"))
				require.ErrorIs(t, theirs, test.theirs)
				require.ErrorIs(t, mine, test.mine)
				if theirs == nil {
					require.Equal(t, "theirs", w.at(s, "b", "theirs"))
				}
			})
		})
	}
}

// TestLeadRefusesBeyondMaxDecisions checks that a tag remembers every push that it has decided
// and that has not finished. When it has too many, it refuses to decide another.
func TestLeadRefusesBeyondMaxDecisions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		driver := newMemory(t)
		s := newStore(t, driver, nil)
		c := newConditional(t, s)
		require.NoError(t, c.put(t.Context(), s, "0", tags("a")))
		for i := range 64 {
			other, next := fmt.Sprint("b", i), fmt.Sprint(i+1)
			require.NoError(t, c.put(t.Context(), s, "0", tags(other)))
			cond := &registry.Condition{Match: expects(c.digest("0")).Match}
			cond.Match = append(cond.Match, c.digest(fmt.Sprint(i)))
			c.dead(driver, other, 2, next, taggedIf("", cond, "a", other))
			require.Equal(t, next, c.at(s, "a", next))
		}
		require.NoError(t, c.put(t.Context(), s, "64", tags("b")))
		at := expects(c.digest("64"))
		require.ErrorIs(t, c.put(t.Context(), s, "more", taggedIf("", at, "a", "b")), registry.ErrUnavailable)
		require.Equal(t, "64", c.at(s, "a", "64"))
		require.ErrorIs(t, c.put(t.Context(), s, "theirs", taggedIf("", expects(c.digest("0")), "b0")),
			registry.ErrUnavailable)
		time.Sleep(3 * time.Minute)
		require.NoError(t, c.put(t.Context(), s, "more", taggedIf("", at, "a", "b")))
		require.NoError(t, c.put(t.Context(), s, "theirs", taggedIf("", expects(c.digest("0")), "b0")))
	})
}

// TestConditionRetriedPushSetsTagOnce checks a push that has set its tag and must begin again.
// It does not set the tag once more if the tag was deleted in between. It fails if another
// client has created the tag.
func TestConditionRetriedPushSetsTagOnce(t *testing.T) {
	untagged := &storage.CollectOptions{Grace: -1, Untagged: true}
	again := func(c *conditional, s *storage.Store) error { // gives the manifest another version
		return errors.Join(s.DeleteManifest(t.Context(), "r", byDigest(c.digest("mine")), nil),
			c.put(t.Context(), s, "mine", nil))
	}
	theirs := func(c *conditional, s *storage.Store) error {
		return c.put(t.Context(), s, "theirs", taggedIf("", expectsNothing, "t"))
	}
	for name, test := range map[string]struct {
		before func(c *conditional, s *storage.Store)
		after  func(c *conditional, s *storage.Store) error
		want   string
	}{
		"it is deleted": {nil, func(c *conditional, s *storage.Store) error {
			return errors.Join(c.untagIf(s, "t", "mine"), again(c, s))
		}, ""},
		"it is deleted, and created by another": {nil, func(c *conditional, s *storage.Store) error {
			return errors.Join(c.untagIf(s, "t", "mine"), theirs(c, s), again(c, s))
		}, "theirs"},
		"it leads nowhere, and another creates it": {func(_ *conditional, s *storage.Store) { collected(t, s, untagged) },
			theirs, "theirs"},
		"it is collected, and another creates it": {func(_ *conditional, s *storage.Store) { collected(t, s, untagged) },
			func(c *conditional, s *storage.Store) error {
				collected(t, s, untagged)
				return theirs(c, s)
			}, "theirs"},
	} {
		t.Run(name, func(t *testing.T) {
			driver := newMemory(t)
			s := newStore(t, driver, nil)
			c := newConditional(t, s)
			require.NoError(t, c.put(t.Context(), s, "keeps the config", tags("other")))
			written := 0
			isTag := func(call drivertest.Call) bool { return call.Op == "Put" && call.Key == "r/r/t/t" }
			mine := c.put(t.Context(), newStore(t, drivertest.NewFaulty(driver, &drivertest.FaultyOptions{
				Before: func(_ context.Context, call drivertest.Call) error {
					if isTag(call) && written == 0 && test.before != nil {
						test.before(c, s)
					}
					return nil
				},
				After: func(_ context.Context, call drivertest.Call, err error) error {
					if isTag(call) {
						require.NoError(t, err)
						if written++; written == 1 {
							require.NoError(t, test.after(c, s))
						}
					}
					return err
				},
			}), nil), "mine", taggedIf("", expectsNothing, "t"))
			require.Equal(t, 1, written)
			require.ErrorIs(t, mine, registry.ErrUnavailable)
			require.Equal(t, test.want, c.at(s, "t", "theirs", "mine"))
		})
	}
}

// TestConditionLostResponseKeepsLaterTag creates a tag, and loses the response. Before the write
// is repeated, another client deletes the tag and creates it anew. The push does not replace
// that tag, although its condition holds.
func TestConditionLostResponseKeepsLaterTag(t *testing.T) {
	driver := newMemory(t)
	s := newStore(t, driver, nil)
	c := newConditional(t, s)
	err := c.put(t.Context(), newStore(t, &resent{
		Driver: driver, which: func(op, key string) bool { return op == "Put" && key == "r/r/t/t" },
		between: func() {
			require.NoError(t, c.untagIf(s, "t", "new"))
			require.NoError(t, c.put(t.Context(), s, "other", tags("t")))
		},
	}, nil), "new", taggedIf("", &registry.Condition{NoneMatch: expects(c.digest("old")).Match}, "t"))
	require.ErrorIs(t, err, registry.ErrUnavailable)
	require.Equal(t, "other", c.at(s, "t", "new", "other"))
}

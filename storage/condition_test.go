package storage_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver/drivertest"
)

// expects returns the condition that a tag points at a digest.
func expects(d digest.Digest) *registry.Condition {
	return &registry.Condition{Match: []digest.Digest{d}}
}

// expectsNothing is the condition that a tag does not exist.
var expectsNothing = &registry.Condition{NoneMatch: []digest.Digest{registry.AnyDigest}}

// taggedIf returns the options of a push by a user, which sets tags on a condition.
func taggedIf(by string, c *registry.Condition, names ...string) *registry.PutOptions {
	o := &registry.PutOptions{By: by}
	for _, n := range names {
		o.Tags = append(o.Tags, registry.TagPut{Name: n, If: c})
	}
	return o
}

// conditional is a repository, with images of names that tests choose.
type conditional struct {
	t      *testing.T
	config ocispec.Descriptor
}

func newConditional(t *testing.T, s *storage.Store) *conditional {
	return &conditional{t: t, config: pushBlob(t, s, "r", []byte("{}"))}
}

func (c *conditional) image(name string) []byte { return image(name, nil, c.config) }

func (c *conditional) digest(name string) digest.Digest { return digest.FromBytes(c.image(name)) }

// put pushes an image.
func (c *conditional) put(ctx context.Context, s *storage.Store, name string, opts *registry.PutOptions) error {
	_, err := s.PutManifest(ctx, "r", ocispec.MediaTypeImageManifest, c.image(name), opts)
	return err
}

// at returns the name of the image that a tag points at, which must be one of those given. It
// returns "" if the tag does not exist.
func (c *conditional) at(s *storage.Store, tag string, names ...string) string {
	m, err := s.GetManifest(c.t.Context(), "r", byTag(tag))
	if errors.Is(err, registry.ErrManifestUnknown) {
		return ""
	}
	require.NoError(c.t, err)
	for _, n := range names {
		if c.digest(n) == m.Descriptor.Digest {
			return n
		}
	}
	require.Fail(c.t, "the tag points at another image", tag)
	return ""
}

// TestConditionChangeBeforeEachCallOneWins lets another client change the tag right before each
// call of a conditional push in turn. Exactly one of them wins.
func TestConditionChangeBeforeEachCallOneWins(t *testing.T) {
	type names = []string
	for name, test := range map[string]struct {
		at       names // the tags that exist at first
		mine     names // the tags that the push sets
		expected *registry.Condition
		other    func(c *conditional, s *storage.Store, cond *registry.Condition) error
	}{
		"two move it": {names{"t"}, names{"t"}, nil, func(c *conditional, s *storage.Store, cond *registry.Condition) error {
			return c.put(t.Context(), s, "theirs", taggedIf("they", cond, "t"))
		}},
		"two create it": {nil, names{"t"}, expectsNothing, func(c *conditional, s *storage.Store,
			cond *registry.Condition) error {
			return c.put(t.Context(), s, "theirs", taggedIf("they", cond, "t"))
		}},
		"it is deleted": {names{"t"}, names{"t"}, nil, func(_ *conditional, s *storage.Store,
			cond *registry.Condition) error {
			return s.DeleteManifest(t.Context(), "r", byTag("t"), &registry.DeleteOptions{If: cond, By: "they"})
		}},
		"one of several is moved": {names{"s", "t", "u"}, names{"t", "u", "s"}, nil,
			func(c *conditional, s *storage.Store, cond *registry.Condition) error {
				return c.put(t.Context(), s, "theirs", taggedIf("they", cond, "t"))
			}},
		"one of several is deleted": {names{"s", "t"}, names{"s", "t"}, nil,
			func(_ *conditional, s *storage.Store, cond *registry.Condition) error {
				return s.DeleteManifest(t.Context(), "r", byTag("t"), &registry.DeleteOptions{If: cond, By: "they"})
			}},
		"some of several are moved": {names{"s", "t", "u"}, names{"s", "t", "u"}, nil,
			func(c *conditional, s *storage.Store, cond *registry.Condition) error {
				return c.put(t.Context(), s, "theirs", taggedIf("they", cond, "u", "t"))
			}},
		"one of several is created": {nil, names{"s", "t", "u"}, expectsNothing,
			func(c *conditional, s *storage.Store, cond *registry.Condition) error {
				return c.put(t.Context(), s, "theirs", taggedIf("they", cond, "t"))
			}},
	} {
		for _, history := range []time.Duration{0, time.Hour} {
			t.Run(fmt.Sprint(name, ", history ", history), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					won, lost := 0, 0
					for n := 1; ; n++ {
						driver, opts := newMemory(t), &storage.Options{History: history}
						s := newStore(t, driver, opts)
						c := newConditional(t, s)
						if len(test.at) > 0 {
							require.NoError(t, c.put(t.Context(), s, "old", tags(test.at...)))
						}
						cond := test.expected
						if cond == nil {
							cond = expects(c.digest("old"))
						}
						// A client that waits for the push gets an error.
						var theirs error
						done := false
						mine := c.put(t.Context(), beforeCall(t, driver, opts, n, func(s *storage.Store) {
							theirs, done = test.other(c, s, cond), true
						}), "mine", taggedIf("me", cond, test.mine...))
						if !done {
							require.NoError(t, mine)
							break
						}
						c.checkOutcome(s, n, test.mine, mine, theirs)
						c.checkHistory(s, history > 0, mine)
						if mine == nil {
							won++
						} else {
							lost++
						}
					}
					require.Positive(t, won)
					require.Positive(t, lost)
				})
			})
		}
	}
}

// checkOutcome demands that one of two changes has won. If the push has lost, none of its tags
// points at its manifest.
func (c *conditional) checkOutcome(s *storage.Store, n int, pushed []string, mine, theirs error) {
	c.t.Helper()
	if mine != nil {
		require.ErrorIs(c.t, mine, registry.ErrPreconditionFailed, "call %d", n)
		require.NoError(c.t, theirs, "call %d: both have lost", n)
	} else {
		require.Error(c.t, theirs, "call %d: both have won", n)
		if !errors.Is(theirs, registry.ErrUnavailable) { // it has waited for the push, which is blocked
			require.ErrorIs(c.t, theirs, registry.ErrPreconditionFailed, "call %d", n)
		}
	}
	for _, tag := range pushed {
		if at := c.at(s, tag, "old", "mine", "theirs"); mine == nil {
			require.Equal(c.t, "mine", at, "call %d, tag %s", n, tag)
		} else {
			require.NotEqual(c.t, "mine", at, "call %d, tag %s", n, tag)
		}
	}
}

// checkHistory demands that the history of a refused push is balanced: each tag that the push
// has set, it has removed again.
func (c *conditional) checkHistory(s *storage.Store, kept bool, mine error) {
	c.t.Helper()
	if !kept || mine == nil {
		return
	}
	stands := map[string]int{}
	for e, err := range s.History(c.t.Context(), "r", nil) {
		require.NoError(c.t, err)
		if e.By != "me" || e.Unconfirmed {
			continue
		}
		if stands[e.Tag]++; e.Change == registry.ChangeUntag {
			stands[e.Tag] -= 2
		}
	}
	for tag, n := range stands {
		require.Zero(c.t, n, "tag %s", tag)
	}
}

// TestConditionFalseWritesNothing checks that a false condition is found before anything is
// written.
func TestConditionFalseWritesNothing(t *testing.T) {
	driver, opts := newMemory(t), &storage.Options{History: time.Hour}
	s := newStore(t, driver, opts)
	c := newConditional(t, s)
	require.NoError(t, c.put(t.Context(), s, "old", tags("t", "u")))
	writes := 0
	watched := newStore(t, drivertest.NewFaulty(driver,
		&drivertest.FaultyOptions{Before: func(_ context.Context, call drivertest.Call) error {
			if call.Op == "Put" || call.Op == "Delete" {
				writes++
			}
			return nil
		}}), opts)
	writes = 0
	refused := func(err error) {
		t.Helper()
		require.ErrorIs(t, err, registry.ErrPreconditionFailed)
	}
	other := expects(c.digest("other"))
	refused(c.put(t.Context(), watched, "new", taggedIf("", other, "t")))
	refused(c.put(t.Context(), watched, "new", taggedIf("", expectsNothing, "v", "u")))
	refused(c.put(t.Context(), watched, "new", &registry.PutOptions{If: other}))
	refused(watched.DeleteManifest(t.Context(), "r", byTag("t"), &registry.DeleteOptions{If: other}))
	refused(watched.DeleteManifest(t.Context(), "r", byDigest(c.digest("old")), &registry.DeleteOptions{If: other}))
	refused(watched.DeleteBlob(t.Context(), "r", c.config.Digest, &registry.DeleteOptions{If: other}))
	require.Zero(t, writes)
}

// TestConditionLostResponsePushSucceeds sets a tag on a condition, and loses the response.
// Before the write is repeated, other clients move the tag on. The push has been done, so it is
// not refused.
func TestConditionLostResponsePushSucceeds(t *testing.T) {
	for name, there := range map[string]bool{"move": true, "create": false} {
		for next, between := range map[string]func(c *conditional, s *storage.Store) error{
			"moved on": func(c *conditional, s *storage.Store) error {
				return c.put(t.Context(), s, "next", taggedIf("", expects(c.digest("new")), "t"))
			},
			"moved on twice": func(c *conditional, s *storage.Store) error {
				return errors.Join(c.put(t.Context(), s, "old", taggedIf("", expects(c.digest("new")), "t")),
					c.put(t.Context(), s, "next", tags("t")))
			},
			"set again": func(c *conditional, s *storage.Store) error { return c.put(t.Context(), s, "new", tags("t")) },
		} {
			t.Run(name+", "+next, func(t *testing.T) {
				driver := newMemory(t)
				s, writes, before := newStore(t, driver, nil), 0, 0
				c := newConditional(t, s)
				cond := expectsNothing
				if there {
					require.NoError(t, c.put(t.Context(), s, "old", tags("t")))
					cond, before = expects(c.digest("old")), 1 // the pending move
				}
				err := c.put(t.Context(), newStore(t, &resent{Driver: driver, which: func(op, key string) bool {
					if op == "Put" && key == "r/r/t/t" {
						writes++
					}
					return writes > before
				}, between: func() { require.NoError(t, between(c, s)) }}, nil), "new", taggedIf("", cond, "t"))
				require.NoError(t, err)
				want := "next"
				if next == "set again" {
					want = "new"
				}
				require.Equal(t, want, c.at(s, "t", "old", "new", "next"))
			})
		}
	}
}

// TestConditionInterruptedPushFreesTag interrupts a conditional push after each of its writes.
// Each tag points at its old manifest or at the new one. A client that expects that manifest can
// change the tag, at once or when the push counts as abandoned.
func TestConditionInterruptedPushFreesTag(t *testing.T) {
	for _, names := range [][]string{{"t"}, {"s", "t", "u"}} {
		for _, cond := range []string{"old", ""} {
			t.Run(fmt.Sprint(names, " ", cond), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					for n := 0; ; n++ {
						driver := newMemory(t)
						s := newStore(t, driver, nil)
						c := newConditional(t, s)
						expected := expectsNothing
						if cond != "" {
							require.NoError(t, c.put(t.Context(), s, "old", tags(names...)))
							expected = expects(c.digest("old"))
						}
						faulty := drivertest.NewFaulty(driver, nil)
						dying := newStore(t, faulty, nil)
						faulty.CutAfter(n)
						if c.put(t.Context(), dying, "new", taggedIf("", expected, names...)) == nil {
							require.Greater(t, n, 3)
							return
						}
						for _, tag := range names {
							now := c.at(s, tag, "old", "new")
							next := expectsNothing
							if now != "" {
								next = expects(c.digest(now))
							}
							err := c.put(t.Context(), s, "next", taggedIf("", next, tag))
							if errors.Is(err, registry.ErrUnavailable) {
								time.Sleep(2 * time.Minute)
								err = c.put(t.Context(), s, "next", taggedIf("", next, tag))
							}
							require.NoError(t, err, "write %d, tag %s at %s", n, tag, now)
						}
						collected(t, s, &storage.CollectOptions{Grace: -1, Untagged: true})
						for _, tag := range names {
							require.Equal(t, "next", c.at(s, tag, "next"))
						}
					}
				})
			})
		}
	}
}

// TestCollectLeavesDecidedPush checks a push of several tags that has moved the first of them. A
// collection without a grace period does not let other clients change the tags that the push is
// about to move.
func TestCollectLeavesDecidedPush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		halfWay := 0
		for n := 0; ; n++ {
			driver := newMemory(t)
			s := newStore(t, driver, nil)
			c := newConditional(t, s)
			require.NoError(t, c.put(t.Context(), s, "old", tags("s", "t")))
			old := expects(c.digest("old"))
			faulty := drivertest.NewFaulty(driver, nil)
			dying := newStore(t, faulty, nil)
			faulty.CutAfter(n)
			if c.put(t.Context(), dying, "new", taggedIf("", old, "s", "t")) == nil {
				break
			}
			if c.at(s, "s", "old", "new") == "old" || c.at(s, "t", "old", "new") == "new" {
				continue
			}
			halfWay++
			collected(t, s, &storage.CollectOptions{Grace: -1})
			err := c.put(t.Context(), s, "next", taggedIf("", old, "t"))
			require.ErrorIs(t, err, registry.ErrUnavailable)
			time.Sleep(time.Minute)
			require.NoError(t, c.put(t.Context(), s, "next", taggedIf("", old, "t")))
		}
		require.Positive(t, halfWay)
	})
}

// TestConditionOnTagWithoutManifest checks that a tag whose manifest is missing counts as
// absent, as it does for readers. It can be created.
func TestConditionOnTagWithoutManifest(t *testing.T) {
	driver := newMemory(t)
	s := newStore(t, driver, nil)
	c := newConditional(t, s)
	require.NoError(t, c.put(t.Context(), s, "old", tags("t")))
	for _, key := range keys(t, driver, "r/r/m/") {
		require.NoError(t, driver.Delete(t.Context(), key, ""))
	}
	s = newStore(t, driver, nil)
	require.Empty(t, c.at(s, "t"))
	require.ErrorIs(t, c.put(t.Context(), s, "new", taggedIf("", expects(c.digest("new")), "t")),
		registry.ErrPreconditionFailed)
	require.NoError(t, c.put(t.Context(), s, "new", taggedIf("", expectsNothing, "t")))
	require.Equal(t, "new", c.at(s, "t", "new"))
}

// TestConditionRetriedPushKnowsItsOwnTag checks a push that begins again because its manifest is
// deleted while it creates the tag. It does not mistake its own tag for that of another client.
// It does not create the tag twice: if the tag was removed with the manifest, the push cannot
// know whether it existed.
func TestConditionRetriedPushKnowsItsOwnTag(t *testing.T) {
	created, unknown := 0, 0
	for n := 1; ; n++ {
		driver, done := newMemory(t), false
		s := newStore(t, driver, nil)
		c := newConditional(t, s)
		require.NoError(t, c.put(t.Context(), s, "new", nil))
		err := c.put(t.Context(), beforeCall(t, driver, nil, n, func(s *storage.Store) {
			done = true
			err := s.DeleteManifest(t.Context(), "r", byDigest(c.digest("new")), nil)
			require.True(t, err == nil || errors.Is(err, registry.ErrManifestUnknown), err)
		}), "new", taggedIf("", expectsNothing, "t"))
		if errors.Is(err, registry.ErrUnavailable) {
			require.Empty(t, c.at(s, "t"), "call %d", n)
			unknown++
			continue
		}
		require.NoError(t, err, "call %d", n)
		if !done {
			break
		}
		if created++; unknown == 0 { // otherwise the delete may come after the push
			require.Equal(t, "new", c.at(s, "t", "new"), "call %d", n)
		}
	}
	require.Positive(t, created)
	require.Positive(t, unknown)
}

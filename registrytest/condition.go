package registrytest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
)

// matching returns the condition that one of the contents exists.
func matching(contents ...*Content) *registry.Condition {
	c := &registry.Condition{}
	for _, content := range contents {
		c.Match = append(c.Match, content.Descriptor.Digest)
	}
	return c
}

// Conditions on existence alone.
var (
	ifThere  = &registry.Condition{Match: []digest.Digest{registry.AnyDigest}}
	ifAbsent = &registry.Condition{NoneMatch: []digest.Digest{registry.AnyDigest}}
)

// tagIf returns a tag with a condition.
func tagIf(tag string, c *registry.Condition) registry.TagPut {
	return registry.TagPut{Name: tag, If: c}
}

// replicas returns b and, if Reopen is set, another backend on the content of b.
func (s *suite) replicas(t *testing.T, b registry.Backend) []registry.Backend {
	t.Helper()
	if s.Reopen == nil {
		return []registry.Backend{b, b}
	}
	return []registry.Backend{b, s.Reopen(t, b)}
}

// conditionsRefused checks that an unsupported condition is rejected and not ignored.
func (s *suite) conditionsRefused(t *testing.T) {
	b, _ := s.new(t)
	old, c := tiny(1), tiny(2)
	push(t, b, "a/b", old, "v1")
	for _, cond := range []*registry.Condition{matching(old), ifThere, ifAbsent} {
		requireError(t, put(t.Context(), b, "a/b", c, tagIf("v1", cond)), registry.ErrUnsupported)
		_, err := b.PutManifest(t.Context(), "a/b", c.Descriptor.MediaType, c.Manifest, &registry.PutOptions{If: cond})
		requireError(t, err, registry.ErrUnsupported)
		requireRefused(t, b.DeleteManifest(t.Context(), "a/b", byTag("v1"), &registry.DeleteOptions{If: cond}))
	}
	requireManifest(t, b, "a/b", old, "v1")
	requireNoManifest(t, b, "a/b", byDigest(c.Descriptor.Digest))
}

// conditionOfTag checks that a tag is set if it points to the expected manifest, and that nothing
// changes otherwise.
func (s *suite) conditionOfTag(t *testing.T) {
	b, _ := s.new(t)
	one, two, three := tiny(1), tiny(2), tiny(3)
	refused := func(c *Content, cond *registry.Condition) {
		t.Helper()
		requireError(t, put(t.Context(), b, "a/b", c, tagIf("latest", cond)), registry.ErrPreconditionFailed)
	}
	for _, cond := range []*registry.Condition{matching(one), matching(two), ifThere, {Match: []digest.Digest{"W/x"}}} {
		refused(one, cond)
	}
	requireNoManifest(t, b, "a/b", byTag("latest"), byDigest(one.Descriptor.Digest))
	require.NoError(t, put(t.Context(), b, "a/b", one, tagIf("latest", ifAbsent)))
	requireManifest(t, b, "a/b", one, "latest")

	refused(one, ifAbsent) // even though it would change nothing
	notOne := &registry.Condition{NoneMatch: matching(one).Match}
	both := &registry.Condition{Match: matching(one).Match, NoneMatch: matching(one).Match}
	for _, cond := range []*registry.Condition{ifAbsent, matching(two), matching(three, two), notOne, both,
		{Match: []digest.Digest{""}}} {
		refused(two, cond)
	}
	requireManifest(t, b, "a/b", one, "latest")
	requireTags(t, b, "a/b", "latest")
	requireNoManifest(t, b, "a/b", byDigest(two.Descriptor.Digest))

	require.NoError(t, put(t.Context(), b, "a/b", two, tagIf("latest", matching(three, one))))
	requireManifest(t, b, "a/b", two, "latest")
	requireManifest(t, b, "a/b", one)
	refused(two, matching(one)) // a repeated push fails
	require.NoError(t, put(t.Context(), b, "a/b", three, tagIf("latest", notOne)))
	require.NoError(t, put(t.Context(), b, "a/b", one, tagIf("latest", ifThere)))
	require.NoError(t, put(t.Context(), b, "a/b", one, tagIf("latest", matching(one))))
	require.NoError(t, put(t.Context(), b, "a/b", two, tagIf("latest", &registry.Condition{})))
	requireManifest(t, b, "a/b", two, "latest")
}

// conditionOfManifest checks that without tags the condition is on the manifest itself.
func (s *suite) conditionOfManifest(t *testing.T) {
	b, _ := s.new(t)
	one := tiny(1)
	try := func(cond *registry.Condition) error {
		_, err := b.PutManifest(t.Context(), "a/b", one.Descriptor.MediaType, one.Manifest,
			&registry.PutOptions{Digest: one.Descriptor.Digest, If: cond})
		return err
	}
	requireError(t, try(ifThere), registry.ErrPreconditionFailed)
	requireError(t, try(matching(one)), registry.ErrPreconditionFailed)
	requireNoManifest(t, b, "a/b", byDigest(one.Descriptor.Digest))
	require.NoError(t, try(ifAbsent))
	requireError(t, try(ifAbsent), registry.ErrPreconditionFailed)
	requireError(t, try(matching(tiny(2))), registry.ErrPreconditionFailed)
	require.NoError(t, try(ifThere))
	require.NoError(t, try(matching(one)))
	requireManifest(t, b, "a/b", one)
}

// conditionOfSeveralTags checks that either all tags are set or none.
func (s *suite) conditionOfSeveralTags(t *testing.T) {
	b, _ := s.new(t)
	one, two, three := tiny(1), tiny(2), tiny(3)
	push(t, b, "a/b", one, "v1", "v2")
	push(t, b, "a/b", two, "v3")
	try := func(c *Content, cond *registry.Condition, tags ...string) error {
		var puts []registry.TagPut
		for _, tag := range tags {
			puts = append(puts, tagIf(tag, cond))
		}
		return put(t.Context(), b, "a/b", c, puts...)
	}
	requireError(t, try(three, matching(one), "v1", "v2", "v3"), registry.ErrPreconditionFailed)
	requireError(t, try(three, matching(one), "v1", "v2", "v4"), registry.ErrPreconditionFailed)
	requireError(t, try(three, ifAbsent, "v0", "v4", "v3"), registry.ErrPreconditionFailed)
	requireManifest(t, b, "a/b", one, "v1", "v2")
	requireManifest(t, b, "a/b", two, "v3")
	requireTags(t, b, "a/b", "v1", "v2", "v3")
	requireNoManifest(t, b, "a/b", byDigest(three.Descriptor.Digest))

	require.NoError(t, try(three, matching(one), "v2", "v1"))
	requireManifest(t, b, "a/b", three, "v1", "v2")
	require.NoError(t, try(one, ifAbsent, "v0", "v4"))
	requireManifest(t, b, "a/b", one, "v0", "v4")
	requireTags(t, b, "a/b", "v0", "v1", "v2", "v3", "v4")
}

// requireOneWinner requires exactly one success and returns its index.
func requireOneWinner(t *testing.T, errs []error) int {
	t.Helper()
	winner := -1
	for i, err := range errs {
		if err == nil {
			require.Equal(t, -1, winner, "two have won")
			winner = i
			continue
		}
		requireError(t, err, registry.ErrPreconditionFailed)
	}
	require.NotEqual(t, -1, winner, "no call succeeded: %v", errors.Join(errs...))
	return winner
}

// conditionRace checks that of many pushes with the same expectation, on two replicas, one
// succeeds.
func (s *suite) conditionRace(t *testing.T) {
	b, _ := s.new(t)
	replicas := s.replicas(t, b)
	last := tiny(1_000_000)
	push(t, b, "a/b", last, "latest")
	for round := range 5 {
		errs := race(s.Writers, func(i int) error {
			return put(t.Context(), replicas[i%2], "a/b", tiny(100*round+i), tagIf("latest", matching(last)))
		})
		last = tiny(100*round + requireOneWinner(t, errs))
		requireManifest(t, b, "a/b", last, "latest")
		requireManifest(t, replicas[1], "a/b", last, "latest")
	}
	requireTags(t, b, "a/b", "latest")
}

// conditionCreateRace checks that of many pushes that expect no tag, or no manifest, one succeeds.
func (s *suite) conditionCreateRace(t *testing.T) {
	b, _ := s.new(t)
	replicas := s.replicas(t, b)
	for round := range 5 {
		tag := fmt.Sprint("v", round)
		winner := requireOneWinner(t, race(s.Writers, func(i int) error {
			return put(t.Context(), replicas[i%2], "a/b", tiny(100*round+i), tagIf(tag, ifAbsent))
		}))
		requireManifest(t, b, "a/b", tiny(100*round+winner), tag)
		same := tiny(10_000 + round)
		requireOneWinner(t, race(s.Writers, func(i int) error {
			_, err := replicas[i%2].PutManifest(t.Context(), "a/b", same.Descriptor.MediaType, same.Manifest,
				&registry.PutOptions{If: ifAbsent})
			return err
		}))
		requireManifest(t, b, "a/b", same)
	}
}

// conditionSeveralTagsRace checks that pushes with some common tags set either all of theirs or
// none.
func (s *suite) conditionSeveralTagsRace(t *testing.T) {
	b, _ := s.new(t)
	replicas := s.replicas(t, b)
	sets := [][]string{{"a", "b"}, {"b", "c"}, {"a", "c"}, {"a", "b", "c"}, {"b"}, {"c"}}
	old := tiny(1_000_000)
	for round := range 10 {
		push(t, b, "a/b", old, "a", "b", "c")
		errs := race(len(sets), func(i int) error {
			var puts []registry.TagPut
			for _, tag := range sets[i] {
				puts = append(puts, tagIf(tag, matching(old)))
			}
			return put(t.Context(), replicas[i%2], "a/b", tiny(100*round+i), puts...)
		})
		want := map[string]*Content{"a": old, "b": old, "c": old}
		won := 0
		for i, err := range errs {
			if err != nil {
				requireError(t, err, registry.ErrPreconditionFailed)
				continue
			}
			won++
			for _, tag := range sets[i] {
				require.Equal(t, old, want[tag], "two have moved %s", tag)
				want[tag] = tiny(100*round + i)
			}
		}
		require.Positive(t, won)
		for tag, c := range want {
			requireManifest(t, b, "a/b", c, tag)
		}
	}
}

// readModifyWrite checks that no change is lost if many callers change a tag, each on the condition
// that it still points to what the caller has read.
func (s *suite) readModifyWrite(t *testing.T) {
	b, _ := s.new(t)
	replicas := s.replicas(t, b)
	var counts sync.Map // key: digest
	counts.Store(tiny(0).Descriptor.Digest, 0)
	push(t, b, "a/b", tiny(0), "latest")
	requireAll(t, race(s.Writers, func(i int) error {
		for {
			n, err := s.countOne(t.Context(), replicas[i%2], i, &counts)
			if !errors.Is(err, registry.ErrPreconditionFailed) {
				return err
			}
			if n > s.Writers {
				return fmt.Errorf("it was changed %d times by %d", n, s.Writers)
			}
		}
	}))
	m, err := b.GetManifest(t.Context(), "a/b", byTag("latest"))
	require.NoError(t, err)
	n, _ := counts.Load(m.Descriptor.Digest)
	require.Equal(t, s.Writers, n)
}

// countOne replaces the manifest of the tag by one with a count that is one higher.
func (s *suite) countOne(ctx context.Context, b registry.Backend, i int, counts *sync.Map) (n int, err error) {
	m, err := b.GetManifest(ctx, "a/b", byTag("latest"))
	if err != nil {
		return 0, err
	}
	count, _ := counts.Load(m.Descriptor.Digest)
	n = count.(int) + 1
	c := tiny(n*s.Writers + i)
	counts.Store(c.Descriptor.Digest, n)
	return n, put(ctx, b, "a/b", c, tagIf("latest", &registry.Condition{Match: []digest.Digest{m.Descriptor.Digest}}))
}

// conditionOfDelete checks that nothing else than expected is deleted, and that a missing tag or
// manifest is not found.
func (s *suite) conditionOfDelete(t *testing.T) {
	b, _ := s.new(t)
	one, two := tiny(1), tiny(2)
	push(t, b, "a/b", one, "v1")
	push(t, b, "a/b", two, "v2")
	blob := s.pushBlob(t, b, "a/b", RandomBytes(1, 100)).Digest
	deletes := func(cond *registry.Condition) *registry.DeleteOptions { return &registry.DeleteOptions{If: cond} }
	requireFailed := func(err error) {
		t.Helper()
		requireError(t, err, registry.ErrPreconditionFailed)
	}
	for _, cond := range []*registry.Condition{ifAbsent, matching(two), {NoneMatch: matching(one).Match},
		{Match: []digest.Digest{"W/x"}}} {
		requireFailed(b.DeleteManifest(t.Context(), "a/b", byTag("v1"), deletes(cond)))
		requireFailed(b.DeleteManifest(t.Context(), "a/b", byDigest(one.Descriptor.Digest), deletes(cond)))
	}
	requireFailed(b.DeleteBlob(t.Context(), "a/b", blob, deletes(ifAbsent)))
	requireFailed(b.DeleteBlob(t.Context(), "a/b", blob, deletes(matching(one))))
	requireManifest(t, b, "a/b", one, "v1")
	requireManifest(t, b, "a/b", two, "v2")
	requireTags(t, b, "a/b", "v1", "v2")
	_, err := b.StatBlob(t.Context(), "a/b", blob, nil)
	require.NoError(t, err)

	for _, cond := range []*registry.Condition{ifThere, ifAbsent, matching(one)} {
		requireError(t, b.DeleteManifest(t.Context(), "a/b", byTag("v3"), deletes(cond)), registry.ErrManifestUnknown)
		requireError(t, b.DeleteManifest(t.Context(), "a/b", byDigest(zeros), deletes(cond)), registry.ErrManifestUnknown)
		requireError(t, b.DeleteBlob(t.Context(), "a/b", zeros, deletes(cond)), registry.ErrBlobUnknown)
	}
	if !s.NoDeleteRepository {
		requireRefused(t, b.DeleteRepository(t.Context(), "a/b", deletes(ifThere)))
		requireManifest(t, b, "a/b", one, "v1")
	}

	require.NoError(t, b.DeleteManifest(t.Context(), "a/b", byTag("v1"), deletes(matching(two, one))))
	requireNoManifest(t, b, "a/b", byTag("v1"))
	require.NoError(t, b.DeleteManifest(t.Context(), "a/b", byDigest(one.Descriptor.Digest), deletes(matching(one))))
	requireNoManifest(t, b, "a/b", byDigest(one.Descriptor.Digest))
	require.NoError(t, b.DeleteManifest(t.Context(), "a/b", byTag("v2"), deletes(ifThere)))
	require.NoError(t, b.DeleteBlob(t.Context(), "a/b", blob, deletes(&registry.Condition{Match: []digest.Digest{blob}})))
	requireNoBlob(t, b, "a/b", blob)
	requireTags(t, b, "a/b")
}

// conditionOfDeleteRace checks that of a delete and a push with the same expectation one succeeds.
func (s *suite) conditionOfDeleteRace(t *testing.T) {
	b, _ := s.new(t)
	replicas := s.replicas(t, b)
	one, two := tiny(1), tiny(2)
	for round := range 30 {
		push(t, b, "a/b", one, "latest")
		errs := race(2, func(i int) error {
			if i == 0 {
				return put(t.Context(), replicas[round%2], "a/b", two, tagIf("latest", matching(one)))
			}
			err := b.DeleteManifest(t.Context(), "a/b", byTag("latest"), &registry.DeleteOptions{If: matching(one)})
			if errors.Is(err, registry.ErrManifestUnknown) {
				return fmt.Errorf("only the delete removes it: %w", err)
			}
			return err
		})
		if requireOneWinner(t, errs) == 0 {
			requireManifest(t, b, "a/b", two, "latest")
		} else {
			requireNoManifest(t, b, "a/b", byTag("latest"))
		}
	}
}

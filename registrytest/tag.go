package registrytest

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
)

// tagMoves checks that a tag points to the manifest that was pushed last, and that the earlier one
// remains available by digest.
func (s *suite) tagMoves(t *testing.T) {
	b, _ := s.new(t)
	var all []*Content
	for i := range 5 {
		all = append(all, tiny(i))
		push(t, b, "a/b", all[i], "latest", fmt.Sprint("v", i))
		for j, c := range all {
			requireManifest(t, b, "a/b", c, fmt.Sprint("v", j))
		}
		requireManifest(t, b, "a/b", all[i], "latest")
	}
	push(t, b, "a/b", all[0], "latest")
	requireManifest(t, b, "a/b", all[0], "latest", "v0")
	requireTags(t, b, "a/b", "latest", "v0", "v1", "v2", "v3", "v4")
}

// tagMovesRace checks that all of many concurrent pushes of a tag succeed, and that it points to
// one of their manifests.
func (s *suite) tagMovesRace(t *testing.T) {
	b, _ := s.new(t)
	for range 5 {
		requireAll(t, race(s.Writers, func(i int) error {
			return put(t.Context(), b, "a/b", tiny(i),
				registry.TagPut{Name: "latest"})
		}))
		m, err := b.GetManifest(t.Context(), "a/b", byTag("latest"))
		require.NoError(t, err)
		for i := range s.Writers {
			requireManifest(t, b, "a/b", tiny(i))
			if tiny(i).Descriptor.Digest == m.Descriptor.Digest {
				requireManifest(t, b, "a/b", tiny(i), "latest")
			}
		}
		requireTags(t, b, "a/b", "latest")
	}
}

// tagIfAbsent checks that the condition applies to each tag, and that it rejects only a change of
// the tag.
func (s *suite) tagIfAbsent(t *testing.T) {
	b, _ := s.new(t)
	old, c := tiny(1), tiny(2)
	require.NoError(t, put(t.Context(), b, "a/b", old, registry.TagPut{Name: "latest"}))
	once := registry.TagPut{Name: "v1", IfAbsent: true}
	if s.NoIfAbsent {
		requireError(t, put(t.Context(), b, "a/b", c, once), registry.ErrUnsupported)
		requireNoManifest(t, b, "a/b", byTag("v1"), byDigest(c.Descriptor.Digest))
		return
	}
	require.NoError(t, put(t.Context(), b, "a/b", old, once))
	require.NoError(t, put(t.Context(), b, "a/b", old, once), "it points there already")
	requireManifest(t, b, "a/b", old, "latest", "v1")
	requireError(t, put(t.Context(), b, "a/b", c, once), registry.ErrTagExists)
	requireManifest(t, b, "a/b", old, "latest", "v1")
	requireError(t, put(t.Context(), b, "a/b", c, registry.TagPut{Name: "latest", IfAbsent: true}), registry.ErrTagExists)
	require.NoError(t, put(t.Context(), b, "a/b", c, registry.TagPut{Name: "latest"},
		registry.TagPut{Name: "v2", IfAbsent: true}))
	requireManifest(t, b, "a/b", c, "latest", "v2")
	requireManifest(t, b, "a/b", old, "v1")
	require.NoError(t, put(t.Context(), b, "c/d", c, once), "another repository")
	require.NoError(t, put(t.Context(), b, "a/b", c, registry.TagPut{Name: "v1"}), "without the condition it moves")
	requireManifest(t, b, "a/b", c, "v1")
}

// tagIfAbsentRace checks that exactly one of many callers creates a tag.
func (s *suite) tagIfAbsentRace(t *testing.T) {
	if s.NoIfAbsent {
		t.Skip("the condition is not supported")
	}
	b, _ := s.new(t)
	for round := range 5 {
		tag := fmt.Sprint("v", round)
		errs := race(s.Writers, func(i int) error {
			return put(t.Context(), b, "a/b", tiny(100*round+i), registry.TagPut{Name: tag, IfAbsent: true})
		})
		winner := -1
		for i, err := range errs {
			if err == nil {
				require.Equal(t, -1, winner, "two have created one tag")
				winner = i
				continue
			}
			requireError(t, err, registry.ErrTagExists)
		}
		require.NotEqual(t, -1, winner, "no call has created the tag: %v", errors.Join(errs...))
		requireManifest(t, b, "a/b", tiny(100*round+winner), tag)
	}
}

// tagsAtOnce checks that nothing of concurrent pushes is lost.
func (s *suite) tagsAtOnce(t *testing.T) {
	b, _ := s.new(t)
	const n = 200
	tags := make([]string, n)
	for i := range tags {
		tags[i] = fmt.Sprintf("t%03d", i)
	}
	requireAll(t, race(n, func(i int) error {
		return put(t.Context(), b, fmt.Sprint("r", i%2), tiny(i), registry.TagPut{Name: tags[i]})
	}))
	for r := range 2 {
		var want []string
		for i := r; i < n; i += 2 {
			want = append(want, tags[i])
			requireManifest(t, b, fmt.Sprint("r", r), tiny(i), tags[i])
		}
		requireTags(t, b, fmt.Sprint("r", r), want...)
	}
	requireRepositories(t, b, "r0", "r1")
}

package registrytest

import (
	"fmt"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
)

// typeless returns an image that does not state its media type, under mediaType.
func typeless(name, mediaType string, members ...string) *Content {
	extra := ""
	for _, m := range members {
		extra += "," + m
	}
	c := custom(`{"schemaVersion":2,"config":{"mediaType":"x/y",%s},"layers":[]`+extra+`}`, name)
	c.Descriptor.MediaType = mediaType
	return c
}

const (
	rightType = ocispec.MediaTypeImageManifest
	wrongType = "application/vnd.example.squatter+json"
)

// manifestMediaType checks that the first push with a tag decides the media type of content that
// states none, and that no later push changes it.
func (s *suite) manifestMediaType(t *testing.T) {
	if s.Opaque {
		t.Skip("manifests are not looked into")
	}
	b, _ := s.new(t)
	both := func(name string, members ...string) (right, wrong *Content) {
		right, wrong = typeless(name, rightType, members...), typeless(name, wrongType, members...)
		require.NoError(t, wrong.Push(t.Context(), b, "a/b"))
		return right, wrong
	}
	tag := func(name string) registry.TagPut { return registry.TagPut{Name: name} }
	refused := func(c *Content, tags ...registry.TagPut) {
		t.Helper()
		requireError(t, put(t.Context(), b, "a/b", c, tags...), registry.ErrManifestInvalid)
	}

	right, wrong := both("tagged")
	refused(right) // without a tag
	require.NoError(t, put(t.Context(), b, "a/b", right, tag("v1")))
	requireManifest(t, b, "a/b", right, "v1")
	refused(wrong)
	refused(wrong, tag("squat"))
	refused(wrong, tag("v1"))
	requireNoManifest(t, b, "a/b", byTag("squat"))
	requireManifest(t, b, "a/b", right, "v1")
	require.NoError(t, put(t.Context(), b, "a/b", right, tag("v2")))

	child, badChild := both("child")
	require.NoError(t, put(t.Context(), b, "a/b", Index(badChild)), "an index without a tag does not count")
	require.NoError(t, put(t.Context(), b, "a/b", child, tag("child")))
	outer := Index(Index(child))
	require.NoError(t, outer.Push(t.Context(), b, "a/b", "index"))
	if !s.NoDelete {
		require.NoError(t, b.DeleteManifest(t.Context(), "a/b", byTag("child"), nil))
		refused(badChild, tag("squat"))
		requireManifest(t, b, "a/b", child)
	}

	subject, badSubject := both("subject")
	require.NoError(t, Artifact("application/x.test", badSubject.Descriptor, nil).Push(t.Context(), b, "a/b"),
		"nor does a referrer")
	require.NoError(t, put(t.Context(), b, "a/b", subject, tag("subject")))
	member := fmt.Sprintf(`"subject":{"mediaType":"%s","digest":"%s","size":%d}`, rightType, subject.Descriptor.Digest,
		subject.Descriptor.Size)
	signature, badSignature := typeless("signature", rightType, member), typeless("signature", wrongType, member)
	push(t, b, "a/b", signature)
	refused(badSignature, tag("squat")) // the signed manifest has a tag
	requireManifest(t, b, "a/b", signature)
	requireNoManifest(t, b, "a/b", byTag("squat"))
}

// manifestMediaTypeRace checks concurrent tagged pushes of one content under two media types: the
// accepted ones agree, and the others leave no tag.
func (s *suite) manifestMediaTypeRace(t *testing.T) {
	if s.Opaque {
		t.Skip("manifests are not looked into")
	}
	b, _ := s.new(t)
	second := b
	if s.Reopen != nil {
		second = s.Reopen(t, b)
	}
	for round := range 20 {
		contents := []*Content{typeless(fmt.Sprint(round), rightType), typeless(fmt.Sprint(round), wrongType)}
		require.NoError(t, contents[round%2].Push(t.Context(), b, "a/b"))
		name := func(i int) string { return fmt.Sprintf("r%d-%d", round, i) }
		errs := race(4, func(i int) error {
			return put(t.Context(), []registry.Backend{b, second}[i/2], "a/b", contents[i%2], registry.TagPut{Name: name(i)})
		})
		m, err := b.GetManifest(t.Context(), "a/b", byDigest(contents[0].Descriptor.Digest))
		require.NoError(t, err)
		accepted := 0
		for i, err := range errs {
			if err != nil {
				requireError(t, err, registry.ErrManifestInvalid, "round %d", round)
				requireNoManifest(t, second, "a/b", byTag(name(i)))
				continue
			}
			accepted++
			require.Equal(t, contents[i%2].Descriptor.MediaType, m.Descriptor.MediaType, "round %d: %v", round, errs)
			requireManifest(t, second, "a/b", contents[i%2], name(i))
		}
		require.Positive(t, accepted, "round %d: %v", round, errs)
	}
}

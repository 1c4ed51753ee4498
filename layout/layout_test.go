package layout_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/layout"
	"github.com/registrykit/registry/registrytest"
	"github.com/registrykit/registry/replicate"
)

// sample is a repository with an image, an index, and referrers of both.
type sample struct {
	image, index         *registrytest.Content
	signature, sbom, att *registrytest.Content
}

func newSample(t *testing.T, b registry.Backend, repo string) *sample {
	t.Helper()
	s := &sample{image: registrytest.RandomImage(1, 3, 100_000)}
	nested := registrytest.Index(registrytest.RandomImage(20, 1, 10))
	s.index = registrytest.Index(registrytest.RandomImage(10, 2, 1000), nested)
	s.signature = registrytest.Artifact("application/x.signature", s.image.Descriptor, map[string]string{"key": "value"})
	s.sbom = registrytest.Artifact("application/x.sbom", s.signature.Descriptor, nil) // a referrer of a referrer
	s.att = registrytest.Artifact("application/x.att", s.index.Children[0].Descriptor, nil)
	ctx := t.Context()
	require.NoError(t, s.image.Push(ctx, b, repo, "v1", "latest"))
	require.NoError(t, s.index.Push(ctx, b, repo, "multi"))
	for _, c := range []*registrytest.Content{s.signature, s.sbom, s.att} {
		require.NoError(t, c.Push(ctx, b, repo))
	}
	return s
}

// require requires that a backend has the sample.
func (s *sample) require(t *testing.T, b registry.Backend, repo string) {
	t.Helper()
	require.Equal(t, []string{"latest", "multi", "v1"}, collect(t, b.Tags(t.Context(), repo, nil)))
	requireTag(t, b, repo, "v1", s.image.Descriptor)
	requireTag(t, b, repo, "latest", s.image.Descriptor)
	requireTag(t, b, repo, "multi", s.index.Descriptor)
	for _, c := range []*registrytest.Content{s.image, s.index, s.signature, s.sbom, s.att} {
		requireContent(t, b, repo, c)
	}
	for subject, want := range map[*registrytest.Content]*registrytest.Content{
		s.image: s.signature, s.signature: s.sbom, s.index.Children[0]: s.att,
	} {
		got := collect(t, b.Referrers(t.Context(), repo, subject.Descriptor.Digest, nil))
		require.Len(t, got, 1)
		require.Equal(t, want.Descriptor.Digest, got[0].Digest)
		require.NotEmpty(t, got[0].ArtifactType)
	}
	got := collect(t, b.Referrers(t.Context(), repo, s.image.Descriptor.Digest, nil))
	require.Equal(t, map[string]string{"key": "value"}, got[0].Annotations)
}

// TestRoundTrip: everything of a repository goes through a directory or an archive byte for byte.
func TestRoundTrip(t *testing.T) {
	for _, file := range []string{"dir", "file.tar"} {
		for name, opts := range map[string]*layout.Options{"default": nil, "named": {Repository: "team/app"}} {
			t.Run(file+" "+name, func(t *testing.T) {
				src := registrytest.NewStore(t)
				s := newSample(t, src, "team/app")
				path := filepath.Join(t.TempDir(), file)
				l := create(t, path, opts)
				res, err := replicate.Sync(t.Context(), l, src, []replicate.Rule{{
					Repositories: []string{"team/app"}, Options: &replicate.Options{Referrers: true},
				}})
				require.NoError(t, err)
				require.Equal(t, 3, res.Copied)
				s.require(t, l, "team/app")
				require.NoError(t, l.Close())
				require.NoError(t, l.Close(), "again")

				l = open(t, path, opts)
				s.require(t, l, "team/app")
				require.Equal(t, []string{"team/app"}, collect(t, l.Repositories(t.Context(), nil)))
				dst := registrytest.NewStore(t)
				_, err = replicate.Sync(t.Context(), dst, l, []replicate.Rule{{
					Repositories: []string{"**"}, Options: &replicate.Options{Referrers: true},
				}})
				require.NoError(t, err)
				s.require(t, dst, "team/app")
				entries, err := os.ReadDir(filepath.Dir(path))
				require.NoError(t, err)
				require.Len(t, entries, 1, "nothing is left beside it")
			})
		}
	}
}

// TestEntries: only tags, referrers and images without a parent are entries of index.json.
func TestEntries(t *testing.T) {
	src := registrytest.NewStore(t)
	s := newSample(t, src, "team/app")
	l := create(t, filepath.Join(t.TempDir(), "dir"), nil)
	copyTo(t, l, src, "team/app:v1")
	copyTo(t, l, src, "team/app:multi")
	copyTo(t, l, src, "team/app@"+string(s.index.Children[1].Descriptor.Digest))
	roots, err := l.Roots(t.Context())
	require.NoError(t, err)
	var got []string
	for _, r := range roots {
		require.Equal(t, r.Tag, r.Descriptor.Annotations[ocispec.AnnotationRefName])
		got = append(got, r.Repository+":"+r.Tag+"@"+string(r.Descriptor.Digest))
	}
	require.ElementsMatch(t, []string{
		"team/app:v1@" + string(s.image.Descriptor.Digest), "team/app:multi@" + string(s.index.Descriptor.Digest),
		":@" + string(s.signature.Descriptor.Digest), ":@" + string(s.sbom.Descriptor.Digest),
		":@" + string(s.att.Descriptor.Digest),
	}, slices.Compact(got))
}

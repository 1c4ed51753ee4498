package maintenance

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/opencontainers/go-digest"
	imagespec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/registrykit/registry/internal/e2e/harness"
)

// shape is the shape of the content of a registry.
type shape struct {
	repos, tags int // tags of each repository
	layers      int // of each image, beside one that all images of a repository share
	layer       int // bytes
}

// fill pushes images of a shape, one of which has a subject. It returns the number of bytes of all
// layers.
func fill(t *testing.T, s *harness.Server, sh shape) int64 {
	t.Helper()
	c := harness.NewClient(s.URL())
	var sum atomic.Int64
	g, ctx := errgroup.WithContext(t.Context())
	g.SetLimit(4)
	for r := range sh.repos {
		repo := fmt.Sprintf("team/app-%02d", r)
		g.Go(func() error {
			base := harness.RandomBytes(uint64(r)+1, sh.layer)
			for tag := range sh.tags {
				blobs := [][]byte{fmt.Appendf(nil, `{"architecture":"amd64","os":"linux","tag":%d,"repository":%d}`, tag, r), base}
				for l := range sh.layers {
					blobs = append(blobs, harness.RandomBytes(uint64(1000+(r*sh.tags+tag)*sh.layers+l), sh.layer))
				}
				for i, b := range blobs {
					if i == 1 && tag > 0 {
						continue // base
					}
					sum.Add(int64(len(b)))
					if _, err := c.PushBlob(ctx, repo, b); err != nil {
						return err
					}
				}
				err := c.PutManifest(ctx, repo, fmt.Sprintf("v%d", tag), imagespec.MediaTypeImageManifest,
					harness.Manifest(fmt.Sprint(r, tag), blobs...))
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	require.NoError(t, g.Wait())
	return sum.Load()
}

// fallbackTag is the tag under which clients list the referrers of a manifest at a registry that has
// no API for them.
func fallbackTag(d digest.Digest) string { return string(d.Algorithm()) + "-" + d.Encoded() }

// attach pushes a referrer of a tag with oras, and returns the digest of the subject.
func attach(t *testing.T, s *harness.Server, repo, tag string) digest.Digest {
	t.Helper()
	harness.NewProgram(t, "oras").Run(t, "attach", "--plain-http", "--artifact-type", "application/vnd.example.sbom",
		"--disable-path-validation", s.Addr+"/"+repo+":"+tag, write(t, "sbom.json", `{"sbom":"of `+tag+`"}`))
	return digest.Digest(s.DigestOf(t, repo, tag))
}

// requireSame compares all tags of two registries, and reads everything of the second.
func requireSame(t *testing.T, want, got *harness.Server) (tags int) {
	t.Helper()
	c := harness.NewClient(got.URL())
	r, err := harness.NewClient(want.URL()).Do(t.Context(), http.StatusOK, http.MethodGet, "/v2/_catalog?n=1000", nil, nil)
	require.NoError(t, err)
	var catalog struct{ Repositories []string }
	require.NoError(t, json.Unmarshal(r.Body, &catalog))
	require.NotEmpty(t, catalog.Repositories)
	for _, repo := range catalog.Repositories {
		all := got.TagsOf(t, repo)
		require.ElementsMatch(t, want.TagsOf(t, repo), all, repo) // the old registry does not sort them
		for _, tag := range all {
			tags++
			content := want.ManifestOf(t, repo, tag)
			require.Equal(t, content, got.ManifestOf(t, repo, tag), "%s:%s", repo, tag)
			var m imagespec.Manifest
			require.NoError(t, json.Unmarshal(content, &m))
			for _, b := range append(m.Layers, m.Config) {
				if b.Digest != "" {
					require.NoError(t, c.PullBlob(t.Context(), repo, b.Digest), "%s:%s", repo, tag)
				}
			}
		}
	}
	return tags
}

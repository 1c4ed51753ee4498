package web_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/reference"
)

// largest is the maximum size of a page about an image, in bytes. Hostile content cannot make it larger.
const largest = 2 << 20

// bounded requests a page, which must be there soon and be small.
func (s *site) bounded(t *testing.T, path string) *response {
	t.Helper()
	start := time.Now()
	r := s.get(t, "ann", path)
	require.Equal(t, http.StatusOK, r.StatusCode, path)
	require.Less(t, len(r.body), largest, path)
	require.Less(t, time.Since(start), 20*time.Second, path)
	return r
}

// many returns a map of n labels.
func many(n int, value string) map[string]string {
	m := map[string]string{}
	for i := range n {
		m[fmt.Sprintf("label.%05d", i)] = value
	}
	return m
}

// pushHostile pushes an image with n of everything and hostile texts.
func pushHostile(t *testing.T, b registry.Backend, tag string, seed, n int) {
	t.Helper()
	bad := hostile[seed%len(hostile)]
	c := ocispec.Image{Author: bad, Platform: ocispec.Platform{OS: bad, Architecture: bad}}
	c.Config.Labels, c.Config.ExposedPorts = many(n, fmt.Sprintf("%.70s", bad)), map[string]struct{}{}
	c.Config.User, c.Config.WorkingDir, c.Config.StopSignal = bad, bad, bad
	for i := range n {
		c.Config.Env = append(c.Config.Env, fmt.Sprintf("%s%d=%.20s", "E", i, bad))
		c.Config.Entrypoint = append(c.Config.Entrypoint, fmt.Sprintf("%.2s", bad))
		c.Config.ExposedPorts[fmt.Sprintf("%d/%.3s", i, bad)] = struct{}{}
		c.History = append(c.History, ocispec.History{CreatedBy: fmt.Sprintf("%.100s", hostile[i%len(hostile)])})
	}
	c.History[0].CreatedBy = strings.Repeat("W", 5000)
	for name, value := range map[string]string{ocispec.AnnotationSource: bad, ocispec.AnnotationURL: "javascript:alert(1)",
		ocispec.AnnotationDescription: bad} {
		c.Config.Labels[name] = value
	}
	config, err := json.Marshal(c)
	require.NoError(t, err)
	require.Less(t, len(config), 4<<20)
	m := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config:      pushBlob(t, b, "acme/shop", ocispec.MediaTypeImageConfig, string(config)),
		Annotations: many(1000, fmt.Sprintf("%.1000s", bad))}
	m.Annotations[ocispec.AnnotationTitle], m.Annotations[ocispec.AnnotationSource] = bad, bad
	layer := pushBlob(t, b, "acme/shop", ocispec.MediaTypeImageLayer, fmt.Sprint("layer ", seed))
	for range n {
		m.Layers = append(m.Layers, layer)
	}
	pushManifest(t, b, "acme/shop", tag, ocispec.MediaTypeImageManifest, m)
}

// TestHostileImages: images with 9,999 layers, labels, variables and steps are shown in part, as text.
func TestHostileImages(t *testing.T) {
	s := newSite(t, nil)
	b := s.registry.Backend(s.identity(t, "ann"))
	for i := range hostile {
		n := 300
		if i < 2 {
			n = 9_999 // a manifest has at most 10,000 references
		}
		pushHostile(t, b, fmt.Sprintf("v%d", i), i, n)
		r := s.bounded(t, fmt.Sprintf("/repositories/acme/shop/-/images/v%d", i))
		require.Contains(t, r.text, map[int]string{300: "and 200 more", 9_999: "and 9,899 more"}[n])
		require.LessOrEqual(t, r.doc.Find("table.layers tbody tr").Length(), 100)
		require.Zero(t, r.doc.Find(`a[href^="javascript"]`).Length())
		require.NotContains(t, string(r.body), "\u202e")
	}
	r := s.bounded(t, "/repositories/acme/shop/-/images/v0")
	require.Contains(t, r.text, "Steps 1 to 100 of 9,999")
	next := r.doc.Find(`.pager a[rel="next"]`).First().AttrOr("href", "")
	r = s.bounded(t, strings.TrimPrefix(strings.TrimSuffix(next, "#layers"), "/ui"))
	require.Contains(t, r.text, "Steps 101 to 200 of 9,999")
	for _, odd := range []string{"0", "-1", "10000", "x", "99999999999999999999"} {
		require.Contains(t, s.bounded(t, "/repositories/acme/shop/-/images/v0?step="+odd).text, "Steps 1 to 100")
	}
	require.Contains(t, s.bounded(t, "/repositories/acme/shop/-/images/v0?step=9999").text, "Steps 9,999 to 9,999")
	r = s.bounded(t, "/repositories/acme/shop/-/compare?from=v0&to=v1")
	require.Contains(t, r.text, "and 19,798 more")
}

// TestLargeConfig: a configuration of 4 MiB is shown in part, and a larger one is not read.
func TestLargeConfig(t *testing.T) {
	s := newSite(t, nil)
	text := strings.Repeat("x", 4<<20-100)
	s.pushImage(t, "ann", "acme/shop", "fits", `{"os":"linux","config":{"User":"`+text+`"}}`, "layer")
	s.pushImage(t, "ann", "acme/shop", "large", `{"os":"linux","config":{"User":"`+text+text+`"}}`, "layer")
	s.pushImage(t, "ann", "acme/shop", "list", `[]`, "layer")
	s.pushImage(t, "ann", "acme/shop", "odd", `{"os":1,"history":[{"created_by":"a"},{"created_by":"b"}]}`, "layer")
	const path = "/repositories/acme/shop/-/images/"
	require.Contains(t, s.bounded(t, path+"fits").text, "xxx…")
	require.Contains(t, s.bounded(t, path+"large").text, "cannot be shown")
	require.Contains(t, s.bounded(t, path+"list").text, "cannot be shown")
	r := s.bounded(t, path+"odd")
	require.Contains(t, r.text, "Some fields have a wrong type")
	require.Contains(t, r.text, "does not fit its layers")
	for _, b := range []string{"fits", "large", "list", "odd"} {
		s.bounded(t, "/repositories/acme/shop/-/compare?from=odd&to="+b)
	}
	facts, err := s.store.GetManifest(t.Context(), "acme/shop", reference.Ref{Tag: "list"})
	require.NoError(t, err)
	require.NotEmpty(t, facts.Content)
	require.NoError(t, s.store.DeleteBlob(t.Context(), "acme/shop", digest.FromString("[]"), nil))
	require.Contains(t, s.bounded(t, path+"list").text, "cannot be shown")
}

// TestManyPlatforms: an index with 10,000 elements has a bounded number of tabs.
func TestManyPlatforms(t *testing.T) {
	s := newSite(t, nil)
	var children []ocispec.Descriptor
	for i := range 10_000 {
		children = append(children, element(digest.FromString(fmt.Sprint(i)), ocispec.MediaTypeImageManifest,
			fmt.Sprintf("os%d/%.3s", i%5000, hostile[i%len(hostile)])))
	}
	s.pushElements(t, "acme/shop", "v1", true, children...)
	r := s.bounded(t, "/repositories/acme/shop/-/images/v1")
	require.LessOrEqual(t, r.doc.Find(".tabs a").Length(), 41)
	require.Contains(t, r.text, "more platforms")
	require.Contains(t, r.text, "the repository does not have it")
	s.bounded(t, "/repositories/acme/shop/-/compare?from=v1&to=v1")
}

// TestManyReferrers: 1,000 referrers are shown page by page, with the same number of calls on each.
func TestManyReferrers(t *testing.T) {
	s := newSite(t, nil)
	b := s.registry.Backend(s.identity(t, "ann"))
	subject := s.pushImage(t, "ann", "acme/shop", "v1", amd64, "layer")
	path := "/repositories/acme/shop/-/images/v1"
	count := func() int64 {
		s.bounded(t, path)
		before := s.calls.Load()
		s.bounded(t, path)
		return s.calls.Load() - before
	}
	none := count()
	about := s.described(t, subject, "")
	empty := pushBlob(t, b, "acme/shop", ocispec.MediaTypeEmptyJSON, "{}")
	for i := range 1000 {
		pushManifest(t, b, "acme/shop", "", ocispec.MediaTypeImageManifest, ocispec.Manifest{
			Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
			ArtifactType: "application/vnd.example", Config: empty, Layers: []ocispec.Descriptor{empty}, Subject: &about,
			Annotations: map[string]string{"i": fmt.Sprint(i), "x": fmt.Sprintf("%.100s", hostile[i%len(hostile)])}})
	}
	require.LessOrEqual(t, count(), none+20)
	require.LessOrEqual(t, none, int64(12))
	r := s.bounded(t, path)
	require.Equal(t, 20, r.doc.Find(`table[aria-labelledby="referrers"] tbody tr`).Length())
	next := r.doc.Find(`.pager a[rel="next"]`).First().AttrOr("href", "")
	require.True(t, strings.HasSuffix(next, "#referrers"), next)
	again := s.bounded(t, path+strings.TrimSuffix(next, "#referrers"))
	require.NotEqual(t, r.doc.Find(`table[aria-labelledby="referrers"] tbody a`).First().Text(),
		again.doc.Find(`table[aria-labelledby="referrers"] tbody a`).First().Text())
	require.Equal(t, http.StatusBadRequest, s.get(t, "ann", path+"?after=x").StatusCode)
}

// TestManyTags: the number of calls does not depend on the number of tags of the image.
func TestManyTags(t *testing.T) {
	s := newSite(t, nil)
	s.pushImage(t, "ann", "acme/shop", "v1", amd64, "layer")
	count := func() int64 {
		before := s.calls.Load()
		r := s.bounded(t, "/repositories/acme/shop/-/images/v1")
		require.LessOrEqual(t, r.doc.Find(".facts .chip.tag").Length(), 20)
		return s.calls.Load() - before
	}
	count()
	few := count()
	m, err := s.store.GetManifest(t.Context(), "acme/shop", reference.Ref{Tag: "v1"})
	require.NoError(t, err)
	opts := &registry.PutOptions{}
	for i := range 500 {
		opts.Tags = append(opts.Tags, registry.TagPut{Name: fmt.Sprintf("tag-%d", i)})
	}
	_, err = s.store.PutManifest(t.Context(), "acme/shop", m.Descriptor.MediaType, m.Content, opts)
	require.NoError(t, err)
	require.LessOrEqual(t, count(), few+1)
}

package api_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/api"
	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/auth/rules"
	"github.com/registrykit/registry/internal/subjecttag"
	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/pulltime"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/registrytest"
)

// newTagSite starts a site whose API knows the storage and the times of pulls.
func newTagSite(t *testing.T, refine auth.Authorizer) (*site, *pulltime.Recorder) {
	t.Helper()
	var pulls *pulltime.Recorder
	s := newRefinedSite(t, refine, func(s *site, opts *api.Options) {
		var err error
		pulls, err = pulltime.New(s.driver, nil)
		require.NoError(t, err)
		opts.Accounts, opts.Tags, opts.Pulls = s.people, s.store.Inventory(), pulls
		opts.Protects = func(string) func(string) bool {
			return func(tag string) bool { return strings.HasPrefix(tag, "kept") }
		}
	})
	return s, pulls
}

// allTags reads all pages of a list of tags.
func (s *site) allTags(t *testing.T, user, path string) (names []string, tags []types.Tag) {
	t.Helper()
	for path != "" {
		var list types.TagList
		a := s.do(t, user, "GET", path, nil).want(200).into(&list)
		for _, tag := range list.Items {
			names, tags = append(names, tag.Name), append(tags, tag)
		}
		path = a.next()
	}
	return names, tags
}

// put pushes a manifest of any kind below the registry, as ann.
func (s *site) put(t *testing.T, repo, tag, mediaType string, manifest any) ocispec.Descriptor {
	t.Helper()
	content, err := json.Marshal(manifest)
	require.NoError(t, err)
	opts := &registry.PutOptions{By: "ann"}
	if tag != "" {
		opts.Tags = []registry.TagPut{{Name: tag}}
	}
	res, err := s.store.PutManifest(t.Context(), repo, mediaType, content, opts)
	require.NoError(t, err)
	return res.Descriptor
}

// about returns an artifact about a manifest, or about nothing.
func (s *site) about(t *testing.T, repo, artifactType string, subject *ocispec.Descriptor) ocispec.Manifest {
	t.Helper()
	_, err := registry.PushBlob(t.Context(), s.store, repo, ocispec.DescriptorEmptyJSON.Digest, strings.NewReader("{}"))
	require.NoError(t, err)
	return ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		ArtifactType: artifactType, Config: ocispec.DescriptorEmptyJSON, Subject: subject,
		Layers: []ocispec.Descriptor{ocispec.DescriptorEmptyJSON}}
}

func TestTagsInEachOrder(t *testing.T) {
	s, _ := newTagSite(t, nil)
	for _, tag := range []string{"v1.10.0", "v1.9.0", "latest", "main", "v1.10.0-rc1", "debian-9", "debian-12"} {
		require.NoError(t, imageOne.Push(t.Context(), s.store, "acme/app", tag))
		time.Sleep(time.Millisecond)
	}
	path := repoPath("acme/app", "tags") + "?limit=2&sort="
	for order, want := range map[string]string{
		"name":     "debian-12 debian-9 latest main v1.10.0 v1.10.0-rc1 v1.9.0",
		"-name":    "v1.9.0 v1.10.0-rc1 v1.10.0 main latest debian-9 debian-12",
		"version":  "main debian-9 debian-12 v1.9.0 v1.10.0-rc1 v1.10.0 latest",
		"-version": "latest v1.10.0 v1.10.0-rc1 v1.9.0 debian-12 debian-9 main",
		"set":      "v1.10.0 v1.9.0 latest main v1.10.0-rc1 debian-9 debian-12",
		"-set":     "debian-12 debian-9 v1.10.0-rc1 main latest v1.9.0 v1.10.0",
	} {
		names, _ := s.allTags(t, "ann", path+order)
		require.Equal(t, strings.Fields(want), names, order)
	}
	names, _ := s.allTags(t, "ann", path+"-version&q="+url.QueryEscape("v1.[0-9].*"))
	require.Equal(t, []string{"v1.9.0"}, names)
	names, _ = s.allTags(t, "ann", path+"-set&q=rc")
	require.Equal(t, []string{"v1.10.0-rc1"}, names)
	s.do(t, "ann", "GET", path+"-set&q="+url.QueryEscape("[["), nil).fails(400, "INVALID")
	s.do(t, "ann", "GET", repoPath("acme/none", "tags")+"?sort=-version", nil).fails(404, "NAME_UNKNOWN")
	next := s.do(t, "ann", "GET", path+"-version", nil).want(200).next()
	cursor, err := url.Parse(next)
	require.NoError(t, err)
	s.do(t, "ann", "GET", path+"-set&after="+url.QueryEscape(cursor.Query().Get("after")), nil).fails(400, "INVALID")
	for _, query := range []string{"sort=x", "sort=", "sort=-", "details=yes", "digest=x", "digest="} {
		s.do(t, "ann", "GET", repoPath("acme/app", "tags")+"?"+query, nil).want(400)
	}
}

// TestSortedTagsHideWhatTheCallerMayNotPull: in every order, and in the details.
func TestSortedTagsHideWhatTheCallerMayNotPull(t *testing.T) {
	hide, err := rules.Parse([]byte("rules:\n" +
		"- {who: {user: bob}, repositories: acme/app, actions: pull, tags: [\"secret*\", \"sha256-*\"], effect: deny}\n" +
		"- {who: {user: bob}, repositories: acme/app, actions: pull}\n"))
	require.NoError(t, err)
	s, _ := newTagSite(t, hide)
	for _, tag := range []string{"v1", "secret-1", "secret-2", subjecttag.Of(imageOne.Descriptor.Digest) + ".sig"} {
		require.NoError(t, imageOne.Push(t.Context(), s.store, "acme/app", tag))
	}
	for _, query := range []string{"sort=name", "sort=-name", "sort=-version", "sort=set", "sort=-set",
		"digest=" + imageOne.Descriptor.Digest.String()} {
		names, tags := s.allTags(t, "bob", repoPath("acme/app", "tags")+"?limit=1&details=true&"+query)
		require.Equal(t, []string{"v1"}, names, query)
		require.Empty(t, tags[0].Details.Attached, query)
		names, tags = s.allTags(t, "ann", repoPath("acme/app", "tags")+"?details=true&"+query)
		require.Len(t, names, 4, query)
		require.Len(t, tags[0].Details.Attached, 1, query)
	}
	var list types.ManifestList
	s.do(t, "bob", "GET", repoPath("acme/app", "manifests"), nil).want(200).into(&list)
	require.Equal(t, []string{"v1"}, list.Items[0].Tags)
}

func TestTagDetails(t *testing.T) {
	s, pulls := newTagSite(t, nil)
	events := 0
	s.onEvents = func(list []notification.Event) { events += len(list) }
	one, two := registrytest.RandomImage(1, 2, 100), registrytest.RandomImage(2, 1, 5000)
	ann, err := accounts.Identify(t.Context(), s.people, "ann")
	require.NoError(t, err)
	for tag, i := range map[string]*registrytest.Content{"kept-1": one, "v2": two} {
		require.NoError(t, i.Push(t.Context(), s.registry.Backend(ann), "acme/app", tag))
	}
	index := registrytest.Index(one, two)
	require.NoError(t, index.Push(t.Context(), s.store, "acme/app", "multi"))
	s.put(t, "acme/app", "", ocispec.MediaTypeImageManifest,
		s.about(t, "acme/app", "application/spdx+json", &one.Descriptor))
	s.put(t, "acme/app", "chart", ocispec.MediaTypeImageManifest, s.about(t, "acme/app", "application/x.chart", nil))
	s.put(t, "acme/app", subjecttag.Of(one.Descriptor.Digest)+".sig", ocispec.MediaTypeImageManifest,
		s.about(t, "acme/app", "application/x.sig", nil))
	pulls.Pulled("acme/app", one.Descriptor.Digest, "") // as docker pulls: the tag is asked for, and the digest pulled
	events = 0
	_, tags := s.allTags(t, "ann", repoPath("acme/app", "tags")+"?details=true&sort=name")
	require.Zero(t, events, "a list is no pull")
	byName := map[string]types.Tag{}
	for _, tag := range tags {
		byName[tag.Name] = tag
	}
	kept, multi, chart := byName["kept-1"], byName["multi"], byName["chart"]
	require.Equal(t, "image", kept.Details.Kind)
	require.Equal(t, []types.Platform{{OS: "linux", Architecture: "amd64"}}, kept.Details.Platforms)
	require.True(t, kept.Details.Immutable)
	require.WithinDuration(t, time.Now(), kept.Pulled, time.Minute)
	require.Zero(t, multi.Pulled)
	require.Equal(t, []types.Attached{{ArtifactType: "application/spdx+json", Count: 1},
		{ArtifactType: "application/vnd.dev.cosign.artifact.sig.v1+json", Count: 1}}, kept.Details.Attached)
	require.False(t, byName["v2"].Details.Immutable)
	require.Equal(t, "ann", byName["v2"].Details.By)
	require.Empty(t, multi.Details.By, "it was pushed without a name")
	require.Equal(t, "index", multi.Details.Kind)
	require.Equal(t, kept.Details.TotalSize, multi.Details.Smallest)
	require.Equal(t, byName["v2"].Details.TotalSize, multi.Details.Largest)
	require.Equal(t, kept.Details.TotalSize+multi.Details.Largest+multi.Size, multi.Details.TotalSize)
	require.False(t, multi.Details.Partial)
	require.Equal(t, "artifact", chart.Details.Kind)
	require.Equal(t, "application/x.chart", chart.Details.ArtifactType)
	_, again := s.allTags(t, "ann", repoPath("acme/app", "tags")+"?details=true&sort=name")
	require.Equal(t, tags, again, "from the cache")
	var tag types.Tag
	s.do(t, "ann", "GET", repoPath("acme/app", "tags", "kept-1"), nil).want(200).into(&tag)
	require.NotZero(t, tag.Pulled)
	var r types.Repository
	s.do(t, "ann", "GET", repoPath("acme/app"), nil).want(200).into(&r)
	require.NotZero(t, r.Pulled)
}

// TestWideIndex: the work for an index is limited, and so are its platforms.
func TestWideIndex(t *testing.T) {
	s, _ := newTagSite(t, nil)
	index := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex}
	for i := range 100 {
		m := s.about(t, "acme/app", fmt.Sprint("application/x.", i), nil)
		d := s.put(t, "acme/app", "", ocispec.MediaTypeImageManifest, m)
		d.Platform = &ocispec.Platform{OS: "linux", Architecture: fmt.Sprint("a", i)}
		index.Manifests = append(index.Manifests, d)
	}
	s.put(t, "acme/app", "wide", ocispec.MediaTypeImageIndex, index)
	_, tags := s.allTags(t, "ann", repoPath("acme/app", "tags")+"?details=true")
	require.Len(t, tags[0].Details.Platforms, 32)
	require.True(t, tags[0].Details.Partial)
	require.Positive(t, tags[0].Details.TotalSize)
	require.NoError(t,
		s.store.DeleteManifest(t.Context(), "acme/app", reference.Ref{Digest: index.Manifests[0].Digest}, nil))
	_, tags = s.allTags(t, "ann", repoPath("acme/app", "tags")+"?details=true")
	require.True(t, tags[0].Details.Partial)
}

func TestManifests(t *testing.T) {
	s, pulls := newTagSite(t, nil)
	one, two := registrytest.RandomImage(1, 1, 10), registrytest.RandomImage(2, 1, 10)
	three := registrytest.RandomImage(3, 1, 10)
	require.NoError(t, registrytest.Index(one).Push(t.Context(), s.store, "acme/app", "multi"))
	require.NoError(t, two.Push(t.Context(), s.store, "acme/app", "old"))
	require.NoError(t, s.store.DeleteManifest(t.Context(), "acme/app", reference.Ref{Tag: "old"}, nil))
	require.NoError(t, three.Push(t.Context(), s.store, "acme/app", "v3"))
	signature := s.put(t, "acme/app", "", ocispec.MediaTypeImageManifest,
		s.about(t, "acme/app", "application/x.sig", &two.Descriptor))
	chart := s.put(t, "acme/app", "chart", ocispec.MediaTypeImageManifest,
		s.about(t, "acme/app", "application/x.chart", nil))
	pulls.Pulled("acme/app", two.Descriptor.Digest, "")
	list := func(query string) map[string]types.ManifestSummary {
		all := map[string]types.ManifestSummary{}
		for path := repoPath("acme/app", "manifests") + "?limit=1" + query; path != ""; {
			var list types.ManifestList
			a := s.do(t, "ann", "GET", path, nil).want(200).into(&list)
			for _, m := range list.Items {
				all[m.Digest] = m
			}
			path = a.next()
		}
		return all
	}
	require.Len(t, list(""), 6)
	untagged := list("&kind=untagged")
	require.Len(t, untagged, 1)
	m := untagged[two.Descriptor.Digest.String()]
	require.Equal(t, "image", m.Kind)
	require.NotZero(t, m.Pushed)
	require.NotZero(t, m.Pulled)
	artifacts := list("&kind=artifact")
	require.Len(t, artifacts, 2)
	require.Equal(t, two.Descriptor.Digest.String(), artifacts[signature.Digest.String()].Subject)
	require.Equal(t, []string{"chart"}, artifacts[chart.Digest.String()].Tags)
	s.do(t, "bob", "GET", repoPath("acme/app", "manifests"), nil).fails(403, "DENIED")
	s.do(t, "ann", "GET", repoPath("acme/none", "manifests"), nil).fails(404, "NAME_UNKNOWN")
	s.do(t, "ann", "GET", repoPath("acme/app", "manifests")+"?kind=image", nil).want(400)
}

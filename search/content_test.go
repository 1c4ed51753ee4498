package search_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/search"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/driver/drivertest"
	"github.com/registrykit/registry/storage/memory"
)

// newStore returns a Store over a Driver.
func newStore(t testing.TB, d driver.Driver) *storage.Store {
	t.Helper()
	s, err := storage.New(t.Context(), d, nil)
	require.NoError(t, err)
	return s
}

// one is an image or artifact to push.
type one struct {
	arch, artifactType string
	labels             map[string]string
	layers             []string
}

// push pushes an image or artifact with tags, and returns its digest.
func push(t testing.TB, s *storage.Store, repo string, o one, tags ...string) digest.Digest {
	t.Helper()
	blob := func(mediaType, content string) ocispec.Descriptor {
		d := digest.FromString(content)
		_, err := registry.PushBlob(t.Context(), s, repo, d, strings.NewReader(content))
		require.NoError(t, err)
		return ocispec.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(content))}
	}
	m := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest}
	if o.artifactType != "" {
		m.ArtifactType, m.Config, m.Annotations = o.artifactType, blob(ocispec.MediaTypeEmptyJSON, "{}"), o.labels
	} else {
		config, err := json.Marshal(map[string]any{"os": "linux", "architecture": o.arch,
			"config": map[string]any{"Labels": o.labels}})
		require.NoError(t, err)
		m.Config = blob(ocispec.MediaTypeImageConfig, string(config))
	}
	for _, content := range o.layers {
		m.Layers = append(m.Layers, blob(ocispec.MediaTypeImageLayer, content))
	}
	content, err := json.Marshal(m)
	require.NoError(t, err)
	opts := &registry.PutOptions{}
	for _, tag := range tags {
		opts.Tags = append(opts.Tags, registry.TagPut{Name: tag})
	}
	_, err = s.PutManifest(t.Context(), repo, m.MediaType, content, opts)
	require.NoError(t, err)
	return digest.FromBytes(content)
}

// newContentIndex returns an index of a Store, which was refreshed.
func newContentIndex(t testing.TB, s *storage.Store, opts search.Options) *search.Index {
	t.Helper()
	opts.Content = s
	return newIndex(t, s, &opts)
}

// kinds returns the kinds and names of results.
func kinds(t testing.TB, x *search.Index, query string, v search.Viewer) []string {
	t.Helper()
	found, err := x.Search(t.Context(), query, v, nil)
	require.NoError(t, err, query)
	list := []string{}
	for _, r := range found.Results {
		list = append(list, string(r.Kind)+" "+r.Name)
	}
	return list
}

func TestSearchContent(t *testing.T) {
	s := newStore(t, memory.New(nil))
	shop := push(t, s, "acme/shop", one{arch: "arm64", labels: map[string]string{"maintainer": "Bob Ross",
		"org.opencontainers.image.title": "Shop Front"}}, "v1.2.0", "Latest")
	push(t, s, "acme/shop", one{arch: "amd64"}, "v1.3.0")
	chart := push(t, s, "charts/web", one{artifactType: "application/vnd.cncf.helm.chart.v1+json"}, "0.1.0")
	bare := push(t, s, "acme/bare", one{arch: "s390x"})
	x := newContentIndex(t, s, search.Options{})
	image := func(repo string, d digest.Digest) string { return "image " + repo + "@" + d.String() }
	for query, want := range map[string][]string{
		"v1.2":                          {"tag acme/shop:v1.2.0"},
		"LATEST":                        {"tag acme/shop:Latest"},
		"v1.*":                          {"tag acme/shop:v1.2.0", "tag acme/shop:v1.3.0"},
		"v1.*0 amd64":                   {"tag acme/shop:v1.3.0"},
		"1.*":                           {},
		"tag:v1.3":                      {"tag acme/shop:v1.3.0"},
		"tag:shop":                      {},
		"repository:shop":               {"repository acme/shop"},
		"repository:shop tag:v1.3":      {"tag acme/shop:v1.3.0"},
		"shop arm64":                    {image("acme/shop", shop)},
		"arm":                           {},
		"linux/s390x":                   {image("acme/bare", bare)},
		"platform:*/s390x":              {image("acme/bare", bare)},
		"bob":                           {image("acme/shop", shop)},
		"maintainer=bob":                {image("acme/shop", shop)},
		"maintainer":                    {},
		"label:maintainer":              {image("acme/shop", shop)},
		"label:maintainer=*ross":        {image("acme/shop", shop)},
		"front v1.2":                    {"tag acme/shop:v1.2.0"},
		"helm":                          {image("charts/web", chart)},
		"type:helm":                     {image("charts/web", chart)},
		"type:artifact":                 {image("charts/web", chart)},
		"application":                   {},
		shop.String()[:20]:              {image("acme/shop", shop)},
		shop.Encoded()[:7]:              {image("acme/shop", shop)},
		shop.Encoded():                  {image("acme/shop", shop)},
		strings.ToUpper(shop.Encoded()): {image("acme/shop", shop)},
		"digest:" + shop.Encoded()[:3]:  {image("acme/shop", shop)},
		shop.Encoded() + "0":            {},
		"sha256:zz":                     {},
		"sha512:" + shop.Encoded():      {},
		"type:helm user:ann":            {},
		"acme":                          {"repository acme/bare", "repository acme/shop"},
		"acme/*":                        {"repository acme/bare", "repository acme/shop"},
	} {
		require.Equal(t, want, kinds(t, x, query, everything), query)
	}
	found, err := x.Search(t.Context(), "Bob", everything, nil)
	require.NoError(t, err)
	r := found.Results[0]
	require.Equal(t, "acme/shop", r.Repository)
	require.Contains(t, []string{"v1.2.0", "Latest"}, r.Tag)
	require.Equal(t, shop, r.Digest)
	require.Equal(t, []string{"linux/arm64"}, r.Platforms)
	require.Equal(t, []search.Match{{Field: search.FieldLabel, Text: "maintainer=Bob Ross"}}, r.Matched)
	require.WithinDuration(t, time.Now(), r.Pushed, time.Minute)
	for _, wrong := range []string{"tag:", "label: x"} {
		_, err = x.Search(t.Context(), wrong, everything, nil)
		require.ErrorIs(t, err, search.ErrQuery)
	}
	state := x.State()
	require.Equal(t, []int{3, 4, 4, 0, 0}, []int{state.Repositories, state.Tags, state.Images, state.Unread,
		state.LeftOut})
	figures, ok := x.Figures("acme/shop")
	require.True(t, ok)
	require.Equal(t, []int{3, 2}, []int{figures.Tags, figures.Images})
	require.WithinDuration(t, time.Now(), figures.Pushed, time.Minute)
	_, ok = x.Figures("acme/none")
	require.False(t, ok)
}

// TestEach: Each limits the results of each kind.
func TestEach(t *testing.T) {
	s := newStore(t, memory.New(nil))
	push(t, s, "v1/app", one{arch: "amd64"}, "v1", "v1.1", "v1.2")
	x := newContentIndex(t, s, search.Options{})
	found, err := x.Search(t.Context(), "v1", everything, &search.QueryOptions{Each: 2})
	require.NoError(t, err)
	require.Len(t, found.Results, 3)
	require.True(t, found.More)
	require.Equal(t, []search.Kind{search.Tag}, found.MoreOf)
	_, err = x.Search(t.Context(), "v1", everything, &search.QueryOptions{Each: -1})
	require.Error(t, err)
}

// TestHiddenContent: tags and images of hidden repositories, and hidden tags, change nothing.
func TestHiddenContent(t *testing.T) {
	s := newStore(t, memory.New(nil))
	layers := []string{"base", "more"}
	d := push(t, s, "open/app", one{arch: "amd64", layers: layers}, "v1", "v1-hidden")
	push(t, s, "secret/app", one{arch: "amd64", layers: layers}, "v1")
	x := newContentIndex(t, s, search.Options{})
	v := search.Viewer{
		Repository: func(_ context.Context, name string) (bool, error) { return name == "open/app", nil },
		Tag: func(_ context.Context, repo, tag string) (bool, error) {
			require.Equal(t, "open/app", repo)
			return !strings.Contains(tag, "hidden"), nil
		},
	}
	require.Equal(t, []string{"tag open/app:v1"}, kinds(t, x, "v1", v))
	require.Empty(t, kinds(t, x, "hidden", v))
	require.Equal(t, []string{"image open/app@" + d.String()}, kinds(t, x, d.String(), v))
	found, err := x.Search(t.Context(), "v1", v, &search.QueryOptions{Limit: 1})
	require.NoError(t, err)
	require.False(t, found.More)
	found, err = x.Search(t.Context(), "amd64", v, nil)
	require.NoError(t, err)
	require.Equal(t, "v1", found.Results[0].Tag)

	n, err := x.Namespaces(t.Context(), "", v, nil)
	require.NoError(t, err)
	require.Equal(t, 1, n.Repositories)
	require.Len(t, n.List, 1)
	sharing, err := x.Sharing(t.Context(), []digest.Digest{digest.FromString("base")}, v, nil)
	require.NoError(t, err)
	require.Equal(t, []search.SharedImage{{Repository: "open/app", Tag: "v1", Digest: d, Layers: 1}}, sharing.Images)
	require.Equal(t, []int{1}, sharing.Repositories)
}

func TestNamespaces(t *testing.T) {
	n := &names{}
	n.set("acme", "acme/a", "acme/a/b", "acme/a/c", "acme-x/y", "top", "zed/deep/er")
	x := newIndex(t, n, nil)
	below := func(prefix, after string, limit int) ([]string, search.Namespaces) {
		found, err := x.Namespaces(t.Context(), prefix, everything, &search.NamespaceOptions{After: after, Limit: limit})
		require.NoError(t, err)
		list := []string{}
		for _, n := range found.List {
			list = append(list, fmt.Sprint(n.Prefix, " ", n.Repository, " ", n.Repositories))
		}
		return list, found
	}
	list, found := below("", "", 0)
	require.Equal(t, []string{"acme true 4", "acme-x false 1", "top true 1", "zed false 1"}, list)
	require.Equal(t, 7, found.Repositories)
	list, found = below("acme", "", 0)
	require.Equal(t, []string{"acme/a true 3"}, list)
	require.Equal(t, 4, found.Repositories)
	list, _ = below("acme/a", "", 0)
	require.Equal(t, []string{"acme/a/b true 1", "acme/a/c true 1"}, list)
	list, found = below("none", "", 0)
	require.Empty(t, list)
	require.Zero(t, found.Repositories)
	list, found = below("", "acme", 2)
	require.Equal(t, []string{"acme-x false 1", "top true 1"}, list)
	require.True(t, found.More)
	_, err := x.Namespaces(t.Context(), "", everything, &search.NamespaceOptions{Limit: -1})
	require.Error(t, err)
}

func TestSharing(t *testing.T) {
	s := newStore(t, memory.New(nil))
	base := []string{"debian", "tools"}
	push(t, s, "a/app", one{arch: "amd64", layers: append(base, "a")}, "v1")
	b := push(t, s, "b/app", one{arch: "amd64", layers: append(base, "b")}, "v2")
	c := push(t, s, "c/app", one{arch: "amd64", layers: []string{"debian", "c"}})
	push(t, s, "d/app", one{arch: "amd64", layers: []string{"alpine", "tools"}}, "v1")
	x := newContentIndex(t, s, search.Options{})
	layers := []digest.Digest{digest.FromString("debian"), digest.FromString("tools"), digest.FromString("a"),
		digest.FromString("tools"), "sha256:short"}
	found, err := x.Sharing(t.Context(), layers, everything, &search.SharingOptions{Without: "a/app"})
	require.NoError(t, err)
	require.Equal(t, []search.SharedImage{{Repository: "b/app", Tag: "v2", Digest: b, Layers: 2},
		{Repository: "c/app", Digest: c, Layers: 1}}, found.Images)
	require.Equal(t, []int{2, 2, 0, 2, 0}, found.Repositories)
	require.False(t, found.More)
	found, err = x.Sharing(t.Context(), layers, everything, &search.SharingOptions{Limit: 1})
	require.NoError(t, err)
	require.Equal(t, 3, found.Images[0].Layers)
	require.True(t, found.More)
	found, err = x.Sharing(t.Context(), nil, everything, nil)
	require.NoError(t, err)
	require.Empty(t, found.Images)
	_, err = x.Sharing(t.Context(), layers, everything, &search.SharingOptions{Limit: -1})
	require.Error(t, err)
}

// TestContentReads: a refresh reads only what has changed, and a limited number of repositories in their
// turn.
func TestContentReads(t *testing.T) {
	d := drivertest.NewFaulty(memory.New(nil), nil)
	s := newStore(t, d)
	for i := range 40 {
		push(t, s, fmt.Sprintf("r%02d", i), one{arch: "amd64"}, "v1")
	}
	x := newContentIndex(t, s, search.Options{Reads: 50})
	require.Zero(t, x.State().Unread, "the first refresh reads all")
	calls := func(do func()) (opens, lists int) {
		opens, lists = d.Count("Open"), d.Count("List")
		do()
		return d.Count("Open") - opens, d.Count("List") - lists
	}
	refresh := func() { require.NoError(t, x.Refresh(t.Context())) }
	opens, lists := calls(refresh)
	require.LessOrEqual(t, opens, 5, "nothing has changed")
	require.LessOrEqual(t, lists, 2+2*5)

	// Another process pushes: all repositories have had their turn after 8 refreshes.
	push(t, newStore(t, d), "r20", one{arch: "arm64"}, "other")
	for range 8 {
		refresh()
	}
	require.Equal(t, []string{"tag r20:other"}, kinds(t, x, "other", everything))

	// The reads of a repository with many new tags are limited.
	var tags []string
	for i := range 120 {
		tags = append(tags, fmt.Sprintf("many-%d", i))
	}
	push(t, s, "r01", one{arch: "amd64"}, tags...)
	require.NoError(t, x.Notify(t.Context(), []notification.Event{{Action: notification.Push, Repository: "r01"}}))
	opens, _ = calls(refresh)
	require.LessOrEqual(t, opens, 50+10)
	require.Equal(t, 1, x.State().Unread)
	_, ok := x.Figures("r01")
	require.False(t, ok, "not all was read")
	refresh()
	refresh()
	require.Zero(t, x.State().Unread)
	require.Len(t, kinds(t, x, "many tag:many", everything), 100)
}

// TestNotify: Run reads repositories at once about which an event tells.
func TestNotify(t *testing.T) {
	s := newStore(t, memory.New(nil))
	push(t, s, "old", one{arch: "amd64"}, "v1")
	synctest.Test(t, func(t *testing.T) {
		x, err := search.New(s, &search.Options{Content: s})
		require.NoError(t, err)
		event := func(action notification.Action, kind notification.Kind, repo string) {
			require.NoError(t, x.Notify(t.Context(), []notification.Event{{Action: action, Kind: kind, Repository: repo}}))
		}
		go func() { _ = x.Run(t.Context()) }()
		synctest.Wait()
		push(t, s, "new/app", one{arch: "arm64"}, "fresh")
		event(notification.Pull, notification.Manifest, "new/app")
		event(notification.Push, notification.Blob, "new/app")
		time.Sleep(time.Second)
		synctest.Wait()
		require.Empty(t, kinds(t, x, "fresh", everything))
		event(notification.Push, notification.Manifest, "new/app")
		time.Sleep(time.Second)
		synctest.Wait()
		require.Equal(t, []string{"tag new/app:fresh"}, kinds(t, x, "fresh", everything))
		require.Equal(t, 2, x.State().Repositories)
		require.NoError(t, s.DeleteRepository(t.Context(), "old", nil))
		event(notification.Delete, "", "old")
		time.Sleep(time.Second)
		synctest.Wait()
		require.Equal(t, 1, x.State().Repositories)
		require.Empty(t, kinds(t, x, "v1", everything))
	})
}

// TestContentFails: a repository that cannot be read stays as it was, and the others are read.
func TestContentFails(t *testing.T) {
	broken := false
	d := drivertest.NewFaulty(memory.New(nil), &drivertest.FaultyOptions{
		Before: func(_ context.Context, c drivertest.Call) error {
			if broken && c.Op == "List" && strings.Contains(c.Key, "bad") {
				return drivertest.ErrInjected
			}
			return nil
		}})
	s := newStore(t, d)
	push(t, s, "bad", one{arch: "amd64"}, "v1")
	push(t, s, "good", one{arch: "amd64"}, "v1")
	x := newContentIndex(t, s, search.Options{})
	push(t, s, "good", one{arch: "arm64"}, "v2")
	broken = true
	require.ErrorIs(t, x.Refresh(t.Context()), drivertest.ErrInjected)
	require.Equal(t, []string{"tag bad:v1", "tag good:v1"}, kinds(t, x, "v1", everything))
	require.Equal(t, []string{"tag good:v2"}, kinds(t, x, "v2", everything))
}

// TestContentMaxBytes: content beyond MaxBytes is left out, and names stay.
func TestContentMaxBytes(t *testing.T) {
	s := newStore(t, memory.New(nil))
	long := map[string]string{"text": strings.Repeat("long ", 500)}
	for i := range 30 {
		push(t, s, fmt.Sprintf("r%02d", i), one{arch: "amd64", labels: long}, "v1")
	}
	x := newContentIndex(t, s, search.Options{MaxBytes: 20_000})
	for range 3 {
		state := x.State()
		require.Equal(t, 30, state.Repositories)
		require.Greater(t, state.LeftOut, 10)
		require.Equal(t, 30-state.LeftOut, state.Tags)
		require.Positive(t, state.Tags)
		require.LessOrEqual(t, state.Bytes, 20_000)
		require.NoError(t, x.Refresh(t.Context()))
	}
}

package web_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/PuerkitoBio/goquery"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/api"
	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/pulltime"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/storage/driver/drivertest"
	"github.com/registrykit/registry/storage/memory"
	"github.com/registrykit/registry/web"
)

// arm64 is a configuration of an image.
const arm64 = `{"architecture":"arm64","variant":"v8","os":"linux"}`

// letRead makes bob a reader of everything in acme.
func (s *site) letRead(t *testing.T) {
	t.Helper()
	by := accounts.Actor{}
	org, err := s.people.Lookup(t.Context(), "acme")
	require.NoError(t, err)
	bob, err := s.people.Lookup(t.Context(), "bob")
	require.NoError(t, err)
	_, err = s.people.CreateTeam(t.Context(), by, org.ID, "readers", &accounts.TeamOptions{
		Grants: []accounts.Grant{{Repositories: "**", Role: accounts.Read}},
	})
	require.NoError(t, err)
	require.NoError(t, s.people.JoinTeam(t.Context(), by, org.ID, "readers", bob.ID))
}

// publish makes a repository public.
func (s *site) publish(t *testing.T, repo string) {
	t.Helper()
	_, err := s.people.UpdateRepository(t.Context(), accounts.Actor{}, repo, func(r *accounts.Repository) error {
		r.Visibility = accounts.Public
		return nil
	})
	require.NoError(t, err)
}

// pushIndex pushes an index of images, which are pairs of an architecture and a digest.
func (s *site) pushIndex(t *testing.T, repo, tag string, images map[string]digest.Digest) digest.Digest {
	t.Helper()
	b := s.registry.Backend(s.identity(t, "ann"))
	index := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex}
	for architecture, d := range images {
		desc, err := b.StatManifest(t.Context(), repo, reference.Ref{Digest: d}, nil)
		require.NoError(t, err)
		desc.Platform = &ocispec.Platform{OS: "linux", Architecture: architecture}
		index.Manifests = append(index.Manifests, desc)
	}
	return pushManifest(t, b, repo, tag, ocispec.MediaTypeImageIndex, index).Digest
}

// attach pushes an artifact that refers to an image.
func (s *site) attach(t *testing.T, repo string, subject digest.Digest, artifactType string) digest.Digest {
	t.Helper()
	b := s.registry.Backend(s.identity(t, "ann"))
	desc, err := b.StatManifest(t.Context(), repo, reference.Ref{Digest: subject}, nil)
	require.NoError(t, err)
	return pushManifest(t, b, repo, "", ocispec.MediaTypeImageManifest, ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, Subject: &desc,
		ArtifactType: artifactType, Config: pushBlob(t, b, repo, ocispec.MediaTypeEmptyJSON, "{}"),
		Layers: []ocispec.Descriptor{pushBlob(t, b, repo, "text/plain", "about "+subject.String())},
	}).Digest
}

// tags returns the names of the tags on a page.
func (r *response) tags() []string {
	return r.doc.Find("a.tag-name").Map(func(_ int, e *goquery.Selection) string { return e.Text() })
}

const cosign = "application/vnd.dev.cosign.artifact.sig.v1+json"

func TestTagsShowWhatEachTagIs(t *testing.T) {
	var pulls *pulltime.Recorder
	s := newSite(t, func(s *site, manage *api.Options, _ *web.Options) {
		var err error
		pulls, err = pulltime.New(s.driver, nil)
		require.NoError(t, err)
		manage.Pulls = pulls
	})
	for _, tag := range []string{"1.9.0", "main"} {
		s.pushImage(t, "ann", "acme/app", tag, amd64, tag)
	}
	one := s.pushImage(t, "ann", "acme/app", "1.10.0", amd64, "layer")
	s.pushImage(t, "ann", "acme/app", "latest", amd64, "layer")
	two := s.pushImage(t, "ann", "acme/app", "", arm64, strings.Repeat("x", 5000))
	s.pushIndex(t, "acme/app", "multi", map[string]digest.Digest{"amd64": one, "arm64": two})
	s.attach(t, "acme/app", one, cosign)
	pulls.Pulled("acme/app", one, "1.10.0")

	r := s.get(t, "ann", "/repositories/acme/app")
	require.Equal(t, http.StatusOK, r.StatusCode, string(r.body))
	require.Equal(t, []string{"latest", "1.10.0", "1.9.0", "main", "multi"}, r.tags())
	require.Equal(t, "acme/app", r.doc.Find("h1").Text())
	require.Equal(t, "docker pull "+r.Request.URL.Host+"/acme/app", r.doc.Find(".pull code").First().Text())
	rows := r.doc.Find("tbody tr")
	for i, texts := range [][]string{
		{"= 1.10.0", "signed", "linux/amd64", "ann", one.String()[:19]}, {"= latest", "signed", "just now"},
		{"linux/amd64"}, {"main"}, {"linux/arm64", "linux/amd64", "–"},
	} {
		for _, text := range texts {
			require.Contains(t, rows.Eq(i).Text(), text, "row %d", i)
		}
	}
	for _, text := range []string{"pushed just now by ann", "pulled just now", "private"} {
		require.Contains(t, r.text, text)
	}
	r = s.get(t, "ann", "/repositories/acme/app?q=1.*&sort=version")
	require.Equal(t, []string{"1.9.0", "1.10.0"}, r.tags())
	require.Equal(t, "ascending", r.doc.Find("th[aria-sort]").AttrOr("aria-sort", ""))
	require.Equal(t, []string{"main", "latest"}, s.get(t, "ann", "/repositories/acme/app?q=a&sort=-name").tags())
	require.Equal(t, "multi", s.get(t, "ann", "/repositories/acme/app?sort=-set").tags()[0])
	r = s.get(t, "ann", "/repositories/acme/app?q=%5B")
	require.Equal(t, http.StatusBadRequest, r.StatusCode)
	require.Equal(t, "[", r.doc.Find("#tags-q").AttrOr("value", ""))
	require.Equal(t, http.StatusBadRequest, s.get(t, "ann", "/repositories/acme/app?sort=x").StatusCode)
}

// TestTagsByPages: each order has all tags, once.
func TestTagsByPages(t *testing.T) {
	s := newSite(t, nil)
	s.pushTags(t, "acme/app", 120)
	for _, order := range []string{"", "version", "name", "-name", "set", "-set"} {
		var all []string
		r := s.get(t, "ann", "/repositories/acme/app?sort="+order)
		for {
			require.Equal(t, http.StatusOK, r.StatusCode, string(r.body))
			all = append(all, r.tags()...)
			next, ok := r.doc.Find("a[rel=next]").Attr("href")
			if !ok {
				break
			}
			r = s.get(t, "ann", "/repositories/acme/app"+next)
			require.Contains(t, r.text, "First page")
		}
		require.Len(t, all, 120, order)
		if order == "" {
			require.Equal(t, []string{"v1.119", "v1.118"}, all[:2])
		}
		unique := map[string]bool{}
		for _, tag := range all {
			unique[tag] = true
		}
		require.Len(t, unique, 120, order)
	}
}

// pushTags pushes an index with the tags v1.0, v1.1, and so on.
func (s *site) pushTags(t testing.TB, repo string, n int) {
	t.Helper()
	for i := 0; i < n; i += 50 {
		put := &registry.PutOptions{}
		for j := i; j < min(i+50, n); j++ {
			put.Tags = append(put.Tags, registry.TagPut{Name: fmt.Sprintf("v1.%d", j)})
		}
		_, err := s.store.PutManifest(t.Context(), repo, ocispec.MediaTypeImageIndex, []byte(emptyIndex), put)
		require.NoError(t, err)
	}
}

const emptyIndex = `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`

// TestRepositoryForEverybody: readers have no buttons, and others see nothing.
func TestRepositoryForEverybody(t *testing.T) {
	s := newSite(t, nil)
	image := s.pushImage(t, "ann", "acme/app", "v1", amd64, "layer")
	s.pushImage(t, "ann", "acme/app", "v1", amd64, "other")
	s.attach(t, "acme/app", image, cosign)
	views := []string{"", "/-/artifacts", "/-/untagged", "/-/history"}
	for _, view := range append(views, "/-/settings") {
		require.Equal(t, http.StatusOK, s.get(t, "ann", "/repositories/acme/app"+view).StatusCode, view)
		require.Equal(t, http.StatusOK, s.get(t, "boss", "/repositories/acme/app"+view).StatusCode, view)
		require.Equal(t, http.StatusNotFound, s.get(t, "bob", "/repositories/acme/app"+view).StatusCode, view)
		require.Equal(t, http.StatusUnauthorized, s.get(t, "", "/repositories/acme/app"+view).StatusCode, view)
		require.Equal(t, http.StatusNotFound, s.get(t, "bob", "/repositories/acme/none"+view).StatusCode, view)
	}
	s.letRead(t)
	for _, view := range views {
		r := s.get(t, "bob", "/repositories/acme/app"+view)
		require.Equal(t, http.StatusOK, r.StatusCode, view)
		require.Zero(t, r.doc.Find("main input[type=checkbox], main .danger, main form[method=post]").Length(), view)
		require.NotContains(t, r.text, "Settings")
		require.NotContains(t, r.text, "ann", "who has pushed is for callers with push access")
	}
	require.Equal(t, http.StatusNotFound, s.get(t, "bob", "/repositories/acme/app/-/settings").StatusCode)
	require.Equal(t, http.StatusNotFound, s.get(t, "bob", "/repositories/acme/none").StatusCode, "a reader cannot fill it")
	s.publish(t, "acme/app")
	r := s.get(t, "", "/repositories/acme/app")
	require.Equal(t, http.StatusOK, r.StatusCode)
	require.Equal(t, []string{"v1"}, r.tags())
	require.Contains(t, r.text, "public")
}

// TestButtonsOfRepository: an owner has check boxes, and forms that restore.
func TestButtonsOfRepository(t *testing.T) {
	s := newSite(t, nil)
	s.pushImage(t, "ann", "acme/app", "main", amd64, "old")
	s.pushImage(t, "ann", "acme/app", "main", amd64, "new")
	s.pushImage(t, "ann", "acme/app", "v1", amd64, "new")
	r := s.get(t, "ann", "/repositories/acme/app")
	boxes := r.doc.Find("main form input[type=checkbox][name=tag]")
	require.Equal(t, 2, boxes.Length())
	next := s.get(t, "ann", "/repositories/acme/app/-/delete?tag=main&tag=v1")
	require.Equal(t, http.StatusOK, next.StatusCode)
	require.Contains(t, next.text, "v1")
	r = s.get(t, "ann", "/repositories/acme/app/-/untagged")
	require.Equal(t, 1, r.doc.Find("main form input[type=checkbox][name=digest]").Length())
	r = s.get(t, "ann", "/repositories/acme/app/-/history")
	require.Equal(t, 1, r.doc.Find("main td form[method=post]").Length(), "main was moved")
	restored := s.submit(t, "ann", r, "main td form[method=post]")
	require.Contains(t, s.follow(t, "ann", restored).text, "was moved")
	require.Equal(t, http.StatusOK, s.get(t, "ann", "/repositories/acme/app/-/settings").StatusCode)
}

// TestDeleteIsNotThereForReaders: a reader has no way to the page that asks about a delete, also by hand.
func TestDeleteIsNotThereForReaders(t *testing.T) {
	s := newSite(t, nil)
	d := s.pushImage(t, "ann", "acme/app", "v1", amd64, "one")
	s.publish(t, "acme/app")
	for _, query := range []string{"", "?tag=v1", "?digest=" + d.String()} {
		path := "/repositories/acme/app/-/delete" + query
		require.Equal(t, http.StatusOK, s.get(t, "ann", path).StatusCode, path)
		require.Equal(t, http.StatusNotFound, s.get(t, "bob", path).StatusCode, path)
		require.Equal(t, http.StatusUnauthorized, s.get(t, "", path).StatusCode, path)
	}
}

// TestPullCommandOfAChart: the command of a repository fits what is in it.
func TestPullCommandOfAChart(t *testing.T) {
	s := newSite(t, nil)
	b := s.registry.Backend(s.identity(t, "ann"))
	for _, tag := range []string{"1.0.0", "latest"} {
		pushManifest(t, b, "acme/chart", tag, ocispec.MediaTypeImageManifest, ocispec.Manifest{
			Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
			Config: pushBlob(t, b, "acme/chart", "application/vnd.cncf.helm.config.v1+json", "{}"),
			Layers: []ocispec.Descriptor{pushBlob(t, b, "acme/chart", "application/vnd.cncf.helm.chart.content.v1.tar+gzip",
				tag)}})
		r := s.get(t, "ann", "/repositories/acme/chart")
		require.Equal(t, "helm pull oci://"+r.Request.URL.Host+"/acme/chart --version "+tag,
			r.doc.Find(".pull code").First().Text())
	}
}

// TestWaysFromARepository: its settings say what the namespace says, and lead to its robots; so does the menu.
func TestWaysFromARepository(t *testing.T) {
	s := newSite(t, nil)
	s.pushImage(t, "ann", "ann/app", "v1", amd64, "one")
	r := s.get(t, "ann", "/repositories/ann/app")
	require.Equal(t, "private", r.doc.Find(`.facts a[href$="/ann/app/-/settings#settings"]`).Text())
	require.Equal(t, 1, r.doc.Find(`header a[href="/ui/robots/ann"]`).Length())
	r = s.get(t, "ann", "/repositories/ann/app/-/settings")
	require.Contains(t, r.text, "As the namespace says: now private")
	require.Equal(t, 1, r.doc.Find(`main a[href="/ui/robots/ann"]`).Length())
	s.publish(t, "ann/app")
	require.Zero(t, s.get(t, "bob", "/repositories/ann/app").doc.Find(".facts a").Length())
}

// TestEmptyRepository: the page of a repository without content says how to fill it.
func TestEmptyRepository(t *testing.T) {
	s := newSite(t, nil)
	r := s.get(t, "ann", "/repositories/acme/new")
	require.Equal(t, http.StatusOK, r.StatusCode)
	require.Contains(t, r.text, "docker push "+r.Request.URL.Host+"/acme/new:latest")
	for _, view := range []string{"artifacts", "untagged", "history", "settings"} {
		require.Equal(t, http.StatusOK, s.get(t, "ann", "/repositories/acme/new/-/"+view).StatusCode, view)
	}
}

// TestUntaggedAndArtifacts: images of an index and artifacts about an image are not untagged.
func TestUntaggedAndArtifacts(t *testing.T) {
	s := newSite(t, nil)
	one := s.pushImage(t, "ann", "acme/app", "", amd64, "one")
	s.pushIndex(t, "acme/app", "multi", map[string]digest.Digest{"amd64": one})
	old := s.pushImage(t, "ann", "acme/app", "v1", amd64, "old")
	s.pushImage(t, "ann", "acme/app", "v1", amd64, "new")
	signature := s.attach(t, "acme/app", old, cosign)
	r := s.get(t, "ann", "/repositories/acme/app/-/untagged")
	require.Equal(t, 1, r.doc.Find("tbody tr").Length())
	require.Contains(t, r.text, old.String()[:19])
	r = s.get(t, "ann", "/repositories/acme/app/-/artifacts")
	require.Equal(t, 1, r.doc.Find("tbody tr").Length())
	require.Contains(t, r.text, signature.String()[:19])
	require.Contains(t, r.text, old.String()[:19])
}

func TestHistoryShowsWhoDidWhat(t *testing.T) {
	s := newSite(t, nil)
	s.pushImage(t, "ann", "acme/app", "v1", amd64, "one")
	s.pushImage(t, "ann", "acme/app", "v1", amd64, "two")
	b := s.registry.Backend(s.identity(t, "ann"))
	require.NoError(t, b.DeleteManifest(t.Context(), "acme/app", reference.Ref{Tag: "v1"}, nil))
	r := s.get(t, "ann", "/repositories/acme/app/-/history")
	require.Equal(t, 3, r.doc.Find("tbody tr").Length())
	for i, text := range []string{"v1 was deleted", "v1 was moved", "v1 was created"} {
		require.Contains(t, r.doc.Find("tbody tr").Eq(i).Text(), text)
		require.Contains(t, r.doc.Find("tbody tr").Eq(i).Text(), "ann")
	}
	require.Zero(t, s.get(t, "ann", "/repositories/acme/app/-/history?tag=v2").doc.Find("tbody tr").Length())
}

func TestSettings(t *testing.T) {
	s := newSite(t, nil)
	s.pushImage(t, "ann", "acme/app", "v1", amd64, "one")
	path := "/repositories/acme/app/-/settings"
	r := s.get(t, "ann", path)
	preview := s.submit(t, "ann", r, "#settings", "description", "# App\n\n**good** <script>alert(1)</script>")
	require.Equal(t, http.StatusOK, preview.StatusCode, "the form as the test sends it has the preview button")
	require.Equal(t, "good", preview.doc.Find(".prose strong").Text())
	require.Contains(t, preview.doc.Find("textarea").Text(), "<script>", "what was typed stays")
	version := r.doc.Find("#settings input[name=version]").AttrOr("value", "")
	saved := s.post(t, "ann", path, "version", version, "description", "# App\r\n\r\n**good**", "visibility", "public")
	shown := s.follow(t, "ann", saved)
	require.Contains(t, shown.text, "The settings are saved.")
	require.Equal(t, "good", s.get(t, "", "/repositories/acme/app").doc.Find(".prose strong").Text())
	require.Equal(t, "App", s.get(t, "", "/repositories/acme/app").doc.Find(".prose h3").Text())
	r = s.post(t, "ann", path, "version", version, "description", "x", "visibility", "private")
	require.Equal(t, http.StatusPreconditionFailed, r.StatusCode)
	version = shown.doc.Find("#settings input[name=version]").AttrOr("value", "")
	r = s.post(t, "ann", path, "version", version, "description", strings.Repeat("x", 50<<10), "visibility", "")
	require.Equal(t, http.StatusBadRequest, r.StatusCode)
	require.Contains(t, r.text, "48 KiB")
	require.Len(t, strings.TrimSpace(r.doc.Find("textarea").Text()), 50<<10)
	r = s.post(t, "ann", path, "version", version, "description", "x", "visibility", "everybody")
	require.Equal(t, http.StatusBadRequest, r.StatusCode)
	s.letRead(t)
	r = s.post(t, "bob", path, "version", version, "description", "x", "visibility", "")
	require.Equal(t, http.StatusNotFound, r.StatusCode)
}

// TestRepositoryWithHostileContent: annotations, descriptions and types are shown as text.
func TestRepositoryWithHostileContent(t *testing.T) {
	s := newSite(t, nil)
	b := s.registry.Backend(s.identity(t, "ann"))
	for i, text := range hostile {
		config := fmt.Sprintf(`{"architecture":%q,"os":%q}`, text, text)
		image := s.pushImage(t, "ann", "acme/app", fmt.Sprintf("v%d", i), config, text)
		if strings.ContainsRune(text, 0) || len(text) > 200 {
			continue
		}
		index := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex,
			Annotations: map[string]string{text: text}}
		desc, err := b.StatManifest(t.Context(), "acme/app", reference.Ref{Digest: image}, nil)
		require.NoError(t, err)
		desc.Platform = &ocispec.Platform{OS: text, Architecture: text, OSVersion: text}
		index.Manifests = append(index.Manifests, desc)
		pushManifest(t, b, "acme/app", fmt.Sprintf("index%d", i), ocispec.MediaTypeImageIndex, index)
	}
	_, err := s.people.UpdateRepository(t.Context(), accounts.Actor{}, "acme/app", func(r *accounts.Repository) error {
		r.Description = strings.ToValidUTF8(strings.ReplaceAll(strings.Join(hostile, "\n\n"), "\x00", ""), "")
		return nil
	})
	require.NoError(t, err)
	for _, view := range []string{"", "?sort=-set", "/-/artifacts", "/-/untagged", "/-/history", "/-/settings",
		"?q=" + url.QueryEscape(hostile[0]), "/-/history?tag=" + url.QueryEscape(hostile[0])} {
		r := s.get(t, "ann", "/repositories/acme/app"+view)
		require.Less(t, r.StatusCode, 500, view)
		require.Zero(t, r.doc.Find("main img, main script").Length(), view)
	}
}

// TestCostOfTags: a page makes as many calls with a thousand tags as with a few more than a page has.
func TestCostOfTags(t *testing.T) {
	cost := func(tags int, query string) int64 {
		f := drivertest.NewFaulty(memory.New(nil), nil)
		s := newSiteOver(t, f, nil)
		s.pushTags(t, "acme/app", tags)
		s.get(t, "ann", "/repositories/acme/app"+query) // caches are warm
		calls, requests := s.calls.Load(), f.Count("")
		s.get(t, "ann", "/repositories/acme/app"+query)
		require.LessOrEqual(t, s.calls.Load()-calls, int64(10), "calls of the Backend")
		return int64(f.Count("") - requests)
	}
	for _, query := range []string{"", "?sort=-set", "?sort=name", "?q=v1.*"} {
		few, many := cost(60, query), cost(1000, query)
		require.InDelta(t, few, many, 50, query)
	}
}

package web_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/api"
	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/web"
)

// shop is a configuration with all fields.
const shop = `{"architecture":"amd64","os":"linux","created":"2026-01-02T03:04:05Z","author":"ann","config":{
"User":"65532","Env":["PATH=/bin","TZ=UTC"],"Entrypoint":["/shop"],"Cmd":["serve","a b"],"ExposedPorts":{"8080/tcp":{}},
"Volumes":{"/data":{}},"WorkingDir":"/srv","StopSignal":"SIGINT","Labels":{
"org.opencontainers.image.source":"https://git.example.com/shop","stage":"prod"}},"history":[
{"created_by":"/bin/sh -c #(nop) ADD file:0123456789ab in / "},{"created_by":"ENV TZ=UTC","empty_layer":true},
{"created_by":"RUN /bin/sh -c make   install # buildkit"}]}`

func TestImage(t *testing.T) {
	s := newSite(t, nil)
	d := s.pushImage(t, "ann", "acme/shop", "1.4.0", shop, strings.Repeat("base", 300), "app")
	s.pushImage(t, "ann", "acme/shop", "latest", shop, strings.Repeat("base", 300), "app")
	r := s.get(t, "ann", "/repositories/acme/shop/-/images/1.4.0")
	require.Equal(t, http.StatusOK, r.StatusCode, string(r.body))
	require.Equal(t, "1.4.0", r.doc.Find("h1").Text())
	require.Equal(t, d.String(), r.doc.Find(".digest code").Text())
	require.Equal(t, "latest", r.doc.Find(".facts .chip.tag").Text())
	host := strings.TrimPrefix(s.url, "http://")
	require.Equal(t, "docker pull "+host+"/acme/shop:1.4.0", r.doc.Find(".pull:not(.digest) code").First().Text())
	rows := r.doc.Find("table.layers tbody tr")
	require.Equal(t, 3, rows.Length())
	require.Contains(t, rows.Eq(0).Text(), "ADD file:0123456789ab in /")
	require.Equal(t, "99", rows.Eq(0).Find("rect").AttrOr("width", ""))
	require.Contains(t, rows.Eq(0).Find(".num").Text(), "1.2 kB")
	require.Contains(t, rows.Eq(1).Text(), "ENV TZ=UTC")
	require.Equal(t, 0, rows.Eq(1).Find("rect").Length())
	require.Equal(t, "RUN make install", rows.Eq(2).Find("summary").Text())
	require.Equal(t, "RUN /bin/sh -c make   install # buildkit", rows.Eq(2).Find("pre").Text())
	for _, want := range []string{"linux/amd64", "/shop", "serve 'a b'", "65532", "/srv", "8080/tcp", "/data", "SIGINT",
		"2026-01-02 03:04:05 UTC", "stage", "PATH", "by ann", "ADD file:0123456789ab in / ENV TZ=UTC RUN make install"} {
		require.Contains(t, r.text, want)
	}
	link := r.doc.Find(`a[href="https://git.example.com/shop"]`).First()
	require.Equal(t, "noopener noreferrer nofollow", link.AttrOr("rel", ""))
	require.Contains(t, r.text, "it is not signed")
	byDigest := s.get(t, "ann", "/repositories/acme/shop/-/images/"+d.String())
	require.Equal(t, http.StatusOK, byDigest.StatusCode)
	require.Equal(t, 2, byDigest.doc.Find(".facts .chip.tag").Length())
	require.Contains(t, byDigest.doc.Find(".pull:not(.digest) code").First().Text(), "acme/shop@"+d.String())
	zh := s.get(t, "ann", "/language?to=zh-CN")
	require.Equal(t, http.StatusSeeOther, zh.StatusCode)
}

// asPublic makes a repository public.
func asPublic(r *accounts.Repository) error {
	r.Visibility = accounts.Public
	return nil
}

// TestImageRoles: those who may not pull get 404, and those who may not change have no buttons.
func TestImageRoles(t *testing.T) {
	s := newSite(t, nil)
	d := s.pushImage(t, "ann", "acme/shop", "v1", amd64, "layer")
	for _, path := range []string{"v1", d.String(), "none", digest.FromString("none").String()} {
		path = "/repositories/acme/shop/-/images/" + path
		require.Equal(t, http.StatusNotFound, s.get(t, "bob", path).StatusCode, path)
		require.Equal(t, http.StatusUnauthorized, s.get(t, "", path).StatusCode, path)
	}
	for _, path := range []string{"/repositories/acme/shop/-/images/none", "/repositories/acme/none/-/images/v1",
		"/repositories/acme/shop/-/images/v1?platform=linux/s390x&x=1"} {
		want := http.StatusNotFound
		if strings.Contains(path, "platform") {
			want = http.StatusOK // the image is no index
		}
		require.Equal(t, want, s.get(t, "ann", path).StatusCode, path)
	}
	require.Equal(t, http.StatusBadRequest, s.get(t, "ann", "/repositories/acme/shop/-/images/sha256:x").StatusCode)
	_, err := s.people.UpdateRepository(t.Context(), accounts.Actor{}, "acme/shop", asPublic)
	require.NoError(t, err)
	for _, name := range []string{"", "bob", "boss"} {
		r := s.get(t, name, "/repositories/acme/shop/-/images/v1")
		require.Equal(t, http.StatusOK, r.StatusCode, name)
		if name != "boss" {
			require.NotContains(t, r.text, "by ann")
			require.NotContains(t, r.text, "Delete")
			require.Zero(t, r.doc.Find("main form").Length())
		}
	}
}

// TestImageIsNoPull: people who look at an image have not pulled it.
func TestImageIsNoPull(t *testing.T) {
	s := newSite(t, nil)
	s.pushImage(t, "ann", "acme/shop", "v1", amd64, "layer")
	var pulls atomic.Int64
	s.onEvents = func(events []notification.Event) {
		for _, e := range events {
			if e.Action == notification.Pull {
				pulls.Add(1)
			}
		}
	}
	require.Equal(t, http.StatusOK, s.get(t, "ann", "/repositories/acme/shop/-/images/v1").StatusCode)
	require.Equal(t, http.StatusOK, s.get(t, "ann", "/repositories/acme/shop/-/compare?from=v1&to=v1").StatusCode)
	require.Zero(t, pulls.Load())
}

// pushElements pushes an index, and returns its digest.
func (s *site) pushElements(t *testing.T, repo, tag string, sparse bool, children ...ocispec.Descriptor) digest.Digest {
	t.Helper()
	content, err := json.Marshal(ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageIndex, Manifests: children})
	require.NoError(t, err)
	_, err = s.store.PutManifest(t.Context(), repo, ocispec.MediaTypeImageIndex, content,
		&registry.PutOptions{Sparse: sparse, AcceptWrongSizes: true, Tags: []registry.TagPut{{Name: tag}}})
	require.NoError(t, err)
	return digest.FromBytes(content)
}

// element returns the descriptor of an element of an index.
func element(d digest.Digest, mediaType, platform string) ocispec.Descriptor {
	one := ocispec.Descriptor{MediaType: mediaType, Digest: d, Size: 100}
	if os, arch, ok := strings.Cut(platform, "/"); ok {
		arch, variant, _ := strings.Cut(arch, "/")
		one.Platform = &ocispec.Platform{OS: os, Architecture: arch, Variant: variant}
	}
	return one
}

func TestIndex(t *testing.T) {
	s := newSite(t, nil)
	amd := s.pushImage(t, "ann", "acme/shop", "amd", amd64, "layer")
	arm := s.pushImage(t, "ann", "acme/shop", "arm", strings.ReplaceAll(amd64, "amd64", "arm64"), "arm layer")
	const typeImage = ocispec.MediaTypeImageManifest
	missing := element(digest.FromString("missing"), typeImage, "linux/s390x")
	attestation := element(digest.FromString("attestation"), typeImage, "unknown/unknown")
	attestation.Annotations = map[string]string{"vnd.docker.reference.type": "attestation-manifest",
		"vnd.docker.reference.digest": amd.String()}
	inner := s.pushElements(t, "acme/shop", "inner", false, s.described(t, amd, "linux/amd64"))
	s.pushElements(t, "acme/shop", "v1", true, element(arm, typeImage, "linux/arm64/v8"), missing,
		element(amd, typeImage, "linux/amd64"), attestation, element(inner, ocispec.MediaTypeImageIndex, "linux/nested"))
	r := s.get(t, "ann", "/repositories/acme/shop/-/images/v1")
	require.Equal(t, http.StatusOK, r.StatusCode, string(r.body))
	tabs := r.doc.Find(".tabs a")
	require.Equal(t, 4, tabs.Length())
	require.Equal(t, "linux/amd64", r.doc.Find(".tabs a[aria-current]").Text(), "the usual platform")
	require.Contains(t, r.text, "Attestations of the build")
	require.Contains(t, r.text, amd.String())
	r = s.get(t, "ann", "/repositories/acme/shop/-/images/v1?platform=linux%2Farm64%2Fv8")
	require.Contains(t, r.text, arm.String())
	require.Contains(t, r.text, "docker pull --platform linux/arm64/v8")
	r = s.get(t, "ann", "/repositories/acme/shop/-/images/v1?platform=linux/s390x")
	require.Equal(t, http.StatusOK, r.StatusCode)
	require.Contains(t, r.text, "the repository does not have it")
	r = s.get(t, "ann", "/repositories/acme/shop/-/images/v1?platform=linux/nested")
	require.Contains(t, r.text, "an index itself")
	require.Equal(t, http.StatusNotFound, s.get(t, "ann", "/repositories/acme/shop/-/images/v1?platform=x/y").StatusCode)
	s.pushElements(t, "acme/shop", "empty", false)
	r = s.get(t, "ann", "/repositories/acme/shop/-/images/empty")
	require.Equal(t, http.StatusOK, r.StatusCode)
	require.Contains(t, r.text, "names no image")
}

// described returns the descriptor of a manifest with its size.
func (s *site) described(t *testing.T, d digest.Digest, platform string) ocispec.Descriptor {
	t.Helper()
	one := element(d, ocispec.MediaTypeImageManifest, platform)
	found, err := s.store.StatManifest(t.Context(), "acme/shop", reference.Ref{Digest: d}, nil)
	require.NoError(t, err)
	one.Size = found.Size
	return one
}

// TestTagHistory: the changes of a tag are listed, and who set it is known to those who may push.
func TestTagHistory(t *testing.T) {
	s := newSite(t, nil)
	first := s.pushImage(t, "ann", "acme/shop", "v1", amd64, "one")
	second := s.pushImage(t, "ann", "acme/shop", "v1", amd64, "two")
	r := s.get(t, "ann", "/repositories/acme/shop/-/images/v1")
	rows := r.doc.Find(`table[aria-labelledby="history"] tbody tr`)
	require.Equal(t, 2, rows.Length())
	require.Contains(t, rows.Eq(0).Text(), second.String()[:19])
	require.Contains(t, rows.Eq(0).Text(), "now")
	require.Contains(t, rows.Eq(1).Text(), first.String()[:19])
}

func TestArtifacts(t *testing.T) {
	s := newSite(t, nil)
	b := s.registry.Backend(s.identity(t, "ann"))
	subject := s.pushImage(t, "ann", "acme/shop", "v1", amd64, "layer")
	about := s.described(t, subject, "")
	for kind, predicate := range map[string]string{"application/vnd.dev.sigstore.bundle.v0.3+json": "",
		"application/spdx+json": "", "application/vnd.in-toto+json": "https://slsa.dev/provenance/v1"} {
		pushManifest(t, b, "acme/shop", "", ocispec.MediaTypeImageManifest, ocispec.Manifest{
			Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, ArtifactType: kind,
			Config: pushBlob(t, b, "acme/shop", ocispec.MediaTypeEmptyJSON, "{}"), Subject: &about,
			Layers:      []ocispec.Descriptor{pushBlob(t, b, "acme/shop", kind, strings.Repeat(kind, 500))},
			Annotations: map[string]string{"predicateType": predicate}})
	}
	pushImage(t, b, "acme/shop", "sha256-"+subject.Encoded()+".sig", amd64, "old signature")
	r := s.get(t, "ann", "/repositories/acme/shop/-/images/v1")
	rows := r.doc.Find(`table[aria-labelledby="referrers"] tbody tr`)
	require.Equal(t, 4, rows.Length(), r.text)
	for _, want := range []string{"Signature", "SBOM", "Attestation", "slsa.dev/provenance", "kB", "cosign verify "} {
		require.Contains(t, r.text, want)
	}
	target := rows.Last().Find("a").AttrOr("href", "")
	r = s.get(t, "ann", strings.TrimPrefix(target, "/ui"))
	require.Equal(t, http.StatusOK, r.StatusCode)
	require.Contains(t, r.text, "This is about")

	chart := func(config string) *response {
		pushManifest(t, b, "acme/chart", "1.0.0_x", ocispec.MediaTypeImageManifest, ocispec.Manifest{
			Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
			Config: pushBlob(t, b, "acme/chart", "application/vnd.cncf.helm.config.v1+json", config),
			Layers: []ocispec.Descriptor{
				pushBlob(t, b, "acme/chart", "application/vnd.cncf.helm.chart.content.v1.tar+gzip", "c")}})
		r := s.get(t, "ann", "/repositories/acme/chart/-/images/1.0.0_x")
		require.Equal(t, http.StatusOK, r.StatusCode)
		require.Contains(t, r.doc.Find(".pull:not(.digest) code").First().Text(), "/acme/chart --version 1.0.0+x")
		return r
	}
	r = chart(`{"name":"shop","version":"1.0.0+x","appVersion":"4.2","home":"https://shop.example.com","deprecated":true,
		"maintainers":[{"name":"Ann","email":"a@example.com"}],"dependencies":[{"name":"db","version":"1.x"}]}`)
	for _, want := range []string{"Helm chart", "4.2", "Ann <a@example.com>", "deprecated", "db", "1.x"} {
		require.Contains(t, r.text, want)
	}
	require.Equal(t, 1, r.doc.Find(`a[href="https://shop.example.com"]`).Length())
	require.Contains(t, chart(`[]`).text, "cannot be shown")
}

// TestImageHosts: a Host header never gets into a command unless it is a host.
func TestImageHosts(t *testing.T) {
	for host, want := range map[string]string{
		"images.example.com:5000": "docker pull images.example.com:5000/acme/shop:v1",
		"[::1]:5000":              "docker pull [::1]:5000/acme/shop:v1",
		"x;reboot":                "docker pull registry.example.com/acme/shop:v1",
		"$(reboot)":               "docker pull registry.example.com/acme/shop:v1"} {
		s := newSite(t, func(_ *site, _ *api.Options, page *web.Options) { page.Registry = host })
		s.pushImage(t, "ann", "acme/shop", "v1", amd64, "layer")
		r := s.get(t, "ann", "/repositories/acme/shop/-/images/v1")
		require.Equal(t, want, r.doc.Find(".pull:not(.digest) code").First().Text())
		require.NotContains(t, r.text, "reboot", fmt.Sprint(host))
	}
}

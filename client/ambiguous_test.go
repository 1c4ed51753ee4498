package client_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/client"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/registrytest"
)

// TestGetManifestAmbiguousRefused checks that a manifest that two parsers read differently is not
// returned, even if it has the digest.
func TestGetManifestAmbiguousRefused(t *testing.T) {
	const image, index = ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageIndex
	const docker = "application/vnd.docker.distribution.manifest.v2+json"
	d := string(digest.FromString("2"))
	desc := func(more string) string { return `{"mediaType":"a/b","digest":"` + d + `","size":1` + more + `}` }
	img := func(more string) string {
		return `{"schemaVersion":2,"config":` + desc("") + `,"layers":[]` + more + `}`
	}
	for _, a := range []struct{ header, content, want string }{
		{image, img(`,"mediaType":"` + image + `","MediaType":"` + index + `"`), "in case"},
		{image, img(`,"mediaType":"` + image + `","mediaType":"` + image + `"`), "duplicate key"},
		{image, img(`,"mediaType":5`), "must be a string"},
		{image, img(`,"subject":5`), "must be an object"},
		{image, img(`,"subject":` + desc(`,"Digest":"x"`)), "in case"},
		{image, img(`,"layers":[]`), "duplicate key"},
		{image, img(`,"manifests":[]`), "only one of"},
		{image, img(`,"annotations":{"a":1}`), "must be a string"},
		{index, img(""), "must not have"},
		{strings.ToUpper(index), img(""), "must not have"},
		{image, `{"schemaVersion":2,"manifests":[]}`, "must not have"},
		{index, `{"manifests":[` + desc(`,"platform":{"os":"linux","oſ":"windows"}`) + `]}`, "in case"},
		{index, `{"manifests":[` + desc(`,"data":"***"`) + `]}`, "Base 64"},
		{"", img(""), "not clear"},
		{image, img(`,"mediaType":"application/vnd.oci.image.Manifest.v1+json"`), "in case"},
		{"", img(`,"mediaType":"application/vnd.oci.image.Manifest.v1+json"`), "in case"},
		{docker, img(`,"mediaType":"application/vnd.doc\u212aer.distribution.manifest.v2+json"`), "but the Content-Type is"},
		{"text", img(""), "not clear"},
		{image, "manifest", "not valid JSON"},
		{image, "[]", "must be an object"},
	} {
		c := newClient(t, serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Content-Type"] = []string{a.header}
			_, _ = io.WriteString(w, a.content)
		}), nil)
		for _, ref := range []reference.Ref{{Tag: "v1"}, {Digest: digest.FromString(a.content)}} {
			m, err := c.GetManifest(t.Context(), "a", ref)
			require.Nil(t, m, a.content)
			require.ErrorIs(t, err, client.ErrContent, a.content)
			require.ErrorContains(t, err, a.want)
		}
	}
}

// TestGetManifestOtherTypesReturned checks that an unambiguous manifest is returned, whether or not
// a registry of this module would store it.
func TestGetManifestOtherTypesReturned(t *testing.T) {
	for mediaType, content := range map[string]string{
		"application/vnd.docker.distribution.manifest.v1+prettyjws": `{"schemaVersion":1,"name":"a","tag":"v1",` +
			`"fsLayers":[{"blobSum":"sha256:x"}],"history":[],"signatures":[]}`,
		"application/vnd.acme+json": `{"x":1}`,
		ocispec.MediaTypeImageIndex: `{"manifests":null,"annotations":null,"subject":null}`,
	} {
		c := newClient(t, serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", mediaType)
			_, _ = io.WriteString(w, content)
		}), nil)
		m, err := c.GetManifest(t.Context(), "a", reference.Ref{Tag: "v1"})
		require.NoError(t, err)
		require.Equal(t, mediaType, m.Descriptor.MediaType)
		require.Equal(t, content, string(m.Content))
	}
}

// TestListsAmbiguousRefused checks that a page is rejected if two parsers could find different
// elements in it.
func TestListsAmbiguousRefused(t *testing.T) {
	d := string(digest.FromString("2"))
	desc := func(more string) string { return `{"mediaType":"a/b","digest":"` + d + `","size":1` + more + `}` }
	var body string
	c := newClient(t, serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) }), nil)
	for _, body = range []string{
		`{"tags":["a"],"tags":["b"]}`, `{"tags":["a"],"Tags":["b"]}`, `{"Tags":["b"]}`, `{"TAGS":null,"tags":["a"]}`,
		`{"tag\u017f":["b"]}`, `{"tags":null,"tags":["a"]}`,
		"\ufeff{}", `{"tags":["a",1]}`, `{"tags":["a",}`, `{"x":` + strings.Repeat("[", 20_000),
	} {
		tags, err := collect(c.Tags(t.Context(), "a", nil))
		require.ErrorIs(t, err, client.ErrContent, body)
		require.Empty(t, tags)
		body = strings.NewReplacer("tag", "repositorie", "Tag", "Repositorie", "TAGS", "REPOSITORIES").Replace(body)
		names, err := collect(c.Repositories(t.Context(), nil))
		require.ErrorIs(t, err, client.ErrContent, body)
		require.Empty(t, names)
	}
	for _, body = range []string{
		`{"manifests":[` + desc("") + `],"manifests":[]}`,
		`{"manifests":[` + desc("") + `],"Manifests":[]}`,
		`{"manifests":[],"subject":5}`,
		`{"manifests":[],"mediaType":"` + ocispec.MediaTypeImageIndex + `","mediaType":""}`,
		`{"MediaType":"a/b","manifests":[]}`,
		`{"manifests":[],"mediaType":"` + ocispec.MediaTypeImageManifest + `"}`,
		`{"manifests":[],"layers":[]}`,
		`{"manifests":[],"annotations":{"a":1}}`,
		`{"manifests":[` + desc(`,"digest":"`+d+`"`) + `]}`,
		`{"manifests":[` + desc(`,"ArtifactType":"a/b"`) + `]}`,
		`{"manifests":[` + desc(`,"annotations":{"a":"b","a":"c"}`) + `]}`,
		`{"manifests":[` + desc(`,"annotations":{"a":1}`) + `]}`,
		`{"manifests":[` + desc(`,"urls":[{}]`) + `]}`,
		`{"manifests":[` + desc(`,"data":"***"`) + `]}`,
		`{"manifests":[` + desc(`,"platform":{"oS":"linux"}`) + `]}`,
		`{"manifests":[{"digest":"` + d + `","size":"1"}]}`,
		`{"manifests":[null]}`,
		`{"manifests":["` + d + `"]}`,
	} {
		n := 0
		for _, err := range c.Referrers(t.Context(), "a", digest.FromString("x"), nil) {
			require.ErrorIs(t, err, client.ErrContent, body)
			n++
		}
		require.Equal(t, 1, n, body)
	}
	// Members that the client does not use may have any value.
	body = `{"schemaVersion":2,"mediaType":"` + ocispec.MediaTypeImageIndex +
		`","x":1,"x":[2],"annotations":{"a":"b"},"manifests":[` + desc(`,"data":"Mg==","x":{}`) + `]}`
	for desc, err := range c.Referrers(t.Context(), "a", digest.FromString("x"), nil) {
		require.NoError(t, err)
		require.Equal(t, "2", string(desc.Data))
	}
	body = `{"name":"a","child":[],"manifest":{"sha256:x":{"tag":["latest"]}},"tags":["latest"]}` // from Google's registry
	tags, err := collect(c.Tags(t.Context(), "a", nil))
	require.NoError(t, err)
	require.Equal(t, []string{"latest"}, tags)
}

// TestErrorsAmbiguousSayNothing checks that neither code nor message of an error is used if two
// parsers read its body differently.
func TestErrorsAmbiguousSayNothing(t *testing.T) {
	const code = `"code":"NAME_INVALID","message":"for people"`
	var body string
	c := newClient(t, serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, body)
	}), nil)
	for _, body = range []string{
		`{"errors":[{` + code + `,"code":"TAG_INVALID"}]}`, `{"errors":[{` + code + `,"Code":"TAG_INVALID"}]}`,
		`{"errors":[{` + code + `}],"errors":[]}`,
		`{"Errors":[{` + code + `}]}`, `{"errors":[{` + code + `,"me\u017fsage":""}]}`,
		`{"errors":[{` + code + `,"detail":1,"detail":2}]}`, `{"errors":[{"code":5}]}`,
		`{"errors":[{` + code + `}]} {}`,
	} {
		_, err := c.GetManifest(t.Context(), "a", reference.Ref{Tag: "v1"})
		var wire *client.Error
		require.ErrorAs(t, err, &wire)
		require.Empty(t, wire.Code, body)
		require.Empty(t, wire.Message, body)
		require.NotErrorIs(t, err, registry.ErrNameInvalid, body)
	}
	body = `{"errors":[{"code":"MANIFEST_BLOB_UNKNOWN","detail":{"digest":"` + string(digest.FromString("x")) +
		`","Digest":"y"}}]}`
	img := registrytest.Index()
	_, err := c.PutManifest(t.Context(), "a", img.Descriptor.MediaType, img.Manifest, nil)
	var e *registry.Error
	require.ErrorAs(t, err, &e)
	require.ErrorIs(t, err, registry.ErrManifestBlobUnknown)
	require.Nil(t, e.Detail())
}

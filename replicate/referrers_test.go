package replicate_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/client"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/registrytest"
	"github.com/registrykit/registry/replicate"
)

// cosignTag returns the tag of cosign for what belongs to an image.
func cosignTag(c *registrytest.Content, suffix string) string {
	return strings.Replace(string(c.Descriptor.Digest), ":", "-", 1) + suffix
}

func TestCopyReferrers(t *testing.T) {
	for name, p := range pairs(t) {
		t.Run(name, func(t *testing.T) {
			a, b := registrytest.RandomImage(1, 1, 1000), registrytest.RandomImage(2, 1, 1000)
			index := registrytest.Index(a, b)
			push(t, p.src, "r", index, "v1")
			ofIndex := registrytest.Artifact("x/sbom", index.Descriptor, nil)
			ofImage := registrytest.Artifact("x/sbom", a.Descriptor, nil)
			signature := registrytest.Artifact("x/signature", ofImage.Descriptor, nil) // of the SBOM
			cosigned := registrytest.RandomImage(7, 1, 100)
			attested := registrytest.RandomImage(8, 1, 100)
			other := registrytest.Artifact("x/sbom", registrytest.RandomImage(3, 0, 0).Descriptor, nil)
			for _, c := range []*registrytest.Content{ofIndex, ofImage, signature, other} {
				push(t, p.src, "r", c)
			}
			push(t, p.src, "r", cosigned, cosignTag(index, ".sig"))
			push(t, p.src, "r", attested, cosignTag(b, ".att"))

			_, err := replicate.Copy(t.Context(), p.dst, p.src, "r:v1", nil)
			require.NoError(t, err)
			_, err = p.dst.StatManifest(t.Context(), "r", reference.Ref{Digest: ofIndex.Descriptor.Digest}, nil)
			require.ErrorIs(t, err, registry.ErrManifestUnknown)
			requireTag(t, p.dst, "r", cosignTag(index, ".sig"), "")

			res, err := replicate.Copy(t.Context(), p.dst, p.src, "r:v1", &replicate.Options{Referrers: true})
			require.NoError(t, err)
			require.Equal(t, 3+3+2, res.Progress.Manifests)
			for _, c := range []*registrytest.Content{index, ofIndex, ofImage, signature, cosigned, attested} {
				requireImage(t, p.dst, "r", c)
			}
			requireTag(t, p.dst, "r", cosignTag(index, ".sig"), cosigned.Descriptor.Digest)
			requireTag(t, p.dst, "r", cosignTag(b, ".att"), attested.Descriptor.Digest)
			_, err = p.dst.StatManifest(t.Context(), "r", reference.Ref{Digest: other.Descriptor.Digest}, nil)
			require.ErrorIs(t, err, registry.ErrManifestUnknown)
			require.Equal(t, []digest.Digest{ofImage.Descriptor.Digest}, referrersOf(t, p.dst, "r", a.Descriptor.Digest))
		})
	}
}

func referrersOf(t *testing.T, b registry.Backend, repo string, d digest.Digest) []digest.Digest {
	t.Helper()
	var all []digest.Digest
	for desc, err := range b.Referrers(t.Context(), repo, d, nil) {
		require.NoError(t, err)
		all = append(all, desc.Digest)
	}
	return all
}

// withoutReferrers is a registry without the referrers API, as they were before distribution-spec 1.1.
func withoutReferrers(t *testing.T) (*client.Client, registry.Backend) {
	t.Helper()
	s := registrytest.NewServer(t, nil)
	old := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/referrers/") {
			http.NotFound(w, r)
			return
		}
		s.Registry.ServeHTTP(&noSubject{w}, r)
	}))
	t.Cleanup(old.Close)
	return newClient(t, old.URL, nil), s.Store
}

// noSubject leaves out the header by which a registry says that it has the referrers API.
type noSubject struct{ http.ResponseWriter }

func (w *noSubject) WriteHeader(status int) {
	w.Header().Del("OCI-Subject")
	w.ResponseWriter.WriteHeader(status)
}

func (w *noSubject) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// referrersList returns the list of the referrers tag schema.
func referrersList(t *testing.T, all ...*registrytest.Content) *registrytest.Content {
	t.Helper()
	index := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex}
	for _, c := range all {
		index.Manifests = append(index.Manifests, c.Descriptor)
	}
	return sealed(t, index.MediaType, index)
}

// TestCopyReferrersTagSchema copies from and to registries without the referrers API.
func TestCopyReferrersTagSchema(t *testing.T) {
	image := registrytest.RandomImage(1, 1, 1000)
	d := image.Descriptor.Digest
	one, two := registrytest.Artifact("x/1", image.Descriptor, nil), registrytest.Artifact("x/2", image.Descriptor, nil)
	three := registrytest.Artifact("x/3", image.Descriptor, nil)
	opts := &replicate.Options{Referrers: true}

	// The source has a list, and two of the referrers.
	src, behind := withoutReferrers(t)
	for _, c := range []*registrytest.Content{image, one, two} {
		push(t, behind, "r", c, "v1")
	}
	push(t, behind, "r", image, "v1")
	list := referrersList(t, one, two)
	push(t, behind, "r", list, cosignTag(image, ""))

	// A destination with the API gets the list too, byte for byte.
	store := registrytest.NewStore(t)
	_, err := replicate.Copy(t.Context(), store, src, "r:v1", opts)
	require.NoError(t, err)
	require.Len(t, referrersOf(t, store, "r", d), 2)
	requireTag(t, store, "r", cosignTag(image, ""), list.Descriptor.Digest)

	// A destination without it gets a list from a source that has only the API.
	old, _ := withoutReferrers(t)
	push(t, store, "r", three)
	require.NoError(t, store.DeleteManifest(t.Context(), "r", reference.Ref{Tag: cosignTag(image, "")}, nil))
	_, err = replicate.Copy(t.Context(), old, store, "r:v1", opts)
	require.NoError(t, err)
	require.Len(t, referrersOf(t, old, "r", d), 3)

	// Lists of both sides are joined.
	joined, behindJoined := withoutReferrers(t)
	push(t, behindJoined, "r", three)
	push(t, behindJoined, "r", referrersList(t, three), cosignTag(image, ""))
	for range 2 { // the second time changes nothing
		_, err = replicate.Copy(t.Context(), joined, src, "r:v1", opts)
		require.NoError(t, err)
		require.Len(t, referrersOf(t, joined, "r", d), 3)
	}
	m, err := joined.GetManifest(t.Context(), "r", reference.Ref{Tag: cosignTag(image, "")})
	require.NoError(t, err)
	var index ocispec.Index
	require.NoError(t, json.Unmarshal(m.Content, &index))
	require.Len(t, index.Manifests, 3)
}

// TestCopyReferrersThatAreGone: a list may name what has been deleted.
func TestCopyReferrersThatAreGone(t *testing.T) {
	src, behind := withoutReferrers(t)
	image := registrytest.RandomImage(1, 1, 1000)
	one, two := registrytest.Artifact("x/1", image.Descriptor, nil), registrytest.Artifact("x/2", image.Descriptor, nil)
	push(t, behind, "r", image, "v1")
	push(t, behind, "r", one)
	push(t, behind, "r", two)
	push(t, behind, "r", referrersList(t, one, two), cosignTag(image, ""))
	require.NoError(t, behind.DeleteManifest(t.Context(), "r", reference.Ref{Digest: two.Descriptor.Digest}, nil))

	dst, _ := withoutReferrers(t)
	res, err := replicate.Copy(t.Context(), dst, src, "r:v1", &replicate.Options{Referrers: true})
	require.NoError(t, err)
	require.Equal(t, res.Progress.ManifestsTotal, res.Progress.Manifests)
	require.Equal(t, []digest.Digest{one.Descriptor.Digest}, referrersOf(t, dst, "r", image.Descriptor.Digest))
}

// TestCopyReferrerThatIsAnIndexOfItsSubject: such a manifest needs the image before it, and the tag
// is still set last.
func TestCopyReferrerThatIsAnIndexOfItsSubject(t *testing.T) {
	src, dst := registrytest.NewStore(t), registrytest.NewStore(t)
	image := registrytest.RandomImage(1, 1, 1000)
	push(t, src, "r", image, "v1")
	index := sealed(t, ocispec.MediaTypeImageIndex, ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex,
		Manifests: []ocispec.Descriptor{image.Descriptor}, Subject: &image.Descriptor,
	})
	push(t, src, "r", index)
	_, err := replicate.Copy(t.Context(), dst, src, "r:v1", &replicate.Options{Referrers: true})
	require.NoError(t, err)
	requireImage(t, dst, "r", index)
	requireTag(t, dst, "r", "v1", image.Descriptor.Digest)
}

package importer_test

import (
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/importer"
)

// fallback is the tag under which clients list the referrers of a manifest in a registry without the API.
func fallback(d digest.Digest) string { return strings.Replace(string(d), ":", "-", 1) }

func (d *destination) referrers(repo string, subject digest.Digest) []digest.Digest {
	var all []digest.Digest
	for desc, err := range d.store.Referrers(d.t.Context(), repo, subject, nil) {
		require.NoError(d.t, err)
		all = append(all, desc.Digest)
	}
	return all
}

// TestReferrers: those with a subject appear in the referrers API, whichever way they were pushed. One
// that the fallback tag lists without a subject is imported, and reported.
func TestReferrers(t *testing.T) {
	for _, taggedOnly := range []bool{false, true} {
		both(t, func(t *testing.T, dst *destination) {
			tr := newTree(t)
			image := tr.image("r", tr.layer("r", random(large)))
			tr.tag("r", "v1", image.Digest, start)
			signature := tr.referrer("r", image, "application/vnd.example.signature")
			untagged := tr.referrer("r", image, "application/vnd.example.sbom")
			ofReferrer := tr.referrer("r", untagged, "application/vnd.example.signature")
			stranger := tr.image("r")
			index := tr.index("r", signature, stranger)
			tr.tag("r", fallback(image.Digest), index.Digest, start)
			orphan := tr.referrer("r", ocispec.Descriptor{
				MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString("absent"), Size: 6,
			}, "application/vnd.example.sbom")

			rep := dst.run(tr, &importer.Options{TaggedOnly: taggedOnly})
			require.ElementsMatch(t, []digest.Digest{signature.Digest, untagged.Digest}, dst.referrers("r", image.Digest))
			require.Equal(t, []digest.Digest{ofReferrer.Digest}, dst.referrers("r", untagged.Digest))
			require.Equal(t, index.Digest, dst.tagged("r", fallback(image.Digest)))
			require.True(t, dst.has("r", stranger.Digest))
			require.Equal(t, !taggedOnly, dst.has("r", orphan.Digest))
			p := problem(t, rep)
			require.Equal(t, importer.ProblemSubject, p.Kind)
			require.Equal(t, stranger.Digest, p.Digest)
			require.Equal(t, fallback(image.Digest), p.Tag)
			require.Zero(t, rep.Damaged)
			if taggedOnly {
				require.EqualValues(t, 3, rep.Referrers)
			} else {
				require.EqualValues(t, 4, rep.Referrers)
			}
			require.Empty(t, dst.run(tr, &importer.Options{TaggedOnly: taggedOnly}).Problems)
		})
	}
}

// TestMediaTypeOfShape: a manifest that states no media type has the one of its shape, as the old registry
// serves it.
func TestMediaTypeOfShape(t *testing.T) {
	tr := newTree(t)
	m := tr.imageManifest("r")
	m.MediaType = ""
	image := tr.manifest("r", m)
	image.MediaType = ocispec.MediaTypeImageManifest
	tr.tag("r", "image", image.Digest, start)
	index := tr.manifest("r", []byte(`{"schemaVersion":2,"manifests":[{"mediaType":"`+image.MediaType+`","digest":"`+
		string(image.Digest)+`","size":1}]}`)) // with a wrong size, as old docker manifest lists have
	tr.tag("r", "index", index.Digest, start)
	dst := inMemory(t)
	require.Empty(t, dst.run(tr, nil).Problems)
	require.Equal(t, ocispec.MediaTypeImageManifest, dst.mediaType("r", "image"))
	require.Equal(t, ocispec.MediaTypeImageIndex, dst.mediaType("r", "index"))
}

// TestLinkToOtherAlgorithm: the old registry stores a blob that was pushed under a sha512 digest under its
// sha256 digest, with a link for each.
func TestLinkToOtherAlgorithm(t *testing.T) {
	both(t, func(t *testing.T, dst *destination) {
		tr := newTree(t)
		content := random(large)
		l := tr.layer("r", content)
		alias := digest.SHA512.FromBytes(content)
		tr.write(layerName("r", alias), string(l.Digest))
		l.Digest = alias
		tr.tag("r", "v1", tr.image("r", l).Digest, start)
		lie := digest.SHA512.FromString("other")
		tr.write(layerName("r", lie), string(tr.layer("r", content).Digest))
		l.Digest = lie
		tr.tag("r", "v2", tr.image("r", l).Digest, start)
		p := problem(t, dst.run(tr, &importer.Options{TaggedOnly: true, Verify: importer.VerifyNone}))
		require.Equal(t, importer.ProblemDigest, p.Kind)
		require.Equal(t, "v2", p.Tag)
		require.Equal(t, content, dst.content("r", alias))
	})
}

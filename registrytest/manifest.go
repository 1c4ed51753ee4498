package registrytest

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
)

// manifestKinds checks that each kind of manifest is stored byte for byte and served under its
// type.
func (s *suite) manifestKinds(t *testing.T) {
	b, w := s.new(t)
	for i, k := range kinds() {
		if s.Opaque && k.contentType == "" {
			continue
		}
		t.Run(strings.ReplaceAll(k.name, " ", "_"), func(t *testing.T) {
			push(t, w, "a/b", k.Content) // the content that it names
			res, err := w.PutManifest(t.Context(), "a/b", k.contentType, k.Manifest,
				&registry.PutOptions{Tags: []registry.TagPut{{Name: fmt.Sprint("t", i)}}})
			require.NoError(t, err)
			require.Equal(t, k.Descriptor, res.Descriptor)
			require.Equal(t, []string{fmt.Sprint("t", i)}, res.Tags)
			if !s.Opaque {
				require.Equal(t, k.subject, res.Subject)
			}
			requireManifest(t, b, "a/b", k.Content, fmt.Sprint("t", i))
		})
	}
}

func (s *suite) manifestUnknown(t *testing.T) {
	b, w := s.new(t)
	img := RandomImage(1, 1, 100)
	requireNoManifest(t, b, "a/b", byTag("latest"), byDigest(img.Descriptor.Digest))
	push(t, w, "a/b", img, "v1")
	requireNoManifest(t, b, "a/b", byTag("latest"), byTag("V1"), byTag("v"), byTag("v11"), byDigest(zeros),
		byDigest(digest.SHA512.FromBytes(img.Manifest)))
	requireNoManifest(t, b, "a", byTag("v1"), byDigest(img.Descriptor.Digest))
	requireNoManifest(t, b, "a/b", byDigest(img.descriptorOf(0)))
	requireNoBlob(t, b, "a/b", img.Descriptor.Digest)
}

// descriptorOf returns the digest of a blob of c.
func (c *Content) descriptorOf(blob int) digest.Digest { return digest.FromBytes(c.Blobs[blob]) }

func (s *suite) manifestSHA512(t *testing.T) {
	b, _ := s.new(t)
	img := RandomImage(1, 1, 100)
	push(t, b, "a/b", img, "one")
	requireNoManifest(t, b, "a/b", byDigest(digest.SHA512.FromBytes(img.Manifest)))
	require.NoError(t, put(t.Context(), b, "a/b", as512(img), registry.TagPut{Name: "two"},
		registry.TagPut{Name: "three"}))
	requireManifest(t, b, "a/b", as512(img), "two", "three")
	requireManifest(t, b, "a/b", img, "one")
	requireTags(t, b, "a/b", "one", "three", "two")
}

// manifestTags checks that a push sets no, one, or many tags.
func (s *suite) manifestTags(t *testing.T) {
	b, _ := s.new(t)
	img := RandomImage(1, 1, 100)
	push(t, b, "a/b", img)
	requireManifest(t, b, "a/b", img)
	requireTags(t, b, "a/b")
	var all []string
	opts := &registry.PutOptions{}
	for i := range 20 {
		all = append(all, fmt.Sprintf("t%02d", i))
		opts.Tags = append(opts.Tags, registry.TagPut{Name: all[i]})
	}
	res, err := b.PutManifest(t.Context(), "a/b", img.Descriptor.MediaType, img.Manifest, opts)
	require.NoError(t, err)
	require.Equal(t, img.Descriptor, res.Descriptor)
	require.ElementsMatch(t, all, res.Tags)
	requireManifest(t, b, "a/b", img, all...)
	requireTags(t, b, "a/b", all...)
	require.NoError(t, put(t.Context(), b, "a/b", img, registry.TagPut{Name: "t99"}))
	requireTags(t, b, "a/b", append(all, "t99")...)
}

// manifestAgain checks that a manifest can be pushed again, also concurrently, each time with other
// tags.
func (s *suite) manifestAgain(t *testing.T) {
	b, _ := s.new(t)
	img := RandomImage(1, 2, 100)
	var all []string
	for i := range s.Writers {
		all = append(all, fmt.Sprintf("t%03d", i))
	}
	requireAll(t, race(s.Writers, func(i int) error { return img.Push(t.Context(), b, "a/b", all[i]) }))
	requireManifest(t, b, "a/b", img, all...)
	requireTags(t, b, "a/b", all...)
	push(t, b, "a/b", img)
	requireTags(t, b, "a/b", all...)
	push(t, b, "c/d", img, "t")
	requireTags(t, b, "c/d", "t")
}

// requireMissing requires that err names each of the missing digests and no other content of c.
func requireMissing(t *testing.T, err error, c *Content, missing ...digest.Digest) {
	t.Helper()
	requireError(t, err, registry.ErrManifestBlobUnknown)
	var e *registry.Error
	require.True(t, errors.As(err, &e))
	detail, jerr := json.Marshal(e.Detail())
	require.NoError(t, jerr)
	want := map[digest.Digest]bool{}
	for _, d := range missing {
		want[d] = true
	}
	for i := range c.Blobs {
		d := c.descriptorOf(i)
		require.Equal(t, want[d], strings.Contains(string(detail), string(d)), "%s in %s", d, detail)
	}
	for _, child := range c.Children {
		d := child.Descriptor.Digest
		require.Equal(t, want[d], strings.Contains(string(detail), string(d)), "%s in %s", d, detail)
	}
}

// manifestMissing checks that a manifest is rejected until the repository has all content that it
// names, and that a rejected manifest is not visible.
func (s *suite) manifestMissing(t *testing.T) {
	if s.Opaque {
		t.Skip("manifests are not looked into")
	}
	b, _ := s.new(t)
	tag := registry.TagPut{Name: "v1"}
	img := RandomImage(1, 2, 1000)
	index := Index(img, RandomImage(2, 1, 10))
	if s.Sparse {
		require.NoError(t, put(t.Context(), b, "a/b", img, tag))
		requireManifest(t, b, "a/b", img, "v1")
		require.NoError(t, put(t.Context(), b, "a/b", index))
		requireManifest(t, b, "a/b", index)
		return
	}
	push(t, b, "other", img) // content of another repository does not count
	for i := range img.Blobs {
		var missing []digest.Digest
		for j := i; j < len(img.Blobs); j++ {
			missing = append(missing, img.descriptorOf(j))
		}
		requireMissing(t, put(t.Context(), b, "a/b", img, tag), img, missing...)
		requireNoManifest(t, b, "a/b", byTag("v1"), byDigest(img.Descriptor.Digest))
		s.pushBlob(t, b, "a/b", img.Blobs[i])
	}
	requireMissing(t, put(t.Context(), b, "a/b", index, tag), index, img.Descriptor.Digest,
		index.Children[1].Descriptor.Digest)
	s.pushBlob(t, b, "a/b", img.Manifest)
	requireMissing(t, put(t.Context(), b, "a/b", index, tag), index, img.Descriptor.Digest,
		index.Children[1].Descriptor.Digest)
	requireNoManifest(t, b, "a/b", byTag("v1"), byDigest(index.Descriptor.Digest))
	_, err := collect(b.Tags(t.Context(), "a/b", nil), -1)
	requireError(t, err, registry.ErrNameUnknown, "the repository is empty")
	requireRepositories(t, b, "other")
	push(t, b, "a/b", index, "v1")
	requireManifest(t, b, "a/b", index, "v1")
}

// manifestOptionalMissing checks that nondistributable layers and the subject may be missing.
func (s *suite) manifestOptionalMissing(t *testing.T) {
	b, _ := s.new(t)
	subject := descriptor(ocispec.MediaTypeImageManifest, []byte("not there"))
	art := Artifact("application/x.test", subject, nil)
	push(t, b, "a/b", art, "art")
	requireManifest(t, b, "a/b", art, "art")
	for i, mediaType := range []string{
		"application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
		"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
	} {
		c := custom(`{"schemaVersion":2,"config":{"mediaType":"x/y",%s},"layers":[{"mediaType":"`+mediaType+
			`",%s,"urls":["https://example.com/"]}]}`, "config", "layer")
		s.pushBlob(t, b, "a/b", c.Blobs[0])
		require.NoError(t, put(t.Context(), b, "a/b", c, registry.TagPut{Name: fmt.Sprint("t", i)}))
		requireManifest(t, b, "a/b", c, fmt.Sprint("t", i))
	}
}

// manifestWrongSize checks that a manifest with a wrong size of existing content is rejected.
func (s *suite) manifestWrongSize(t *testing.T) {
	if s.Opaque {
		t.Skip("manifests are not looked into")
	}
	b, _ := s.new(t)
	for _, content := range [][]byte{[]byte("12345"), RandomBytes(1, 100_000)} {
		desc := s.pushBlob(t, b, "a/b", content)
		for _, off := range []int64{-1, 1, -desc.Size} {
			c := custom(fmt.Sprintf(`{"schemaVersion":2,"config":{"mediaType":"x/y","digest":"%s","size":%d},"layers":[]}`,
				desc.Digest, desc.Size+off))
			requireError(t, put(t.Context(), b, "a/b", c, registry.TagPut{Name: "v1"}), registry.ErrManifestInvalid)
			requireNoManifest(t, b, "a/b", byTag("v1"), byDigest(c.Descriptor.Digest))
		}
	}
	child := tiny(1)
	push(t, b, "a/b", child)
	child.Descriptor.Size++
	index := Index(child)
	requireError(t, put(t.Context(), b, "a/b", index), registry.ErrManifestInvalid)
	requireNoManifest(t, b, "a/b", byDigest(index.Descriptor.Digest))
}

// manifestWrongSizeAccepted checks that with AcceptWrongSizes an index may state wrong sizes of its
// children, and that no manifest may state wrong sizes of blobs.
func (s *suite) manifestWrongSizeAccepted(t *testing.T) {
	if s.Opaque || s.Remote {
		t.Skip("manifests are not looked into, or not here")
	}
	b, _ := s.new(t)
	accept := func(c *Content, tags ...registry.TagPut) error {
		_, err := b.PutManifest(t.Context(), "a/b", c.Descriptor.MediaType, c.Manifest,
			&registry.PutOptions{AcceptWrongSizes: true, Tags: tags})
		return err
	}
	one, two := RandomImage(1, 1, 100), RandomImage(10, 1, 100)
	push(t, b, "a/b", one)
	push(t, b, "a/b", two)
	lie := *one
	lie.Descriptor.Size += 7
	index := Index(&lie, two)
	requireError(t, put(t.Context(), b, "a/b", index, registry.TagPut{Name: "v1"}), registry.ErrManifestInvalid)
	require.NoError(t, accept(index, registry.TagPut{Name: "v1"}))
	requireManifest(t, b, "a/b", index, "v1")
	require.NoError(t, put(t.Context(), b, "a/b", index, registry.TagPut{Name: "v2"}), "it is in the repository by now")
	requireManifest(t, b, "a/b", index, "v1", "v2")

	blob := RandomBytes(1, 100)
	desc := s.pushBlob(t, b, "a/b", blob)
	image := custom(fmt.Sprintf(`{"schemaVersion":2,"config":{"mediaType":"x/y","digest":"%s","size":%d},"layers":[]}`,
		desc.Digest, desc.Size+1))
	requireError(t, accept(image), registry.ErrManifestInvalid)
	requireNoManifest(t, b, "a/b", byDigest(image.Descriptor.Digest))
	if !s.Sparse {
		missing := Index(RandomImage(20, 1, 100))
		requireError(t, accept(missing), registry.ErrManifestBlobUnknown)
	}
}

func (s *suite) manifestWrongDigest(t *testing.T) {
	b, _ := s.new(t)
	c := tiny(1)
	for _, d := range []digest.Digest{zeros, digest.SHA512.FromString("another"), tiny(2).Descriptor.Digest} {
		_, err := b.PutManifest(t.Context(), "a/b", c.Descriptor.MediaType, c.Manifest,
			&registry.PutOptions{Digest: d, Tags: []registry.TagPut{{Name: "v1"}}})
		requireError(t, err, registry.ErrDigestInvalid)
		requireNoManifest(t, b, "a/b", byTag("v1"), byDigest(d), byDigest(c.Descriptor.Digest))
	}
	requireRepositories(t, b)
}

// manifestInvalid checks that malformed manifests are rejected.
func (s *suite) manifestInvalid(t *testing.T) {
	if s.Opaque {
		t.Skip("manifests are not looked into")
	}
	b, _ := s.new(t)
	const image, index = ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageIndex
	desc := func(d, size string) string {
		return `{"schemaVersion":2,"config":{"mediaType":"x/y","digest":` + d + `,"size":` + size + `},"layers":[]}`
	}
	d := `"` + string(s.pushBlob(t, b, "a/b", []byte("12")).Digest) + `"`
	with := func(members string) string { return desc(d, `2,`+members) } // an image whose config has further members
	for name, m := range map[string][2]string{
		"empty":                {image, ""},
		"no JSON":              {image, "manifest"},
		"cut off":              {image, desc(d, "2")[:50]},
		"more behind it":       {image, desc(d, "2") + "{}"},
		"null":                 {image, "null"},
		"array":                {image, "[]"},
		"empty object":         {image, "{}"},
		"layers and manifests": {image, `{"schemaVersion":2,"layers":[],"manifests":[]}`},
		"index as image":       {image, `{"schemaVersion":2,"manifests":[]}`},
		"image as index":       {index, desc(d, "2")},
		"another type":         {image, `{"schemaVersion":2,"mediaType":"` + index + `","manifests":[]}`},
		"no type at all":       {"", `{"schemaVersion":2,"manifests":[]}`},
		"schema 1": {"application/vnd.docker.distribution.manifest.v1+json",
			`{"schemaVersion":1,"fsLayers":[]}`},
		"digest missing":           {image, `{"schemaVersion":2,"config":{"mediaType":"x/y","size":2},"layers":[]}`},
		"digest of no algorithm":   {image, desc(`"0000"`, "2")},
		"digest too short":         {image, desc(`"sha256:00"`, "2")},
		"digest with a path in it": {image, desc(`"sha256:../../../../etc/passwd"`, "2")},
		"digest unsupported":       {image, desc(`"md5:00000000000000000000000000000000"`, "2")},
		"size negative":            {image, desc(d, "-2")},
		"size no number":           {image, desc(d, `"2"`)},
		"size too large":           {image, desc(d, "99999999999999999999")},

		// two clients read these differently, or one cannot read them
		"digest twice":              {image, with(`"digest":` + d)},
		"digest in another case":    {image, with(`"Digest":` + d)},
		"size with a long s":        {image, with(`"ſize":3`)},
		"platform key twice":        {image, with(`"platform":{"os":"linux","os":"windows"}`)},
		"platform key in two cases": {image, with(`"platform":{"architecture":"amd64","os":"linux","Architecture":"arm64"}`)},
		"platform with a long s":    {image, with(`"platform":{"os":"linux","oſ":"windows"}`)},
		"platform no object":        {image, with(`"platform":"linux"`)},
		"annotation twice":          {image, with(`"annotations":{"a":"b","a":"c"}`)},
		"annotation no string":      {image, with(`"annotations":{"a":1}`)},
		"URL no string":             {image, with(`"urls":[{}]`)},
		"data no Base 64":           {image, with(`"data":"***"`)},
		"data of other content":     {image, with(`"data":"MTM="`)},
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			_, err := b.PutManifest(t.Context(), "a/b", m[0], []byte(m[1]),
				&registry.PutOptions{Tags: []registry.TagPut{{Name: "v1"}}})
			requireError(t, err, registry.ErrManifestInvalid)
			requireNoManifest(t, b, "a/b", byTag("v1"), byDigest(digest.FromString(m[1])))
		})
	}
	requireRepositories(t, b)
}

package manifest_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/internal/manifest"
	"github.com/registrykit/registry/reference"
)

// FuzzParse checks that nothing makes Parse panic, that errors are fit to be sent, and that what
// Parse says of a manifest that it accepts is what every client sees: one that decodes it by
// encoding/json and one that is strict.
func FuzzParse(f *testing.F) {
	for _, test := range accepted {
		f.Add(test.contentType, []byte(test.content))
		f.Add(test.want.MediaType, []byte(test.content))
	}
	for _, test := range refused {
		if len(test.content)+len(test.contentType) < 4096 {
			f.Add(test.contentType, []byte(test.content))
			f.Add(typeImage, []byte(test.content))
		}
	}
	for _, test := range details {
		f.Add(typeIndex, []byte(doc(`"manifests":[`+desc(typeImage, d2, 1, test.member)+`]`)))
	}
	for _, test := range realManifests {
		f.Add(test.mediaType, []byte(test.content))
	}
	f.Fuzz(func(t *testing.T, contentType string, content []byte) {
		facts, inspected := manifest.Inspect(contentType, content)
		if inspected == nil {
			require.NotEmpty(t, facts.MediaType)
			requireSameDecoded(t, content, anyManifest{})
		}
		artifactType := manifest.ArtifactType(content) // of any content
		m, err := manifest.Parse(contentType, content)
		if err == nil {
			require.Equal(t, m.ArtifactType, artifactType)
			require.NoError(t, inspected, "it asks for less than Parse")
			require.Equal(t, m.Subject, facts.Subject)
		} else {
			require.Nil(t, m)
			checkError(t, err, "")
			return
		}
		require.Regexp(t, `^[a-zA-Z0-9][a-zA-Z0-9!#$&^_.+-]*/([a-zA-Z0-9!#$&^_.+-]*\+)?(?i:json)$`, m.MediaType)
		require.LessOrEqual(t, len(m.MediaType), 255)
		require.LessOrEqual(t, len(m.References), manifest.MaxReferences)
		for _, ref := range m.References {
			require.NoError(t, reference.CheckDigest(string(ref.Digest)))
			require.GreaterOrEqual(t, ref.Size, int64(0))
			require.NotEmpty(t, ref.MediaType)
			require.NotEqual(t, "unknown", ref.Kind.String())
		}
		compareWithJSON(t, m, content)
		requireSameAsJSON(t, m, content)
		stored, err := manifest.ParseStored(m.MediaType, content)
		require.NoError(t, err)
		require.Equal(t, m, stored)
	})
}

func compareWithJSON(t *testing.T, m *manifest.Manifest, content []byte) {
	type descriptor struct {
		Digest digest.Digest `json:"digest"`
		Size   int64         `json:"size"`
	}
	var seen struct {
		MediaType    string            `json:"mediaType"`
		ArtifactType string            `json:"artifactType"`
		Config       *descriptor       `json:"config"`
		Layers       []descriptor      `json:"layers"`
		Manifests    []descriptor      `json:"manifests"`
		Blobs        []descriptor      `json:"blobs"`
		Subject      *descriptor       `json:"subject"`
		Annotations  map[string]string `json:"annotations"`
	}
	require.NoError(t, json.Unmarshal(content, &seen))
	if seen.MediaType != "" {
		require.Equal(t, seen.MediaType, m.MediaType)
	}
	if seen.ArtifactType != "" {
		require.Equal(t, seen.ArtifactType, m.ArtifactType)
	}
	if len(seen.Annotations) > 0 || len(m.Annotations) > 0 {
		require.Equal(t, seen.Annotations, m.Annotations)
	}
	require.Equal(t, seen.Subject == nil, m.Subject == nil)
	if m.Subject != nil {
		require.Equal(t, *seen.Subject, descriptor{m.Subject.Digest, m.Subject.Size})
	}
	var want, got []descriptor
	if seen.Config != nil {
		want = append(want, *seen.Config)
	}
	for _, d := range slices.Concat(seen.Layers, seen.Manifests, seen.Blobs) {
		if !slices.Contains(want, d) {
			want = append(want, d)
		}
	}
	for _, ref := range m.References {
		got = append(got, descriptor{ref.Digest, ref.Size})
	}
	require.Equal(t, want, got)
}

// BenchmarkParseIndex parses an index of ten platforms with annotations.
func BenchmarkParseIndex(b *testing.B) {
	var children []string
	for i := range 10 {
		children = append(children, desc(typeImage, digest.FromString(fmt.Sprint("child", i)), 1234,
			`"platform":{"architecture":"amd64","os":"linux"}`,
			`"annotations":{"vnd.docker.reference.digest":"`+string(d1)+`","vnd.docker.reference.type":"attestation-manifest"}`))
	}
	content := []byte(doc(`"mediaType":"`+typeIndex+`"`, `"manifests":[`+strings.Join(children, ",")+`]`))
	b.SetBytes(int64(len(content)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := manifest.Parse(typeIndex, content); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkParse parses an image of ten layers.
func BenchmarkParse(b *testing.B) {
	var layers []string
	for i := range 10 {
		layers = append(layers, desc(typeLayer, digest.FromString(fmt.Sprint("layer", i)), 12345678))
	}
	content := []byte(doc(`"mediaType":"`+typeImage+`"`, `"config":`+desc(typeConfig, d1, 1),
		`"layers":[`+strings.Join(layers, ",")+`]`,
		`"annotations":{"`+ocispec.AnnotationCreated+`":"2024-01-01T00:00:00Z"}`))
	b.SetBytes(int64(len(content)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := manifest.Parse(typeImage, content); err != nil {
			b.Fatal(err)
		}
	}
}

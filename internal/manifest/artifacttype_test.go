package manifest_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/internal/manifest"
)

// TestArtifactTypeIsThatOfParse checks the short way with all manifests of the other tests.
func TestArtifactTypeIsThatOfParse(t *testing.T) {
	checked := 0
	for _, test := range accepted {
		require.Equal(t, test.want.ArtifactType, manifest.ArtifactType([]byte(test.content)), test.content)
		checked++
	}
	for _, test := range realManifests {
		m, err := manifest.Parse(test.mediaType, []byte(test.content))
		require.NoError(t, err)
		require.Equal(t, m.ArtifactType, manifest.ArtifactType([]byte(test.content)))
		checked++
	}
	require.Greater(t, checked, 20)
	for content, want := range map[string]string{
		"{\"\\u0063onfig\":{\"mediaType\":\"a/b\"}}":                                          "a/b",
		"{\"artifact\\u0054ype\":\"a\\/b\"}":                                                  "a/b",
		`{"config":{"mediaType":"a/b"},"artifactType":""}`:                                    "a/b",
		`{"config":{"mediaType":"a/b"},"artifactType":null}`:                                  "a/b",
		`{"config":{"mediaType":"a/b"},"artifactType":"c/d"}`:                                 "c/d",
		`{"config":null,"artifactType":"c/d"}`:                                                "c/d",
		`{"x":{"config":{"mediaType":"a/b"}}}`:                                                "",
		`{"x":[{"artifactType":"a/b"},[],{},1e3,true]}`:                                       "",
		`{"x":"\"config\"","config":{"mediaType":"a/b"}}`:                                     "a/b",
		` { "n" : -1.5 , "config" : { "digest" : "x" , "mediaType" : "a/b" , "size" : 1 } } `: "a/b",
	} {
		require.Equal(t, want, manifest.ArtifactType([]byte(content)), content)
	}
	whole := `{"x":[{"y":"\\"}],"config":{"size":1,"mediaType":"a\/b"},"artifactType":"c"}`
	for n := range whole { // any start of it, and any piece of it, ends
		_ = manifest.ArtifactType([]byte(whole[:n]))
		_ = manifest.ArtifactType([]byte(whole[:n] + "}" + whole[n:]))
	}
}

func BenchmarkArtifactType(b *testing.B) {
	layer := `{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"sha256:` + strings.Repeat("a", 64) +
		`","size":123456}`
	image := `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":` + layer +
		`,"layers":[` + layer + strings.Repeat(","+layer, 9) + `]`
	for name, content := range map[string]string{
		"image": image + "}", "artifact": image + `,"artifactType":"application/x"}`,
		"index": `{"schemaVersion":2,"manifests":[` + layer + strings.Repeat(","+layer, 9) + `]}`,
	} {
		b.Run(name, func(b *testing.B) {
			content := []byte(content)
			b.ReportAllocs()
			for b.Loop() {
				_ = manifest.ArtifactType(content)
			}
		})
	}
}

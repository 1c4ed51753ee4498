package manifest_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/internal/manifest"
	"github.com/registrykit/registry/reference"
)

const (
	typeImage  = ocispec.MediaTypeImageManifest
	typeIndex  = ocispec.MediaTypeImageIndex
	typeLayer  = ocispec.MediaTypeImageLayerGzip
	typeConfig = ocispec.MediaTypeImageConfig
	typeCustom = "application/vnd.acme.thing.v1+json"
	typeOther  = "application/vnd.example.oci.conformance.v1"
)

var (
	d1 = digest.FromString("1")
	d2 = digest.FromString("2")
	d3 = digest.SHA512.FromString("3")
)

// desc returns the JSON of a descriptor; more is appended to its members.
func desc(mediaType string, d digest.Digest, size int64, more ...string) string {
	members := append([]string{fmt.Sprintf(`"mediaType":%q,"digest":%q,"size":%d`, mediaType, d, size)}, more...)
	return "{" + strings.Join(members, ",") + "}"
}

// doc returns the JSON of a manifest with schemaVersion 2 and members.
func doc(members ...string) string {
	return "{" + strings.Join(append([]string{`"schemaVersion":2`}, members...), ",") + "}"
}

var (
	config = `"config":` + desc(typeConfig, d1, 1)
	layers = `"layers":[` + desc(typeLayer, d2, 2) + `,` + desc(ocispec.MediaTypeImageLayerZstd, d3, 3) + `]`

	configRef = manifest.Reference{Kind: manifest.KindConfig, MediaType: typeConfig, Digest: d1, Size: 1}
	layerRefs = []manifest.Reference{
		{Kind: manifest.KindLayer, MediaType: typeLayer, Digest: d2, Size: 2},
		{Kind: manifest.KindLayer, MediaType: ocispec.MediaTypeImageLayerZstd, Digest: d3, Size: 3},
	}
	imageRefs = append([]manifest.Reference{configRef}, layerRefs...)
)

// accepted are manifests by what clients push them for. The Content-Type is that of want unless
// stated.
var accepted = []struct {
	name        string
	contentType string
	content     string
	want        manifest.Manifest
}{
	{name: "OCI image", content: doc(`"mediaType":"`+typeImage+`"`, config, layers),
		want: manifest.Manifest{MediaType: typeImage, References: imageRefs, ArtifactType: typeConfig}},
	{name: "OCI image without mediaType", content: doc(config, layers),
		want: manifest.Manifest{MediaType: typeImage, References: imageRefs, ArtifactType: typeConfig}},
	{name: "members in any order, config last", content: `{` + layers + `,"schemaVersion":2,` + config + `}`,
		want: manifest.Manifest{MediaType: typeImage, References: imageRefs, ArtifactType: typeConfig}},
	{name: "white space", content: " \r\n\t" + doc(config, layers) + "\n  ",
		want: manifest.Manifest{MediaType: typeImage, References: imageRefs, ArtifactType: typeConfig}},
	{name: "escaped keys", content: strings.Replace(doc(config, layers), `"layers"`, `"\u006cayers"`, 1),
		want: manifest.Manifest{MediaType: typeImage, References: imageRefs, ArtifactType: typeConfig}},
	{name: "no layers", content: doc(config, `"layers":[]`),
		want: manifest.Manifest{MediaType: typeImage, References: imageRefs[:1], ArtifactType: typeConfig}},
	{name: "null layers, a nil slice of Go", content: doc(config, `"layers":null`, `"subject":null`,
		`"annotations":null`, `"artifactType":null`, `"mediaType":null`),
		want: manifest.Manifest{MediaType: typeImage, References: imageRefs[:1], ArtifactType: typeConfig}},
	{name: "layers absent", content: doc(config),
		want: manifest.Manifest{MediaType: typeImage, References: imageRefs[:1], ArtifactType: typeConfig}},
	{name: "custom fields", content: doc(config, layers, `"org.example":"x"`,
		`"x":{"Layers":[{"layers":null,"layers":1}]}`),
		want: manifest.Manifest{MediaType: typeImage, References: imageRefs, ArtifactType: typeConfig}},
	{name: "data, platform, urls, custom fields in descriptors",
		content: doc(`"config":`+desc(typeConfig, d1, 1, `"data":"MQ=="`, `"platform":{"os":"linux"}`,
			`"annotations":{"a":"b"}`, `"artifactType":"a/b"`, `"x":[{}]`, `"urls":["http://127.0.0.1/"]`), layers),
		want: manifest.Manifest{MediaType: typeImage, References: imageRefs, ArtifactType: typeConfig}},
	{name: "Docker image", content: doc(`"mediaType":"`+manifest.MediaTypeDockerManifest+`"`,
		`"config":`+desc("application/vnd.docker.container.image.v1+json", d1, 1),
		`"layers":[`+desc("application/vnd.docker.image.rootfs.diff.tar.gzip", d2, 2)+`]`),
		want: manifest.Manifest{MediaType: manifest.MediaTypeDockerManifest,
			ArtifactType: "application/vnd.docker.container.image.v1+json",
			References: []manifest.Reference{
				{Kind: manifest.KindConfig, MediaType: "application/vnd.docker.container.image.v1+json", Digest: d1, Size: 1},
				{Kind: manifest.KindLayer, MediaType: "application/vnd.docker.image.rootfs.diff.tar.gzip", Digest: d2, Size: 2}}}},
	{name: "non-distributable layers", content: doc(config, `"layers":[`+
		desc("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", d2, 2, `"urls":["https://example.com/"]`)+`,`+
		desc("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", d3, 3)+`]`),
		want: manifest.Manifest{MediaType: typeImage, ArtifactType: typeConfig, References: []manifest.Reference{configRef,
			{Kind: manifest.KindLayer, NonDistributable: true,
				MediaType: "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", Digest: d2, Size: 2},
			{Kind: manifest.KindLayer, NonDistributable: true,
				MediaType: "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", Digest: d3, Size: 3}}}},
	{name: "a config is always to be there",
		content: doc(`"config":` + desc("application/vnd.oci.image.layer.nondistributable.v1.tar", d1, 1)),
		want: manifest.Manifest{MediaType: typeImage,
			ArtifactType: "application/vnd.oci.image.layer.nondistributable.v1.tar", References: []manifest.Reference{
				{Kind: manifest.KindConfig, MediaType: "application/vnd.oci.image.layer.nondistributable.v1.tar", Digest: d1,
					Size: 1}}}},
	{name: "repeated layers", content: doc(`"config":`+desc(ocispec.MediaTypeEmptyJSON, d1, 2),
		`"layers":[`+desc(ocispec.MediaTypeEmptyJSON, d1, 2)+`,`+
			desc("application/vnd.docker.image.rootfs.foreign.diff.tar", d2, 0)+`,`+desc(typeLayer, d2, 0)+`]`),
		want: manifest.Manifest{MediaType: typeImage, ArtifactType: ocispec.MediaTypeEmptyJSON,
			References: []manifest.Reference{
				{Kind: manifest.KindConfig, MediaType: ocispec.MediaTypeEmptyJSON, Digest: d1, Size: 2},
				{Kind: manifest.KindLayer, MediaType: "application/vnd.docker.image.rootfs.foreign.diff.tar", Digest: d2}}}},
	{name: "Helm chart", content: doc(`"config":`+desc("application/vnd.cncf.helm.config.v1+json", d1, 1),
		`"layers":[`+desc("application/vnd.cncf.helm.chart.content.v1.tar+gzip", d2, 2)+`]`,
		`"annotations":{"a":"b","B":"\u00e9"}`),
		want: manifest.Manifest{MediaType: typeImage, ArtifactType: "application/vnd.cncf.helm.config.v1+json",
			Annotations: map[string]string{"a": "b", "B": "é"},
			References: []manifest.Reference{
				{Kind: manifest.KindConfig, MediaType: "application/vnd.cncf.helm.config.v1+json", Digest: d1, Size: 1},
				{Kind: manifest.KindLayer, MediaType: "application/vnd.cncf.helm.chart.content.v1.tar+gzip", Digest: d2,
					Size: 2}}}},
	{name: "descriptor types that are no media types", content: doc(`"config":`+desc("sbom", d1, 1),
		`"layers":[`+desc("text/plain; charset=utf-8", d2, 2)+`]`),
		want: manifest.Manifest{MediaType: typeImage, ArtifactType: "sbom", References: []manifest.Reference{
			{Kind: manifest.KindConfig, MediaType: "sbom", Digest: d1, Size: 1},
			{Kind: manifest.KindLayer, MediaType: "text/plain; charset=utf-8", Digest: d2, Size: 2}}}},
	{name: "artifact with subject", content: doc(config, layers, `"artifactType":"`+typeOther+`"`,
		`"subject":`+desc(typeIndex, d3, 123, `"annotations":{}`), `"annotations":{}`),
		want: manifest.Manifest{MediaType: typeImage, References: imageRefs, ArtifactType: typeOther,
			Subject: &ocispec.Descriptor{MediaType: typeIndex, Digest: d3, Size: 123}}},
	{name: "OCI index, nested", content: doc(`"mediaType":"`+typeIndex+`"`,
		`"manifests":[`+desc(typeImage, d1, 1, `"platform":{"architecture":"amd64","os":"linux"}`)+`,`+desc(typeIndex, d2,
			2)+`]`),
		want: manifest.Manifest{MediaType: typeIndex, References: []manifest.Reference{
			{Kind: manifest.KindManifest, MediaType: typeImage, Digest: d1, Size: 1},
			{Kind: manifest.KindManifest, MediaType: typeIndex, Digest: d2, Size: 2}}}},
	{name: "cache of BuildKit", content: doc(`"manifests":[` + desc(typeLayer, d1, 1) + `,` +
		desc("application/vnd.buildkit.cacheconfig.v0", d2, 2) + `]`),
		want: manifest.Manifest{MediaType: typeIndex, References: []manifest.Reference{
			{Kind: manifest.KindAny, MediaType: typeLayer, Digest: d1, Size: 1},
			{Kind: manifest.KindAny, MediaType: "application/vnd.buildkit.cacheconfig.v0", Digest: d2, Size: 2}}}},
	{name: "a child that is surely a manifest, once",
		content: doc(`"manifests":[` + desc(typeCustom, d1, 1) + `,` + desc(typeImage, d1, 1) + `,` +
			desc(typeCustom, d1, 1) + `]`),
		want: manifest.Manifest{MediaType: typeIndex,
			References: []manifest.Reference{{Kind: manifest.KindManifest, MediaType: typeImage, Digest: d1, Size: 1}}}},
	{name: "index without children, with subject", content: doc(`"manifests":[]`, `"artifactType":"`+typeOther+`"`,
		`"subject":`+desc(typeImage, d3, 123), `"annotations":{"a":"b"}`),
		want: manifest.Manifest{MediaType: typeIndex, ArtifactType: typeOther, Annotations: map[string]string{"a": "b"},
			Subject: &ocispec.Descriptor{MediaType: typeImage, Digest: d3, Size: 123}}},
	{name: "null children", content: doc(`"manifests":null`), want: manifest.Manifest{MediaType: typeIndex}},
	{name: "Docker list", content: doc(`"mediaType":"`+manifest.MediaTypeDockerManifestList+`"`,
		`"manifests":[`+desc(manifest.MediaTypeDockerManifest, d1, 1)+`]`),
		want: manifest.Manifest{MediaType: manifest.MediaTypeDockerManifestList, References: []manifest.Reference{
			{Kind: manifest.KindManifest, MediaType: manifest.MediaTypeDockerManifest, Digest: d1, Size: 1}}}},
	{name: "OCI artifact manifest", content: `{"mediaType":"` + manifest.MediaTypeArtifactManifest +
		`","artifactType":"` + typeOther + `","blobs":[` + desc(typeOther, d1, 1) + `],"subject":` +
		desc(typeImage, d2, 2) + `}`,
		want: manifest.Manifest{MediaType: manifest.MediaTypeArtifactManifest, ArtifactType: typeOther,
			References: []manifest.Reference{{Kind: manifest.KindBlob, MediaType: typeOther, Digest: d1, Size: 1}},
			Subject:    &ocispec.Descriptor{MediaType: typeImage, Digest: d2, Size: 2}}},
	{name: "OCI artifact manifest without blobs", content: `{"artifactType":"` + typeOther + `"}`,
		want: manifest.Manifest{MediaType: manifest.MediaTypeArtifactManifest, ArtifactType: typeOther}},
	{name: "other type, shape of an image", content: `{"schemaVersion":"v3",` + config + `}`,
		want: manifest.Manifest{MediaType: typeCustom, ArtifactType: typeConfig, References: imageRefs[:1]}},
	{name: "other type, layers only", content: `{` + layers + `,"mediaType":"` + typeCustom + `"}`,
		want: manifest.Manifest{MediaType: typeCustom, References: layerRefs}},
	{name: "other type, shape of an index", content: `{"manifests":[` + desc(typeImage, d1, 1) + `]}`,
		want: manifest.Manifest{MediaType: typeCustom,
			References: []manifest.Reference{{Kind: manifest.KindManifest, MediaType: typeImage, Digest: d1, Size: 1}}}},
	{name: "plain JSON type", content: doc(config), want: manifest.Manifest{MediaType: "application/json",
		ArtifactType: typeConfig, References: imageRefs[:1]}},
	{name: "Content-Type with parameters and in another case",
		contentType: " Application/VND.oci.image.manifest.v1+JSON\t; charset=utf-8; x=;", content: doc(config),
		want: manifest.Manifest{MediaType: typeImage, ArtifactType: typeConfig, References: imageRefs[:1]}},
	{name: "mediaType in another case than the Content-Type", contentType: "application/vnd.ACME.thing.v1+JSON",
		content: doc(config, `"mediaType":"`+typeCustom+`"`),
		want:    manifest.Manifest{MediaType: typeCustom, ArtifactType: typeConfig, References: imageRefs[:1]}},
	{name: "no Content-Type", contentType: "none", content: doc(config, `"mediaType":"`+typeImage+`"`),
		want: manifest.Manifest{MediaType: typeImage, ArtifactType: typeConfig, References: imageRefs[:1]}},
}

func TestParse(t *testing.T) {
	for _, test := range accepted {
		t.Run(test.name, func(t *testing.T) {
			contentType := test.contentType
			switch contentType {
			case "":
				contentType = test.want.MediaType
			case "none":
				contentType = ""
			}
			m, err := manifest.Parse(contentType, []byte(test.content))
			require.NoError(t, err)
			if len(m.References) == 0 {
				m.References = nil
			}
			require.Equal(t, &test.want, m)
		})
	}
}

// TestParseStructs parses what the Go types of image-spec write, with all fields set.
func TestParseStructs(t *testing.T) {
	full := func(mediaType, data string) ocispec.Descriptor {
		return ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromString(data), Size: int64(len(data)),
			Data:        []byte(data),
			URLs:        []string{"https://example.com/"},
			Annotations: map[string]string{"a": "b"}, ArtifactType: typeOther,
			Platform: &ocispec.Platform{OS: "linux", Architecture: "arm64", Variant: "v8", OSFeatures: []string{"x"},
				OSVersion: "1"}}
	}
	subject := full(typeImage, "subject")
	for _, v := range []any{
		ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: typeImage, ArtifactType: typeOther,
			Subject: &subject,
			Config:  ocispec.DescriptorEmptyJSON, Layers: []ocispec.Descriptor{full(typeLayer, "2")},
			Annotations: map[string]string{"a": "b"}},
		ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: typeImage, Config: full(typeConfig, "1")},
		ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: typeIndex, ArtifactType: typeOther,
			Subject:     &subject,
			Manifests:   []ocispec.Descriptor{full(typeImage, "1"), full(typeLayer, "2")},
			Annotations: map[string]string{"a": "b"}},
		ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: typeIndex},
	} {
		content, err := json.Marshal(v)
		require.NoError(t, err)
		_, err = manifest.Parse("", content)
		require.NoError(t, err, "%s", content)
	}
}

func TestDescriptor(t *testing.T) {
	m, err := manifest.Parse(typeImage, []byte(doc(config, `"subject":`+desc(typeImage, d2, 2),
		`"annotations":{"a":"b"}`)))
	require.NoError(t, err)
	require.Equal(t, ocispec.Descriptor{MediaType: typeImage, Digest: d3, Size: 99, ArtifactType: typeConfig,
		Annotations: map[string]string{"a": "b"}}, m.Descriptor(d3, 99))

	m, err = manifest.Parse(typeIndex, []byte(doc(`"manifests":[]`)))
	require.NoError(t, err)
	require.Equal(t, ocispec.Descriptor{MediaType: typeIndex, Digest: d3, Size: 99}, m.Descriptor(d3, 99))
}

func TestKindString(t *testing.T) {
	for kind, want := range map[manifest.Kind]string{manifest.KindConfig: "config", manifest.KindLayer: "layer",
		manifest.KindBlob:     "blob",
		manifest.KindManifest: "manifest", manifest.KindAny: "manifest or blob", 0: "unknown"} {
		require.Equal(t, want, kind.String())
	}
}

func TestMaxReferences(t *testing.T) {
	content := func(layers int) []byte {
		list := make([]string, layers)
		for i := range list {
			list[i] = desc(typeLayer, digest.FromString(fmt.Sprint(i, "layer")), 1)
		}
		return []byte(doc(config, `"layers":[`+strings.Join(list, ",")+`]`))
	}
	m, err := manifest.Parse(typeImage, content(manifest.MaxReferences-1))
	require.NoError(t, err)
	require.Len(t, m.References, manifest.MaxReferences)
	for _, layers := range []int{manifest.MaxReferences, manifest.MaxReferences + 1, 2 * manifest.MaxReferences} {
		_, err = manifest.Parse(typeImage, content(layers))
		require.ErrorContains(t, err, "at most 10000 references")
	}
}

// TestParseTimeIsLinear gives Parse 1 MiB of input that is expensive for careless parsers. A
// quadratic parser would need minutes.
func TestParseTimeIsLinear(t *testing.T) {
	const size = 1 << 20
	fill := func(s string) string { return strings.Repeat(s, size/len(s)) }
	var keys strings.Builder
	for i := 0; keys.Len() < size; i++ {
		fmt.Fprintf(&keys, `"%d":"",`, i)
	}
	for name, content := range map[string]string{
		"arrays":  fill("["),
		"objects": fill(`{"a":`),
		"nested": `{"x":` + strings.Repeat("[", 9000) + strings.Repeat("]", 9000) + `,` + fill(" ") +
			`"schemaVersion":2,` + config + `}`,
		"unknown keys":  doc(config, keys.String()+`"z":0`),
		"annotations":   doc(config, `"annotations":{`+keys.String()+`"z":""}`),
		"long key":      doc(config, `"`+fill("l")+`":0`),
		"long string":   doc(config, `"annotations":{"a":"`+fill(`\u0000`)+`"}`),
		"long number":   doc(config, `"x":`+fill("1")),
		"null layers":   doc(config, `"layers":[null`+fill(",null")+`]`),
		"custom arrays": doc(config, `"x":[0`+fill(",0")+`]`),
		"urls":          doc(`"config":` + desc(typeConfig, d1, 1, `"urls":[""`+fill(`,""`)+`]`)),
		"data":          doc(`"config":` + desc(typeConfig, d1, 1, `"data":"`+fill("AAAA")+`"`)),
		"many data":     doc(config, `"layers":[`+desc(typeLayer, d2, 1, `"data":""`)+fill(`,{"data":"AA=="}`)+`]`),
		"surrogates":    doc(config, `"annotations":{"a":"`+fill(`\ud83d\ude00`)+`"}`),
	} {
		start := time.Now()
		_, err := manifest.Parse(typeImage, []byte(content))
		require.Less(t, time.Since(start), 20*time.Second, name)
		if err != nil {
			checkError(t, err, "")
		}
	}
}

// checkError fails unless err is an Error that is fit to be sent to a client and contains want.
func checkError(t *testing.T, err error, want string) {
	t.Helper()
	var e *manifest.Error
	require.ErrorAs(t, err, &e)
	require.Contains(t, err.Error(), want)
	require.NotEmpty(t, e.Problem)
	require.Less(t, len(err.Error()), 1000)
	for _, r := range err.Error() {
		require.True(t, ' ' <= r && r != 0x7f, "%q", err)
	}
}

func TestParseErrorKeepsCause(t *testing.T) {
	_, err := manifest.Parse(typeImage, []byte(doc(`"config":`+desc(typeConfig, "md5:0", 1))))
	checkError(t, err, "config.digest: invalid digest: ")
	require.ErrorIs(t, err, reference.ErrDigestUnsupported)
}

package registrytest

import (
	"encoding/json"
	"fmt"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Media types without constants in image-spec.
const (
	// MediaTypeDockerManifest is the media type of a Docker image manifest, version 2, schema 2.
	MediaTypeDockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	// MediaTypeDockerManifestList is the media type of a Docker manifest list.
	MediaTypeDockerManifestList = "application/vnd.docker.distribution.manifest.list.v2+json"
	// MediaTypeArtifactManifest is the media type of the OCI artifact manifest, which was removed
	// before image-spec 1.1.
	MediaTypeArtifactManifest = "application/vnd.oci.artifact.manifest.v1+json"

	mediaTypeDockerConfig = "application/vnd.docker.container.image.v1+json"
	mediaTypeDockerLayer  = "application/vnd.docker.image.rootfs.diff.tar.gzip"
)

// DockerImage returns an image in Docker's format with the given number of layers, each of size
// bytes. The result depends only on the arguments.
func DockerImage(seed uint64, layers, size int) *Content {
	oci := RandomImage(seed, layers, size)
	m := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: MediaTypeDockerManifest,
		Config: descriptor(mediaTypeDockerConfig, oci.Blobs[0]), Layers: []ocispec.Descriptor{},
	}
	for _, layer := range oci.Blobs[1:] {
		m.Layers = append(m.Layers, descriptor(mediaTypeDockerLayer, layer))
	}
	return (&Content{Blobs: oci.Blobs}).seal(m.MediaType, m)
}

// DockerList returns a manifest list in Docker's format.
func DockerList(children ...*Content) *Content {
	c := Index(children...)
	m := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: MediaTypeDockerManifestList,
		Manifests: []ocispec.Descriptor{}}
	for i, child := range children {
		desc := child.Descriptor
		desc.Platform = &ocispec.Platform{OS: "linux", Architecture: fmt.Sprint("arch", i)}
		m.Manifests = append(m.Manifests, desc)
	}
	return c.seal(m.MediaType, m)
}

// kind is a manifest of a kind that clients push.
type kind struct {
	name string
	*Content
	contentType string              // the Content-Type that the client sends, or ""
	subject     *ocispec.Descriptor // the subject in the manifest
}

// kinds returns one manifest of each kind.
func kinds() []kind {
	image := RandomImage(100, 2, 300)
	arm := RandomImage(200, 1, 20000)
	index := Index(image, arm)
	docker := DockerImage(300, 2, 300)
	helm := custom(`{"schemaVersion":2,"config":{"mediaType":"application/vnd.cncf.helm.config.v1+json",%s},"layers":[`+
		`{"mediaType":"application/vnd.cncf.helm.chart.content.v1.tar+gzip",%s}]}`, "chart", "content")
	all := []kind{
		{name: "image", Content: image},
		{name: "image without layers", Content: RandomImage(400, 0, 0)},
		{name: "image with empty layers twice", Content: custom(
			`{"schemaVersion":2,"mediaType":"`+ocispec.MediaTypeImageManifest+
				`","config":{"mediaType":"`+ocispec.MediaTypeImageConfig+`",%s},`+
				`"layers":[{"mediaType":"x/y",%s},{"mediaType":"x/y",%[2]s}]}`, "{}", "")},
		{name: "index", Content: index},
		{name: "empty index", Content: Index()},
		{name: "nested index", Content: Index(index, DockerList(docker))},
		{name: "index of blobs, as a cache of buildkit", Content: custom(
			`{"schemaVersion":2,"mediaType":"`+ocispec.MediaTypeImageIndex+
				`","manifests":[{"mediaType":"application/vnd.oci.image.layer.v1.tar+zstd",%s},`+
				`{"mediaType":"application/vnd.buildkit.cacheconfig.v0",%s}]}`, "layer", "cache")},
		{name: "artifact", Content: Artifact("application/x.sbom", image.Descriptor, map[string]string{"a": "b"}),
			subject: &image.Descriptor},
		{name: "artifact of no type", Content: Artifact("", index.Descriptor, nil), subject: &index.Descriptor},
		{name: "docker image", Content: docker},
		{name: "docker list", Content: DockerList(docker, DockerImage(500, 1, 10))},
		{name: "retired artifact manifest", Content: custom(`{"mediaType":"`+MediaTypeArtifactManifest+
			`","artifactType":"application/x.old","blobs":[{"mediaType":"x/y",%s}]}`, "blob")},
		{name: "helm chart, no mediaType", Content: helm},
		{name: "unknown type", Content: custom(
			`{"mediaType":"application/vnd.example.thing+json","config":{"mediaType":"x/y",%s}}`, "thing")},
		{name: "odd spaces", Content: custom("\n{ \"schemaVersion\" :2,\t\"config\": {\"mediaType\":\"x/y\",%s},"+
			"\r\n\"layers\":[ ],\"x\":\"\\u0041é\" }\n\n", "odd")},
	}
	for i := range all {
		all[i].contentType = all[i].Descriptor.MediaType
	}
	// Without a Content-Type, the media type in the manifest counts.
	silent := all[0]
	silent.name, silent.contentType = "no Content-Type", ""
	silent.Content = RandomImage(600, 1, 10)
	return append(all, silent)
}

// custom returns a manifest made from format, in which each verb is replaced by the digest and size
// of a blob. Its media type is the one in the manifest, or that of an image.
func custom(format string, blobs ...string) *Content {
	c := &Content{}
	args := make([]any, len(blobs))
	for i, b := range blobs {
		c.Blobs = append(c.Blobs, []byte(b))
		args[i] = fmt.Sprintf(`"digest":"%s","size":%d`, digest.FromString(b), len(b))
	}
	c.Manifest = fmt.Appendf(nil, format, args...)
	var typed struct {
		MediaType string `json:"mediaType"`
	}
	_ = json.Unmarshal(c.Manifest, &typed) // malformed JSON has no type
	if typed.MediaType == "" {
		typed.MediaType = ocispec.MediaTypeImageManifest
	}
	c.Descriptor = descriptor(typed.MediaType, c.Manifest)
	return c
}

// tiny returns a manifest without content, a different one for each number.
func tiny(number int) *Content {
	return custom(fmt.Sprintf(`{"schemaVersion":2,"mediaType":"%s","manifests":[],"annotations":{"number":"%d"}}`,
		ocispec.MediaTypeImageIndex, number))
}

// as512 returns c under its sha512 digest.
func as512(c *Content) *Content {
	d := *c
	d.Descriptor.Digest = digest.SHA512.FromBytes(c.Manifest)
	return &d
}

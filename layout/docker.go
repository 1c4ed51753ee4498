package layout

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry/internal/manifest"
	"github.com/registrykit/registry/reference"
)

// Media types of images of Docker.
const (
	dockerConfig = "application/vnd.docker.container.image.v1+json"
	dockerLayer  = "application/vnd.docker.image.rootfs.diff.tar"
)

// dockerImage is an element of manifest.json.
type dockerImage struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// converter makes an OCI layout of an archive of "docker save".
type converter struct {
	a       *archive
	o       *Options
	index   *index
	digests map[region]digest.Digest // of layers that had to be read

	// A small manifest.json can name the same config again and again. What that costs is limited:
	configs   int64 // bytes of configs that may still be read
	manifests int64 // bytes of manifests that may still be made
}

// convert makes index.json and the manifests of an archive of size bytes that has a manifest.json only.
func (a *archive) convert(size int64, o *Options) error {
	content, err := a.read(a.files[dockerFile], o.MaxIndexSize)
	if err != nil {
		return fmt.Errorf("%s: %w", dockerFile, err)
	}
	var images []dockerImage
	if err := json.Unmarshal(content, &images); err != nil {
		return fmt.Errorf("%s: %w", dockerFile, err)
	}
	if len(images) > o.MaxManifests {
		return fmt.Errorf("%s: it has more than %d images", dockerFile, o.MaxManifests)
	}
	a.blobs, a.made = map[digest.Digest]region{}, map[digest.Digest][]byte{}
	c := &converter{a: a, o: o, index: newIndex(), digests: map[region]digest.Digest{},
		configs: size + o.MaxIndexSize, manifests: 2 * o.MaxIndexSize}
	for i, image := range images {
		if err := c.add(image); err != nil {
			return fmt.Errorf("%s: image %d: %w", dockerFile, i+1, err)
		}
	}
	a.index = c.index.encode()
	return nil
}

// add adds an image.
func (c *converter) add(image dockerImage) error {
	config, diffIDs, err := c.config(image.Config)
	if err != nil {
		return fmt.Errorf("config: %w", err)
	}
	if len(diffIDs) != len(image.Layers) {
		return fmt.Errorf("the config has %d layers, and manifest.json %d", len(diffIDs), len(image.Layers))
	}
	if len(diffIDs) > manifest.MaxReferences {
		return errors.New("it has too many layers")
	}
	m := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: manifest.MediaTypeDockerManifest,
		Config: config, Layers: []ocispec.Descriptor{}}
	for i, name := range image.Layers {
		layer, err := c.layer(name, diffIDs[i])
		if err != nil {
			return fmt.Errorf("layer %d: %w", i+1, err)
		}
		m.Layers = append(m.Layers, layer)
	}
	content, err := json.Marshal(m)
	if err != nil {
		return err
	}
	desc := ocispec.Descriptor{MediaType: m.MediaType, Digest: digest.FromBytes(content), Size: int64(len(content))}
	if _, ok := c.a.made[desc.Digest]; !ok {
		if c.manifests -= desc.Size; c.manifests < 0 {
			return errors.New("the manifests of the images are too large together")
		}
		c.a.made[desc.Digest] = content
	}
	c.name(desc, image.RepoTags)
	return nil
}

// name adds the entries of an image to the index.
func (c *converter) name(desc ocispec.Descriptor, tags []string) {
	named := false
	for _, tag := range tags {
		if n := parseName(tag); n.tag != "" {
			c.index.insert(newEntry(desc, n, map[string]string{ocispec.AnnotationRefName: tag}))
			named = true
		}
	}
	if !named {
		c.index.insert(newEntry(desc, name{}, nil))
	}
}

// config returns the descriptor of a config, and the digests of the layers before compression.
func (c *converter) config(name string) (ocispec.Descriptor, []digest.Digest, error) {
	at, err := c.a.file(name)
	if err != nil {
		return ocispec.Descriptor{}, nil, err
	}
	if c.configs -= at.size; c.configs < 0 {
		return ocispec.Descriptor{}, nil, errors.New("the images name the same configs too often")
	}
	content, err := c.a.read(at, c.o.MaxManifestSize)
	if err != nil {
		return ocispec.Descriptor{}, nil, err
	}
	d := digest.FromBytes(content)
	stem := strings.TrimPrefix(strings.TrimSuffix(path.Base(name), ".json"), "sha256:")
	if named := digest.NewDigestFromEncoded(digest.SHA256, stem); named.Validate() == nil && named != d {
		return ocispec.Descriptor{}, nil, fmt.Errorf("%s has another digest than its name says", name)
	}
	var config struct {
		RootFS struct {
			DiffIDs []digest.Digest `json:"diff_ids"`
		} `json:"rootfs"`
	}
	if err := json.Unmarshal(content, &config); err != nil {
		return ocispec.Descriptor{}, nil, err
	}
	c.a.blobs[d] = at
	return ocispec.Descriptor{MediaType: dockerConfig, Digest: d, Size: at.size}, config.RootFS.DiffIDs, nil
}

// layer returns the descriptor of a layer. One without compression has the digest diffID, which is
// verified when it is read.
func (c *converter) layer(name string, diffID digest.Digest) (ocispec.Descriptor, error) {
	at, err := c.a.file(name)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	if err := reference.CheckDigest(string(diffID)); err != nil {
		return ocispec.Descriptor{}, err
	}
	desc := ocispec.Descriptor{MediaType: dockerLayer, Digest: diffID, Size: at.size}
	switch kind := compression(io.NewSectionReader(c.a.r, at.at, at.size)); kind {
	case "":
	case "gzip", "zstd":
		desc.MediaType += "." + kind
		if desc.Digest, err = c.sum(at); err != nil {
			return ocispec.Descriptor{}, err
		}
	default:
		return ocispec.Descriptor{}, fmt.Errorf("it is compressed with %s", kind)
	}
	if old, ok := c.a.blobs[desc.Digest]; ok && old.size != at.size {
		return ocispec.Descriptor{}, fmt.Errorf("there are two files for the digest %s", desc.Digest)
	}
	c.a.blobs[desc.Digest] = at
	return desc, nil
}

// sum returns the digest of a file.
func (c *converter) sum(at region) (digest.Digest, error) {
	if d, ok := c.digests[at]; ok {
		return d, nil
	}
	d, err := digest.FromReader(io.NewSectionReader(c.a.r, at.at, at.size))
	c.digests[at] = d
	return d, err
}

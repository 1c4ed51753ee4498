package demosite

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/registrytest"
)

// Media types of content that is no image.
const (
	typeHelmConfig = "application/vnd.cncf.helm.config.v1+json"
	typeHelmChart  = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
	typeSignature  = "application/vnd.dev.sigstore.bundle.v0.3+json"
	typeSBOM       = "application/spdx+json"
	typeProvenance = "application/vnd.in-toto+json"
)

// pusher pushes to the repositories of a backend. The first error stays, and later calls do nothing.
type pusher struct {
	ctx context.Context
	to  registry.Backend
	err error
}

// blob pushes a blob.
func (p *pusher) blob(repo, mediaType string, content []byte) ocispec.Descriptor {
	d := digest.FromBytes(content)
	if p.err == nil {
		_, p.err = registry.PushBlob(p.ctx, p.to, repo, d, bytes.NewReader(content))
	}
	return ocispec.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(content))}
}

// manifest pushes a manifest with tags.
func (p *pusher) manifest(repo, mediaType string, m any, tags ...string) ocispec.Descriptor {
	content, err := json.Marshal(m)
	if err != nil && p.err == nil {
		p.err = err
	}
	opts := &registry.PutOptions{}
	for _, tag := range tags {
		opts.Tags = append(opts.Tags, registry.TagPut{Name: tag})
	}
	if p.err == nil {
		_, p.err = p.to.PutManifest(p.ctx, repo, mediaType, content, opts)
	}
	return ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(content), Size: int64(len(content))}
}

// layer is a layer of an image.
type layer struct {
	command string
	size    int // 0 for a step that makes no layer
}

// image is an image.
type image struct {
	arch        string
	created     time.Time
	config      ocispec.ImageConfig
	annotations map[string]string
	layers      []layer
	// base is the number of the first layers whose content is the same in all images of the architecture.
	base int
	// seed makes the content of the other layers.
	seed uint64
}

// push pushes an image.
func (p *pusher) push(repo string, im image, tags ...string) ocispec.Descriptor {
	c := ocispec.Image{Created: &im.created, Author: "Acme", Config: im.config,
		Platform: ocispec.Platform{OS: "linux", Architecture: im.arch}, RootFS: ocispec.RootFS{Type: "layers"}}
	m := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Annotations: im.annotations, Layers: []ocispec.Descriptor{}}
	for i, l := range im.layers {
		c.History = append(c.History, ocispec.History{Created: &im.created, CreatedBy: l.command, EmptyLayer: l.size == 0})
		if l.size == 0 {
			continue
		}
		seed := im.seed + uint64(i)*1000
		if i < im.base {
			seed = uint64(len(im.arch))*7 + uint64(i)
		}
		content := registrytest.RandomBytes(seed, l.size)
		c.RootFS.DiffIDs = append(c.RootFS.DiffIDs, digest.FromBytes(content))
		m.Layers = append(m.Layers, p.blob(repo, ocispec.MediaTypeImageLayerGzip, content))
	}
	config, err := json.Marshal(c)
	if err != nil && p.err == nil {
		p.err = err
	}
	m.Config = p.blob(repo, ocispec.MediaTypeImageConfig, config)
	d := p.manifest(repo, m.MediaType, m, tags...)
	d.Platform = &c.Platform
	return d
}

// index pushes an image of several platforms.
func (p *pusher) index(repo string, annotations map[string]string, of []ocispec.Descriptor,
	tags ...string) ocispec.Descriptor {
	return p.manifest(repo, ocispec.MediaTypeImageIndex, ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageIndex, Annotations: annotations, Manifests: of}, tags...)
}

// referrer pushes an artifact about another manifest, such as a signature.
func (p *pusher) referrer(repo, kind string, subject ocispec.Descriptor, content string,
	annotations map[string]string) {
	subject.Platform = nil
	p.manifest(repo, ocispec.MediaTypeImageManifest, ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, ArtifactType: kind,
		Config: p.blob(repo, ocispec.MediaTypeEmptyJSON, []byte("{}")), Annotations: annotations, Subject: &subject,
		Layers: []ocispec.Descriptor{p.blob(repo, kind, []byte(content))},
	})
}

// artifact pushes content of any kind.
func (p *pusher) artifact(repo, configType, config, layerType, content string, annotations map[string]string,
	tags ...string) {
	p.manifest(repo, ocispec.MediaTypeImageManifest, ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: p.blob(repo, configType, []byte(config)), Annotations: annotations,
		Layers: []ocispec.Descriptor{p.blob(repo, layerType, []byte(content))},
	}, tags...)
}

// The sizes of the layers of the base of a service, which are the same in all repositories.
const (
	baseSize     = 1_100_000
	packagesSize = 300_000
)

// service is the image of a web service with a Debian base, of about size bytes. A small one has a base of its own.
func service(name, version, arch string, size int, created time.Time, seed uint64) image {
	base, packages := baseSize, packagesSize
	if size < base {
		base, packages = size/2, size/5
	}
	return image{arch: arch, created: created, base: 2, seed: seed,
		config: ocispec.ImageConfig{
			Entrypoint: []string{"/usr/local/bin/" + name}, Cmd: []string{"serve", "--listen", ":8080"},
			Env:          []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin", "TZ=UTC"},
			ExposedPorts: map[string]struct{}{"8080/tcp": {}}, User: "65532", WorkingDir: "/srv",
			Labels: labels(name, version),
		},
		annotations: labels(name, version),
		layers: []layer{
			{"ADD rootfs.tar.xz / # buildkit", base}, {"RUN /bin/sh -c apt-get update && apt-get install -y " +
				"--no-install-recommends ca-certificates tzdata && rm -rf /var/lib/apt/lists/* # buildkit", packages},
			{"ENV TZ=UTC", 0}, {"COPY " + name + " /usr/local/bin/" + name + " # buildkit", max(size-base-packages, size/4)},
			{"COPY config.yaml /etc/" + name + "/ # buildkit", 1200},
			{fmt.Sprintf("ENTRYPOINT [%q]", "/usr/local/bin/"+name), 0},
		},
	}
}

// labels returns the labels of an image.
func labels(name, version string) map[string]string {
	return map[string]string{
		ocispec.AnnotationTitle: name, ocispec.AnnotationVersion: version, ocispec.AnnotationLicenses: "Apache-2.0",
		ocispec.AnnotationSource: "https://git.acme.example/" + name, ocispec.AnnotationVendor: "Acme",
		ocispec.AnnotationRevision: digest.FromString(name + version).Encoded()[:40],
	}
}

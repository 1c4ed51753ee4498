package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry"
)

// user is the user and the group as which the hub runs. It has no name and no rights on the host.
const user = 65532

// builder builds the image.
type builder struct {
	program string // a Go package
	version string // for labels, or ""
	created time.Time
	ca      []byte // in PEM, or nil
	dir     string // for temporary files
}

// build writes an index of the platforms with a tag, and returns its digest.
func (b *builder) build(ctx context.Context, to registry.Writer, repo, tag string, platforms []string) (digest.Digest,
	error) {
	index := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex,
		Annotations: b.labels()}
	for _, name := range platforms {
		system, arch, ok := strings.Cut(name, "/")
		if !ok || system != "linux" {
			return "", fmt.Errorf("-platforms: %q is not a platform such as linux/amd64", name)
		}
		one, err := b.image(ctx, to, repo, arch)
		if err != nil {
			return "", fmt.Errorf("%s: %w", name, err)
		}
		index.Manifests = append(index.Manifests, one)
	}
	desc, err := put(ctx, to, repo, index.MediaType, index, &registry.PutOptions{Tags: []registry.TagPut{{Name: tag}}})
	return desc.Digest, err
}

// image writes the image of an architecture, and returns its descriptor in an index.
func (b *builder) image(ctx context.Context, to registry.Writer, repo, arch string) (ocispec.Descriptor, error) {
	binary, err := b.compile(ctx, arch)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	config := ocispec.Image{Created: &b.created, Platform: ocispec.Platform{OS: "linux", Architecture: arch},
		Config: b.config(), RootFS: ocispec.RootFS{Type: "layers"}}
	m := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Annotations: b.labels()}
	for _, l := range []struct {
		name  string
		files []file
	}{{"the file system", b.base()}, {"the hub", []file{{name: "hub", mode: 0o755, path: binary}}}} {
		blob, diff, err := b.layer(ctx, to, repo, l.files)
		if err != nil {
			return ocispec.Descriptor{}, err
		}
		m.Layers = append(m.Layers, blob)
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, diff)
		config.History = append(config.History, ocispec.History{Created: &b.created, CreatedBy: l.name})
	}
	if m.Config, err = b.pushConfig(ctx, to, repo, config); err != nil {
		return ocispec.Descriptor{}, err
	}
	desc, err := put(ctx, to, repo, m.MediaType, m, nil)
	desc.Platform = &config.Platform
	return desc, err
}

// config returns how the hub runs. A container listens on all its addresses, so its operator must say in
// /etc/hub/hub.yaml how passwords are protected: by TLS, by a proxy, or not at all.
func (b *builder) config() ocispec.ImageConfig {
	return ocispec.ImageConfig{
		User:         fmt.Sprintf("%d:%d", user, user),
		ExposedPorts: map[string]struct{}{"5000/tcp": {}},
		Env:          []string{"PATH=/", "SSL_CERT_FILE=" + systemCA},
		Entrypoint:   []string{"/hub"},
		Cmd:          []string{"-addr", ":5000", "-storage", "/data", "-config", "/etc/hub/hub.yaml"},
		Volumes:      map[string]struct{}{"/data": {}},
		WorkingDir:   "/data",
		Labels:       b.labels(),
		StopSignal:   "SIGTERM",
	}
}

// labels returns the labels of the image, which are also annotations.
func (b *builder) labels() map[string]string {
	labels := map[string]string{
		ocispec.AnnotationTitle:       "hub",
		ocispec.AnnotationDescription: "A small Docker Hub in one program",
		ocispec.AnnotationSource:      "https://github.com/registrykit/registry",
		ocispec.AnnotationLicenses:    "Apache-2.0",
		ocispec.AnnotationCreated:     b.created.Format(time.RFC3339),
	}
	if b.version != "" {
		labels[ocispec.AnnotationVersion] = b.version
	}
	return labels
}

// compile builds the program for an architecture, without cgo, so that it needs nothing else in the image.
func (b *builder) compile(ctx context.Context, arch string) (path string, err error) {
	path = filepath.Join(b.dir, "hub-"+arch)
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", //nolint:gosec // the caller's program
		"-ldflags=-s -w -buildid=", "-o", path, b.program)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
}

// pushConfig pushes the configuration of an image.
func (b *builder) pushConfig(ctx context.Context, to registry.Writer, repo string, config ocispec.Image) (
	ocispec.Descriptor, error) {
	content, err := json.Marshal(config)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	desc, err := registry.PushBlob(ctx, to, repo, digest.FromBytes(content), strings.NewReader(string(content)))
	desc.MediaType = ocispec.MediaTypeImageConfig
	return desc, err
}

// put pushes a manifest or an index.
func put(ctx context.Context, to registry.Writer, repo, mediaType string, v any, opts *registry.PutOptions) (
	ocispec.Descriptor, error) {
	content, err := json.Marshal(v)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	res, err := to.PutManifest(ctx, repo, mediaType, content, opts)
	if err == nil && res.Descriptor.Digest != digest.FromBytes(content) {
		err = errors.New("the registry has stored something else")
	}
	return res.Descriptor, err
}

// Package image reads the facts of an image or other artifact from its manifest and configuration:
// when it was created, for which platform, its size, entry point, environment, labels and history.
// Pages, retention rules and programs use it.
//
//	facts, err := image.Read(ctx, backend, "team/app", reference.Ref{Tag: "v1"}, nil)
//
// A program that reads the facts of many images keeps a [Cache]. A manifest and its configuration
// never change under their digests, so cached facts are never outdated.
//
// # Hostile content
//
// Callers with push access can write anything into a configuration. Escape every text of [Facts] for
// HTML, terminals and logs. Read limits the size of what it reads. A field of the
// configuration that has the wrong type counts as absent, and [Config].Malformed names it.
package image

import (
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Kind says what a manifest describes.
type Kind string

// The kinds of manifests.
const (
	// KindImage is a manifest with a configuration that is one of an image, of OCI or Docker.
	KindImage Kind = "image"
	// KindIndex is a list of manifests, such as the images of one version for several platforms.
	KindIndex Kind = "index"
	// KindArtifact is any other manifest: a chart, a signature, a list of components.
	KindArtifact Kind = "artifact"
)

// Facts are what a manifest and its configuration say. Do not modify them: a [Cache] shares them.
type Facts struct {
	// Descriptor has the media type, digest and size of the manifest.
	Descriptor ocispec.Descriptor
	// Kind is the kind of the manifest.
	Kind Kind
	// ArtifactType is the type that the referrers API reports: that of the manifest, or else the
	// media type of its configuration.
	ArtifactType string
	// Annotations are those of the manifest, or nil.
	Annotations map[string]string
	// Subject is the manifest that this one refers to, or nil.
	Subject *ocispec.Descriptor
	// Layers are the layers of an image, or the blobs of an artifact, from the lowest up.
	Layers []ocispec.Descriptor
	// Manifests are the elements of an index, with their platforms.
	Manifests []ocispec.Descriptor
	// Size is the size in bytes of the manifest, its configuration and its layers, each blob once.
	// For an index, it is the size of the index itself.
	Size int64
	// ConfigBlob has the media type, digest and size of the configuration, or nil for a manifest
	// without one. That of an artifact is often an empty object.
	ConfigBlob *ocispec.Descriptor
	// Config is what the configuration of an image says. It is nil for an index, for an artifact,
	// and with Options.NoConfig.
	Config *Config
	// Chart is what the configuration of a Helm chart says, which is an artifact. It is nil for
	// anything else, and with Options.NoConfig.
	Chart *Chart
}

// Created returns when the image was created: by its configuration, or else by the annotation
// org.opencontainers.image.created. It is zero if neither has a time.
func (f *Facts) Created() time.Time {
	if f.Config != nil && !f.Config.Created.IsZero() {
		return f.Config.Created
	}
	t, err := time.Parse(time.RFC3339, f.Annotations[ocispec.AnnotationCreated])
	if err != nil {
		return time.Time{}
	}
	return t
}

// Config is what the configuration of an image says.
type Config struct {
	// Digest is the digest of the configuration.
	Digest digest.Digest
	// Created is when the image was created, or zero.
	Created time.Time
	// Author is the author, or "".
	Author string
	// Platform is the platform of the image. Each field may be "".
	Platform ocispec.Platform
	// Entrypoint and Cmd are the command that a container of the image runs.
	Entrypoint, Cmd []string
	// Env is the environment, each element as NAME=value.
	Env []string
	// WorkingDir and User are the directory and user of the command.
	WorkingDir, User string
	// ExposedPorts and Volumes are sorted, such as "80/tcp" and "/data".
	ExposedPorts, Volumes []string
	// StopSignal is the signal that ends the container, or "".
	StopSignal string
	// Labels are the labels, or nil.
	Labels map[string]string
	// History are the steps that made the image, the first one first.
	History []Step
	// Malformed names the fields that are there with a wrong type, in ascending order, such as
	// "config.Labels". They count as absent.
	Malformed []string
}

// Step is a step that made an image.
type Step struct {
	// Created is when the step was made, or zero.
	Created time.Time
	// CreatedBy is the command.
	CreatedBy string
	// Author and Comment may be "".
	Author, Comment string
	// EmptyLayer is set if the step made no layer.
	EmptyLayer bool
}

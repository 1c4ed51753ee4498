package types

import "time"

// Descriptor describes a manifest or blob.
type Descriptor struct {
	MediaType    string            `json:"mediaType"`
	Digest       string            `json:"digest"`
	Size         int64             `json:"size"`
	ArtifactType string            `json:"artifactType,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
	Platform     *Platform         `json:"platform,omitempty"`
}

// DescriptorList is a page of descriptors.
type DescriptorList struct {
	Items []Descriptor `json:"items"`
}

// Platform is the platform of an image.
type Platform struct {
	OS           string   `json:"os,omitempty"`
	Architecture string   `json:"architecture,omitempty"`
	Variant      string   `json:"variant,omitempty"`
	OSVersion    string   `json:"osVersion,omitempty"`
	OSFeatures   []string `json:"osFeatures,omitempty"`
}

// Image is what a manifest and its configuration say. Callers with push access can write anything
// into them, so escape every text. Its ETag is its digest in quotes.
type Image struct {
	// Digest, MediaType and Size are those of the manifest.
	Digest    string `json:"digest"`
	MediaType string `json:"mediaType"`
	Size      int64  `json:"size"`
	// Kind is "image", "index" or "artifact".
	Kind string `json:"kind"`
	// ArtifactType is the type that the referrers API reports.
	ArtifactType string            `json:"artifactType,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
	// Subject is the manifest that this one refers to.
	Subject *Descriptor `json:"subject,omitempty"`
	// Layers are the layers of an image, or the blobs of an artifact, from the lowest up.
	Layers []Descriptor `json:"layers,omitempty"`
	// Manifests are the elements of an index, with their platforms.
	Manifests []Descriptor `json:"manifests,omitempty"`
	// TotalSize is the size of the manifest, its configuration and its layers, each blob once. For
	// an index, it is the size of the index itself.
	TotalSize int64 `json:"totalSize"`
	// Created is when the image was created, by its configuration or else by its annotations.
	Created time.Time `json:"created,omitzero"`
	// Config is what the configuration of an image says. It is absent for other kinds, and with
	// ConfigError.
	Config *ImageConfig `json:"config,omitempty"`
	// ConfigError is the reason why the configuration of an image cannot be shown, for example
	// because it is missing.
	ConfigError string `json:"configError,omitempty"`
}

// ImageConfig is what the configuration of an image says.
type ImageConfig struct {
	Digest string `json:"digest"`
	Author string `json:"author,omitempty"`
	// Platform is the platform of the image.
	Platform Platform `json:"platform"`
	// Entrypoint and Cmd are the command that a container of the image runs.
	Entrypoint []string `json:"entrypoint,omitempty"`
	Cmd        []string `json:"cmd,omitempty"`
	// Env is the environment, each element as NAME=value.
	Env          []string          `json:"env,omitempty"`
	WorkingDir   string            `json:"workingDir,omitempty"`
	User         string            `json:"user,omitempty"`
	ExposedPorts []string          `json:"exposedPorts,omitempty"`
	Volumes      []string          `json:"volumes,omitempty"`
	StopSignal   string            `json:"stopSignal,omitempty"`
	Labels       map[string]string `json:"labels,omitempty"`
	// History are the steps that made the image, the first one first.
	History []ImageStep `json:"history,omitempty"`
	// Malformed names the fields that have a wrong type and count as absent.
	Malformed []string `json:"malformed,omitempty"`
}

// ImageStep is a step that made an image.
type ImageStep struct {
	Created    time.Time `json:"created,omitzero"`
	CreatedBy  string    `json:"createdBy,omitempty"`
	Author     string    `json:"author,omitempty"`
	Comment    string    `json:"comment,omitempty"`
	EmptyLayer bool      `json:"emptyLayer,omitempty"`
}

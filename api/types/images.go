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

// Referrer is a manifest that refers to another one, such as a signature.
type Referrer struct {
	Descriptor
	// TotalSize is the size of the manifest, its configuration and its blobs, each blob once. Only
	// lists with details have it.
	TotalSize int64 `json:"totalSize,omitempty"`
}

// ReferrerList is a page of referrers.
type ReferrerList struct {
	Items []Referrer `json:"items"`
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
	// ConfigDescriptor describes the configuration of an image or artifact. It is absent for a
	// manifest without one.
	ConfigDescriptor *Descriptor `json:"configDescriptor,omitempty"`
	// Config is what the configuration of an image says. It is absent for other kinds, and with
	// ConfigError.
	Config *ImageConfig `json:"config,omitempty"`
	// Chart is what the configuration of a Helm chart says. It is absent for anything else, and with
	// ConfigError.
	Chart *Chart `json:"chart,omitempty"`
	// ConfigError is the reason why the configuration of an image or chart cannot be shown, for
	// example because it is missing.
	ConfigError string `json:"configError,omitempty"`
}

// Chart is what the Chart.yaml of a Helm chart says.
type Chart struct {
	Name    string `json:"name,omitempty"`
	Version string `json:"version,omitempty"`
	// AppVersion is the version of the application that the chart installs.
	AppVersion  string `json:"appVersion,omitempty"`
	Description string `json:"description,omitempty"`
	// Type is "application" or "library".
	Type string `json:"type,omitempty"`
	// KubeVersion are the versions of Kubernetes that the chart works with.
	KubeVersion string   `json:"kubeVersion,omitempty"`
	Home        string   `json:"home,omitempty"`
	Sources     []string `json:"sources,omitempty"`
	Keywords    []string `json:"keywords,omitempty"`
	// Deprecated is set if the chart should not be used any more.
	Deprecated  bool              `json:"deprecated,omitempty"`
	Maintainers []ChartMaintainer `json:"maintainers,omitempty"`
	// Dependencies are the charts that the chart contains or needs.
	Dependencies []ChartDependency `json:"dependencies,omitempty"`
	// Malformed names the fields that have a wrong type and count as absent.
	Malformed []string `json:"malformed,omitempty"`
}

// ChartMaintainer is a person who maintains a chart.
type ChartMaintainer struct {
	Name  string `json:"name,omitempty"`
	Email string `json:"email,omitempty"`
	URL   string `json:"url,omitempty"`
}

// ChartDependency is a chart that another one needs.
type ChartDependency struct {
	Name string `json:"name,omitempty"`
	// Version is a version or a range of versions.
	Version    string `json:"version,omitempty"`
	Repository string `json:"repository,omitempty"`
	Alias      string `json:"alias,omitempty"`
	Condition  string `json:"condition,omitempty"`
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

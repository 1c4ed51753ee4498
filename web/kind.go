package web

import (
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry/api/types"
)

// kind is what a manifest is to people, such as a Helm chart.
type kind struct {
	// Key names the kind in URLs and style sheets, such as "chart".
	Key string
	// Name is its name in English, for the template function t.
	Name string
	// Tools are the programs whose commands fit, the usual one first.
	Tools []tool
}

// The tools of container images and of other artifacts.
var (
	imageTools    = []tool{docker, podman, crane, skopeo, containerd, dockerfile, kubernetes}
	artifactTools = []tool{oras, crane, skopeo}
)

// The kinds.
var (
	kindImage       = kind{"image", "Image", imageTools}
	kindIndex       = kind{"index", "Image for several platforms", imageTools}
	kindOld         = kind{"old", "Image in the old format 1", []tool{crane, skopeo}}
	kindChart       = kind{"chart", "Helm chart", []tool{helm, oras, crane}}
	kindSignature   = kind{"signature", "Signature", artifactTools}
	kindSBOM        = kind{"sbom", "SBOM", artifactTools}
	kindAttestation = kind{"attestation", "Attestation", artifactTools}
	kindReport      = kind{"report", "Scan report", artifactTools}
	kindWASM        = kind{"wasm", "WebAssembly module", artifactTools}
	kindPolicy      = kind{"policy", "Policy", []tool{conftest, oras, crane}}
	kindFlux        = kind{"flux", "Flux artifact", []tool{flux, oras, crane}}
	kindCache       = kind{"cache", "Build cache", []tool{crane, skopeo}}
	kindPlugin      = kind{"plugin", "Docker plugin", []tool{dockerPlugin, crane, skopeo}}
	kindModel       = kind{"model", "Model", artifactTools}
	kindCompose     = kind{"compose", "Compose application", artifactTools}
	kindFeature     = kind{"feature", "Development container", artifactTools}
	kindArtifact    = kind{"artifact", "Artifact", artifactTools}
)

// kindByType returns the kind of a media type: that of an artifact, a configuration, a layer or a manifest.
func kindByType(mediaType string) (kind, bool) {
	mediaType = strings.ToLower(mediaType)
	for _, row := range []struct {
		kind  kind
		types []string // a type that ends with "*" is a prefix
	}{
		{kindChart, []string{"application/vnd.cncf.helm.*"}},
		{kindSignature, []string{"application/vnd.dev.cosign.simplesigning.*", "application/vnd.dev.cosign.artifact.sig.*",
			"application/vnd.dev.sigstore.bundle*", "application/vnd.cncf.notary.*"}},
		{kindSBOM, []string{"application/spdx*", "text/spdx*", "application/vnd.cyclonedx*", "application/vnd.syft*",
			"application/vnd.dev.cosign.artifact.sbom.*"}},
		{kindAttestation, []string{"application/vnd.in-toto*", "application/vnd.dsse.envelope*",
			"application/vnd.docker.attestation.*", "application/vnd.dev.cosign.artifact.att.*",
			"application/vnd.dev.cosign.attestation.*"}},
		{kindReport, []string{"application/sarif+json", "application/vnd.security.vulnerability.report*",
			"application/vnd.aquasec.trivy.report*"}},
		{kindWASM, []string{"application/wasm", "application/vnd.wasm.*", "application/vnd.w3c.wasm.*",
			"application/vnd.module.wasm.*", "application/vnd.bytecodealliance.*"}},
		{kindPolicy, []string{"application/vnd.cncf.openpolicyagent.*", "application/vnd.cncf.kyverno.*"}},
		{kindFlux, []string{"application/vnd.cncf.flux.*"}},
		{kindCache, []string{"application/vnd.buildkit.cacheconfig.*"}},
		{kindPlugin, []string{"application/vnd.docker.plugin.v1+json"}},
		{kindModel, []string{"application/vnd.ollama.*", "application/vnd.cncf.model.*", "application/vnd.docker.ai.*",
			"application/vnd.kitops.*"}},
		{kindCompose, []string{"application/vnd.docker.compose.*"}},
		{kindFeature, []string{"application/vnd.devcontainers*"}},
		{kindOld, []string{"application/vnd.docker.distribution.manifest.v1+*"}},
	} {
		for _, pattern := range row.types {
			prefix, open := strings.CutSuffix(pattern, "*")
			if mediaType == pattern || open && strings.HasPrefix(mediaType, prefix) {
				return row.kind, true
			}
		}
	}
	return kind{}, false
}

// kindOf returns the kind of a manifest by its artifact type, or else by its media type. contents are the media types
// of its configuration and blobs, if they are known.
func kindOf(artifactType, mediaType string, contents ...string) kind {
	for _, t := range append([]string{artifactType, mediaType}, contents...) {
		if k, ok := kindByType(t); ok {
			return k
		}
	}
	switch mediaType {
	case ocispec.MediaTypeImageIndex, "application/vnd.docker.distribution.manifest.list.v2+json":
		return kindIndex
	}
	switch artifactType {
	case "", ocispec.MediaTypeImageConfig, "application/vnd.docker.container.image.v1+json":
		if mediaType == ocispec.MediaTypeImageManifest ||
			mediaType == "application/vnd.docker.distribution.manifest.v2+json" {
			return kindImage
		}
	}
	return kindArtifact
}

// maxContents is the maximum number of blobs whose types decide about a kind.
const maxContents = 16

// kindOfImage returns the kind of a manifest by all that is known about it.
func kindOfImage(i *types.Image) kind {
	var contents []string
	if i.ConfigDescriptor != nil {
		contents = append(contents, i.ConfigDescriptor.MediaType)
	}
	for _, l := range i.Layers[:min(len(i.Layers), maxContents)] {
		contents = append(contents, l.MediaType)
	}
	k := kindOf(i.ArtifactType, i.MediaType, contents...)
	switch {
	case k.Key == kindArtifact.Key && i.Kind == "index":
		return kindIndex
	case k.Key == kindArtifact.Key && i.Kind == "image":
		return kindImage
	}
	return k
}

// Annotations that say what an artifact states about an image.
const (
	bundlePredicate = "dev.sigstore.bundle.predicateType"
	layerPredicate  = "in-toto.io/predicate-type"
	cosignPredicate = "predicateType"
)

// kindOfReferrer returns the kind of a manifest that refers to another one, and the type of the statement that it
// makes, or "".
func kindOfReferrer(d *types.Descriptor) (k kind, predicate string) {
	k = kindOf(d.ArtifactType, d.MediaType)
	for _, name := range []string{bundlePredicate, layerPredicate, cosignPredicate} {
		if predicate = d.Annotations[name]; predicate != "" {
			break
		}
	}
	switch {
	case predicate == "", strings.Contains(predicate, "cosign/sign/"):
		return k, predicate
	case k.Key == kindSignature.Key || k.Key == kindAttestation.Key:
		return kindOfStatement(predicate), predicate
	}
	return k, predicate
}

// kindOfStatement returns the kind of a signed statement by its predicate type.
func kindOfStatement(predicate string) kind {
	predicate = strings.ToLower(predicate)
	switch {
	case strings.Contains(predicate, "spdx.dev/"), strings.Contains(predicate, "cyclonedx.org/"):
		return kindSBOM
	case strings.Contains(predicate, "/vuln"):
		return kindReport
	}
	return kindAttestation
}

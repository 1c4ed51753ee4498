// Package manifest parses the manifests that clients push and lists their references. It never
// encodes the content again: a registry stores and serves the bytes that it received.
//
// # Accepted
//
// A manifest is a JSON object of one of three shapes: an image ("config", "layers"), an index
// ("manifests"), or the retired OCI artifact manifest ("blobs"). An OCI or Docker schema 2 media
// type requires its own shape; any other JSON media type allows each of them. Config, layers and
// blobs may have any media type. Unknown fields are ignored, as the image specification requires.
//
// # Refused
//
// A registry must not store content that two clients could understand in two ways (CVE-2021-41190).
// [Parse] therefore refuses a "mediaType" that is not the Content-Type, more than one shape,
// duplicate keys, and keys or media types that differ from known ones in case only. encoding/json
// would take "Layers" for "layers"; other parsers would not.
//
// Only JSON media types are accepted, because the type is sent back with the content: JSON that is
// served as text/html would be a web page under the client's control. Docker schema 1 is refused.
//
// The same holds for every object that the image specification defines: the manifest, its
// descriptors, and their platforms and annotations. Each of their fields must have its specified
// type, so that clients that decode into the Go types of image-spec can read the content. A null
// field counts as absent, as it does for those clients. A null in an array or map of strings is
// refused, because those clients read it as "". Embedded content ("data") must have the stated size
// and digest. The values of unknown fields are not checked.
package manifest

import (
	"maps"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry/internal/strictjson"
)

// Error is the type of every error that [Parse] returns. Its text may be sent to the client: it is
// printable, quotes little of the input, and is short for every input. Over HTTP it becomes
// MANIFEST_INVALID.
type Error = strictjson.Error

// MaxReferences is the maximum number of references of a manifest. No image comes near it, and a
// store can look up this many.
const MaxReferences = 10_000

// Manifest is what a registry needs to know about a manifest. It shares no memory with the content.
type Manifest struct {
	// MediaType is the media type under which the manifest is stored and served: its "mediaType", or
	// else the Content-Type without parameters. It is valid as the value of a header.
	MediaType string

	// References are the parts of the manifest in their order, config first. Each digest occurs
	// once. The subject is not among them, because it need not exist.
	References []Reference

	// Subject is the subject of the manifest, or nil. Only MediaType, Digest and Size are set.
	Subject *ocispec.Descriptor

	// ArtifactType is the type that the referrers API reports: "artifactType", or for an image
	// without it the media type of the config. It may be "".
	ArtifactType string

	// Annotations are the annotations of the manifest itself, or nil.
	Annotations map[string]string
}

// Kind is the kind of content that a [Reference] refers to.
type Kind uint8

const (
	// KindConfig is the config of an image: a blob.
	KindConfig Kind = iota + 1
	// KindLayer is a layer of an image: a blob.
	KindLayer
	// KindBlob is a blob of an OCI artifact manifest.
	KindBlob
	// KindManifest is a child of an index whose media type is one of a manifest: a manifest.
	KindManifest
	// KindAny is a child of an index with any other media type: a manifest or a blob. The cache
	// that BuildKit exports is an index of blobs.
	KindAny
)

// String returns the kind in the words of error messages.
func (k Kind) String() string {
	switch k {
	case KindConfig:
		return "config"
	case KindLayer:
		return "layer"
	case KindBlob:
		return "blob"
	case KindManifest:
		return "manifest"
	case KindAny:
		return "manifest or blob"
	}
	return "unknown"
}

// Reference refers to one part of a manifest.
type Reference struct {
	// Kind is the kind of the content.
	Kind Kind
	// NonDistributable is set if the media type allows that the registry does not have the content.
	// Only clients fetch it, from elsewhere.
	NonDistributable bool
	// MediaType is the stated media type: text of at most 255 bytes without control characters, not
	// necessarily a valid media type.
	MediaType string
	// Digest is a sha256 or sha512 digest.
	Digest digest.Digest
	// Size is the stated size in bytes. It is not negative.
	Size int64
}

// Descriptor returns the descriptor that the referrers API lists for m (end-12 of the distribution
// specification), with the artifact type and annotations of the manifest. d and size are the digest
// and size of the content.
func (m *Manifest) Descriptor(d digest.Digest, size int64) ocispec.Descriptor {
	return ocispec.Descriptor{
		MediaType:    m.MediaType,
		Digest:       d,
		Size:         size,
		Annotations:  maps.Clone(m.Annotations),
		ArtifactType: m.ArtifactType,
	}
}

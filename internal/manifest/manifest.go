// Package manifest reads the manifests that clients push and says what they refer to. The content
// itself is never encoded again: a registry stores and serves the bytes that it got.
//
// # What is accepted
//
// A manifest is a JSON object of one of three shapes: an image ("config", "layers"), an index
// ("manifests"), or the retired OCI artifact manifest ("blobs"). OCI and Docker schema 2 media
// types must have the shape that they stand for; any other JSON media type may have any one of
// them. Config, layers and blobs may have any media type. Unknown fields are ignored, as the image
// specification demands.
//
// # What is refused
//
// A registry must not store what two clients could understand in two ways (CVE-2021-41190), so
// [Parse] refuses a "mediaType" that is not the Content-Type, more than one shape, duplicate keys,
// and keys or media types that differ from known ones in case only: encoding/json would take
// "Layers" for "layers", other parsers would not. Only JSON media types are accepted, because the
// type is sent back with the content: JSON served as text/html would be a page of the client's
// making. Docker schema 1 is refused.
//
// The same holds for every object that the image specification defines: the manifest, its
// descriptors, their platforms and annotations. Each field of them has the type that the
// specification gives it, so that clients that decode into the Go types of image-spec can read what
// was accepted. A field that is null counts as absent, as for those clients; null within an array
// or a map of strings is refused, because they read it as "". Content that a descriptor embeds
// ("data") has the size and digest that it states. The values of unknown fields are not looked at.
package manifest

import (
	"maps"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry/internal/strictjson"
)

// Error is the type of every error that [Parse] returns. Its text may be sent to the client: it is
// printable, quotes little of the input, and is short however the input looks. On the wire it is
// MANIFEST_INVALID.
type Error = strictjson.Error

// MaxReferences is the greatest number of references that a manifest may have: far beyond any
// image, and few enough for a store to look up each one.
const MaxReferences = 10_000

// Manifest is what a registry needs to know of a manifest. It shares no memory with the content.
type Manifest struct {
	// MediaType is what the manifest is to be stored and served as: its "mediaType" if it has one,
	// else the Content-Type without parameters. It is valid as the value of a header.
	MediaType string

	// References are what the manifest is made of, in the order in which it names them, config
	// first. Each digest is listed once. The subject is not among them, as it need not exist.
	References []Reference

	// Subject is the manifest that this one refers to, or nil. Only MediaType, Digest and Size are
	// set.
	Subject *ocispec.Descriptor

	// ArtifactType is the type that the referrers API reports, or "": "artifactType", and if an
	// image has none, the media type of its config.
	ArtifactType string

	// Annotations are those of the manifest itself, nil if there are none.
	Annotations map[string]string
}

// Kind says what a [Reference] refers to.
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

// String returns the kind as messages name it.
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

// Reference is one piece of content that a manifest is made of.
type Reference struct {
	// Kind is what it must be.
	Kind Kind
	// NonDistributable is set if its media type allows that the registry does not have it. Then it
	// is to be got from elsewhere, by clients only.
	NonDistributable bool
	// MediaType is its media type as the manifest states it. It is text of at most 255 bytes
	// without control characters, not necessarily a valid media type.
	MediaType string
	// Digest is its digest, by sha256 or sha512.
	Digest digest.Digest
	// Size is its declared size in bytes, not negative.
	Size int64
}

// Descriptor returns the descriptor of m that the referrers API lists (end-12 of the distribution
// specification), with the artifact type and the annotations of the manifest. d and size are those
// of the content.
func (m *Manifest) Descriptor(d digest.Digest, size int64) ocispec.Descriptor {
	return ocispec.Descriptor{
		MediaType:    m.MediaType,
		Digest:       d,
		Size:         size,
		Annotations:  maps.Clone(m.Annotations),
		ArtifactType: m.ArtifactType,
	}
}

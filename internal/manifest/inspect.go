package manifest

import (
	"slices"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry/internal/strictjson"
	"github.com/registrykit/registry/reference"
)

// Facts is what a client needs to know about a manifest that it has received or is about to send.
type Facts struct {
	// MediaType is the Content-Type without parameters, or else the field "mediaType".
	MediaType string
	// Subject is the subject of the manifest, or nil. Only MediaType, Digest and Size are set.
	Subject *ocispec.Descriptor
	// ArtifactType is that of [Manifest].
	ArtifactType string
}

// Inspect reads a manifest that another registry has sent. contentType is the value of the header
// Content-Type, or "" without one.
//
// Like [Parse], it returns an [Error] for content that clients could understand in different ways
// or could not read. Unlike Parse, it accepts any media type and any "schemaVersion", and a
// manifest of an unknown type without references.
func Inspect(contentType string, content []byte) (*Facts, error) {
	r, err := strictjson.NewReader(content)
	if err != nil {
		return nil, err
	}
	var doc document
	if err := doc.read(r); err != nil {
		return nil, err
	}
	mediaType, err := clearMediaType(contentType, doc.mediaType)
	if err != nil {
		return nil, err
	}
	found, err := doc.shape()
	if err != nil {
		return nil, err
	}
	if want := shapeOf(knownSpelling(mediaType)); found != want && found != shapeNone && want != shapeNone {
		return nil, strictjson.Invalid("a manifest of type %s must not have %q", mediaType, string(found))
	}
	return &Facts{MediaType: mediaType, Subject: doc.subject, ArtifactType: doc.reportedType()}, nil
}

// clearMediaType returns the media type of a manifest from the header Content-Type and the field
// "mediaType". At least one of them must be set. Only the header may spell a known type in another
// case.
func clearMediaType(contentType, field string) (string, error) {
	mediaType, _, _ := strings.Cut(contentType, ";")
	if mediaType = strings.Trim(mediaType, " \t"); mediaType == "" {
		mediaType = field
	}
	switch {
	case !IsMediaType(mediaType):
		return "", strictjson.Invalid("the media type is not clear: %s", reference.Quote(mediaType))
	case field != "" && (!IsMediaType(field) || !strings.EqualFold(field, mediaType)):
		return "", strictjson.In("mediaType", strictjson.Invalid("it is %s, but the Content-Type is %s",
			reference.Quote(field), reference.Quote(mediaType)))
	case knownSpelling(field) != field:
		return "", strictjson.In("mediaType", strictjson.Invalid("%s differs from %s in case",
			reference.Quote(field), reference.Quote(knownSpelling(field))))
	}
	return mediaType, nil
}

// IsMember reports whether key is the key of a member of manifests, in any case.
func IsMember(key string) bool {
	return slices.ContainsFunc(memberKeys(), func(k string) bool { return strings.EqualFold(k, key) })
}

// InspectDescriptor returns an [Error] unless content is a descriptor that all clients understand
// in the same way. Fields may be missing.
func InspectDescriptor(content []byte) error {
	r, err := strictjson.NewReader(content)
	if err != nil {
		return err
	}
	ref, err := readMembers(r)
	if err == nil && ref == nil {
		err = strictjson.Invalid("it must be an object")
	}
	return err
}

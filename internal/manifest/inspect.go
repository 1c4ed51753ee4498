package manifest

import (
	"slices"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry/internal/strictjson"
	"github.com/registrykit/registry/reference"
)

// Facts is what a client needs to know of a manifest that it has received or is about to send.
type Facts struct {
	// MediaType is that of the Content-Type without parameters, else "mediaType".
	MediaType string
	// Subject is the manifest that this one refers to, or nil. Only MediaType, Digest and Size are
	// set.
	Subject *ocispec.Descriptor
}

// Inspect reads a manifest that another registry has sent. contentType is the value of the header
// Content-Type, or "" if there was none.
//
// It returns an [Error] for what clients could understand in different ways or could not read, as
// [Parse] does. It asks for nothing more: the media type may be any, with any "schemaVersion", and
// a manifest of an unknown type need not refer to anything.
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
	return &Facts{MediaType: mediaType, Subject: doc.subject}, nil
}

// clearMediaType returns the media type of a manifest by the header Content-Type and its field
// "mediaType". Either may be empty, but not both. Only the header may spell a known type in another
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

// IsMember reports whether key is one of a manifest, in any case.
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

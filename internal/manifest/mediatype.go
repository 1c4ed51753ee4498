package manifest

import (
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry/internal/strictjson"
	"github.com/registrykit/registry/reference"
)

// Media types of manifests that image-spec has no constants for.
const (
	// MediaTypeDockerManifest is the type of a Docker image manifest, version 2, schema 2.
	MediaTypeDockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	// MediaTypeDockerManifestList is the type of a Docker manifest list.
	MediaTypeDockerManifestList = "application/vnd.docker.distribution.manifest.list.v2+json"
	// MediaTypeArtifactManifest is the type of the OCI artifact manifest, which was retired before
	// image-spec 1.1.
	MediaTypeArtifactManifest = "application/vnd.oci.artifact.manifest.v1+json"

	mediaTypeSchema1       = "application/vnd.docker.distribution.manifest.v1+json"
	mediaTypeSchema1Signed = "application/vnd.docker.distribution.manifest.v1+prettyjws"
)

const maxMediaTypeLength = 255

// shape states which fields of a manifest hold its references. Error messages name it by its
// decisive field.
type shape string

const (
	shapeNone     shape = ""
	shapeImage    shape = "config"
	shapeIndex    shape = "manifests"
	shapeArtifact shape = "blobs"
)

// shapeOf returns the shape of manifests of mediaType, or shapeNone if the type does not determine
// it.
func shapeOf(mediaType string) shape {
	switch mediaType {
	case ocispec.MediaTypeImageManifest, MediaTypeDockerManifest:
		return shapeImage
	case ocispec.MediaTypeImageIndex, MediaTypeDockerManifestList:
		return shapeIndex
	case MediaTypeArtifactManifest:
		return shapeArtifact
	}
	return shapeNone
}

// resolveMediaType returns the media type of a manifest from the header Content-Type and the field
// "mediaType". At least one of them must be set. If both are, they must be equal.
func resolveMediaType(contentType, field string) (string, error) {
	header, _, _ := strings.Cut(contentType, ";") // parameters mean nothing for JSON
	header = strings.Trim(header, " \t")
	if header == "" && contentType != "" {
		return "", strictjson.In("Content-Type", strictjson.Invalid("%s is not a media type", reference.Quote(contentType)))
	}
	switch {
	case header == "" && field == "":
		return "", strictjson.In("mediaType", strictjson.Invalid("there is neither this field nor a Content-Type"))
	case header == "":
		return field, strictjson.In("mediaType", checkManifestType(field))
	}
	if IsMediaType(header) {
		// The case of a header is not always the client's choice: HTTP libraries and proxies may
		// change it.
		header = knownSpelling(header)
	}
	if err := checkManifestType(header); err != nil {
		return "", strictjson.In("Content-Type", err)
	}
	if field == "" {
		return header, nil
	}
	if !strings.EqualFold(header, field) {
		return "", strictjson.In("mediaType", strictjson.Invalid("it is %s, but the Content-Type is %s",
			reference.Quote(field), reference.Quote(header)))
	}
	return field, strictjson.In("mediaType", checkManifestType(field))
}

// checkManifestType returns nil if mediaType may be stored and sent back as the Content-Type of a
// manifest.
func checkManifestType(mediaType string) error {
	if !IsMediaType(mediaType) {
		return strictjson.Invalid("%s is not a media type", reference.Quote(mediaType))
	}
	switch known := knownSpelling(mediaType); {
	case known == mediaTypeSchema1, known == mediaTypeSchema1Signed:
		return strictjson.Invalid("Docker image manifests of schema 1 are not supported")
	case known != mediaType:
		return strictjson.Invalid("%s differs from %s in case", reference.Quote(mediaType), reference.Quote(known))
	}
	if lower := strings.ToLower(mediaType); !strings.HasSuffix(lower, "+json") && !strings.HasSuffix(lower, "/json") {
		return strictjson.Invalid("%s is not a JSON media type", reference.Quote(mediaType))
	}
	return nil
}

// knownSpelling returns the known media type of manifests that equals mediaType except for case, or
// else mediaType itself.
func knownSpelling(mediaType string) string {
	for _, known := range [...]string{
		ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageIndex, MediaTypeDockerManifest, MediaTypeDockerManifestList,
		MediaTypeArtifactManifest, mediaTypeSchema1, mediaTypeSchema1Signed,
	} {
		if strings.EqualFold(known, mediaType) {
			return known
		}
	}
	return mediaType
}

// IsMediaType reports whether s is type "/" subtype, both restricted names by RFC 6838, section
// 4.2.
func IsMediaType(s string) bool {
	typ, subtype, found := strings.Cut(s, "/")
	return found && len(s) <= maxMediaTypeLength && isRestrictedName(typ) && isRestrictedName(subtype)
}

func isRestrictedName(s string) bool {
	if s == "" || len(s) > 127 {
		return false
	}
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case i > 0 && strings.IndexByte("!#$&-^_.+", c) >= 0:
		default:
			return false
		}
	}
	return true
}

// checkContentType returns nil if s is acceptable as the media type or artifact type of content
// that is not served under it. The specification requires a media type by RFC 6838 here, too.
// Clients put parameters and other words there, however, and registries have always accepted them;
// s is only ever written to JSON.
func checkContentType(s string) error {
	if len(s) > maxMediaTypeLength {
		return strictjson.Invalid("it is longer than %d bytes", maxMediaTypeLength)
	}
	for _, r := range s {
		if r < ' ' || 0x7f <= r && r <= 0x9f {
			return strictjson.Invalid("%s has a control character", reference.Quote(s))
		}
	}
	return nil
}

// isNonDistributable reports whether a registry may lack a layer of mediaType. These are the
// deprecated "non-distributable" layers of OCI and the "foreign" layers of Docker.
func isNonDistributable(mediaType string) bool {
	return strings.HasPrefix(mediaType, "application/vnd.oci.image.layer.nondistributable.") ||
		strings.HasPrefix(mediaType, "application/vnd.docker.image.rootfs.foreign.")
}

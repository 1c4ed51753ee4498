package manifest

import (
	"encoding/base64"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry/internal/strictjson"
	"github.com/registrykit/registry/reference"
)

// readDescriptor reads a descriptor (image-spec, "OCI Content Descriptors"). It returns nil for
// null. It does not set Kind.
func readDescriptor(r *strictjson.Reader) (*Reference, error) {
	ref, err := readMembers(r)
	switch {
	case err != nil || ref == nil:
		return nil, err
	case ref.MediaType == "":
		return nil, strictjson.In("mediaType", strictjson.Invalid("a descriptor must have it"))
	case ref.Digest == "":
		return nil, strictjson.In("digest", strictjson.Invalid("a descriptor must have it"))
	case ref.Size < 0:
		return nil, strictjson.In("size", strictjson.Invalid("a descriptor must have it"))
	}
	ref.NonDistributable = isNonDistributable(ref.MediaType)
	return ref, nil
}

// readMembers reads the members of a descriptor. Size is negative if it is missing. "data" and
// "urls" are checked but not used: the registry must have embedded content anyway, and fetches
// nothing from elsewhere.
func readMembers(r *strictjson.Reader) (*Reference, error) {
	known := []string{"mediaType", "digest", "size", "urls", "annotations", "data", "platform", "artifactType"}
	ref := &Reference{Size: -1}
	var data []byte
	present, err := r.Object(known, func(key string) (err error) {
		switch key {
		case "mediaType":
			if ref.MediaType, err = r.Text(); err == nil {
				err = checkContentType(ref.MediaType)
			}
		case "digest":
			ref.Digest, err = readDigest(r)
		case "size":
			if ref.Size, err = r.Integer(); err == nil && ref.Size < 0 {
				err = strictjson.Invalid("it must not be negative")
			}
		default:
			if r.Lax() {
				r.Skip()
				return nil
			}
			data, err = readDetail(r, key, data)
		}
		return err
	})
	if err != nil || !present {
		return nil, err
	}
	if data != nil && !ref.has(data) {
		return nil, strictjson.In("data", strictjson.Invalid(
			"it is not the content with the digest and size of the descriptor"))
	}
	return ref, nil
}

// has reports whether content has the digest and size of ref.
func (ref *Reference) has(content []byte) bool {
	return ref.Digest != "" && ref.Size == int64(len(content)) && ref.Digest.Algorithm().FromBytes(content) == ref.Digest
}

// readDetail checks a field of a descriptor that Reference does not have. For "data" it returns the
// embedded content, and for every other field it returns data unchanged.
func readDetail(r *strictjson.Reader, key string, data []byte) ([]byte, error) {
	var err error
	switch key {
	case "urls":
		err = checkTexts(r)
	case "annotations":
		_, err = r.StringMap()
	case "platform":
		err = checkPlatform(r)
	case "artifactType":
		_, err = r.Text()
	case "data":
		return readData(r)
	}
	return data, err
}

// checkPlatform checks the platform of a descriptor (image-spec, "Image Index Property
// Descriptions"). Docker's lists also have "features".
func checkPlatform(r *strictjson.Reader) error {
	known := []string{"architecture", "os", "variant", "os.version", "os.features", "features"}
	_, err := r.Object(known, func(key string) (err error) {
		switch key {
		case "os.features", "features":
			return checkTexts(r)
		}
		_, err = r.Text()
		return err
	})
	return err
}

// checkTexts checks an array of strings, or null.
func checkTexts(r *strictjson.Reader) error {
	return r.Array(func() error {
		_, err := r.Element()
		return err
	})
}

// readData returns the content that a descriptor embeds, or nil for null. RFC 4648 requires
// decoders to refuse line breaks and stray bits. encoding/base64 accepts them by default, and other
// decoders do not.
func readData(r *strictjson.Reader) ([]byte, error) {
	if r.Null() {
		return nil, nil
	}
	text, err := r.Text()
	if err != nil {
		return nil, err
	}
	data, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || strings.ContainsAny(text, "\r\n") {
		return nil, strictjson.Invalid("it is not valid Base 64")
	}
	return data, nil
}

func readDigest(r *strictjson.Reader) (digest.Digest, error) {
	s, err := r.Text()
	if err != nil {
		return "", err
	}
	d, err := reference.ParseDigest(s)
	if err != nil {
		return "", &Error{Problem: err.Error(), Err: err}
	}
	return d, nil
}

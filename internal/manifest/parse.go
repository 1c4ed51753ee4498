package manifest

import (
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry/internal/strictjson"
)

// Parse reads one manifest that a client pushes. contentType is the value of the header
// Content-Type, or "" without one. The error is an *[Error]. The time is linear in len(content),
// which the caller must limit.
func Parse(contentType string, content []byte) (*Manifest, error) {
	r, err := strictjson.NewReader(content)
	if err != nil {
		return nil, err
	}
	return parse(contentType, r)
}

// ParseStored reads a manifest that was accepted when it was stored, perhaps by a version of this
// package with weaker rules. It ignores defects of fields that Manifest does not have. mediaType is
// the type under which it was stored.
func ParseStored(mediaType string, content []byte) (*Manifest, error) {
	r, err := strictjson.NewLaxReader(content)
	if err != nil {
		return nil, err
	}
	return parse(mediaType, r)
}

func parse(contentType string, r *strictjson.Reader) (*Manifest, error) {
	var doc document
	if err := doc.read(r); err != nil {
		return nil, err
	}
	mediaType, err := resolveMediaType(contentType, doc.mediaType)
	if err != nil {
		return nil, err
	}
	if err := doc.check(mediaType); err != nil {
		return nil, err
	}
	references, err := merge(doc.references)
	if err != nil {
		return nil, err
	}
	return &Manifest{
		MediaType:    mediaType,
		References:   references,
		Subject:      doc.subject,
		ArtifactType: doc.reportedType(),
		Annotations:  doc.annotations,
	}, nil
}

// reportedType returns Manifest.ArtifactType.
func (doc *document) reportedType() string {
	if doc.artifactType == "" && doc.config != nil {
		return doc.config.MediaType
	}
	return doc.artifactType
}

// document is a manifest of any shape.
type document struct {
	schemaVersion string // as it is written; "" if there is none
	mediaType     string
	artifactType  string
	config        *Reference
	references    []Reference // of layers, manifests and blobs
	subject       *ocispec.Descriptor
	annotations   map[string]string

	hasConfig, hasLayers, hasManifests, hasBlobs, hasFSLayers bool // the key is there, with whatever value
}

// memberKeys returns the keys of all members that some shape of manifest has.
func memberKeys() []string {
	return []string{"schemaVersion", "mediaType", "artifactType", "config", "layers", "manifests", "blobs", "subject",
		"annotations", "fsLayers"}
}

func (doc *document) read(r *strictjson.Reader) error {
	present, err := r.Object(memberKeys(), func(key string) (err error) {
		switch key {
		case "schemaVersion":
			doc.schemaVersion = readSchemaVersion(r)
		case "mediaType":
			doc.mediaType, err = r.Text()
		case "artifactType":
			if doc.artifactType, err = r.Text(); err == nil {
				err = checkContentType(doc.artifactType)
			}
		case "config":
			doc.hasConfig = true
			doc.config, err = readDescriptor(r)
		case "layers":
			doc.hasLayers = true
			err = doc.readReferences(r, KindLayer)
		case "manifests":
			doc.hasManifests = true
			err = doc.readReferences(r, KindAny)
		case "blobs":
			doc.hasBlobs = true
			err = doc.readReferences(r, KindBlob)
		case "subject":
			err = doc.readSubject(r)
		case "annotations":
			doc.annotations, err = r.StringMap()
		case "fsLayers":
			doc.hasFSLayers = true
			r.Skip()
		}
		return err
	})
	switch {
	case err != nil:
		return err
	case !present:
		return strictjson.Invalid("it must be a JSON object")
	case doc.config != nil:
		doc.config.Kind, doc.config.NonDistributable = KindConfig, false
		doc.references = slices.Insert(doc.references, 0, *doc.config)
	}
	return checkCount(len(doc.references))
}

func checkCount(references int) error {
	if references > MaxReferences {
		return strictjson.Invalid("a manifest may have at most %d references", MaxReferences)
	}
	return nil
}

func (doc *document) readReferences(r *strictjson.Reader, kind Kind) error {
	return r.Array(func() error {
		if err := checkCount(len(doc.references) + 1); err != nil {
			return err
		}
		ref, err := readDescriptor(r)
		if err != nil {
			return err
		}
		if ref == nil {
			return strictjson.Invalid("it must be an object")
		}
		ref.Kind = kind
		if kind == KindAny && shapeOf(ref.MediaType) != shapeNone {
			ref.Kind = KindManifest
		}
		doc.references = append(doc.references, *ref)
		return nil
	})
}

func (doc *document) readSubject(r *strictjson.Reader) error {
	ref, err := readDescriptor(r)
	if ref != nil {
		doc.subject = &ocispec.Descriptor{MediaType: ref.MediaType, Digest: ref.Digest, Size: ref.Size}
	}
	return err
}

// check returns nil if doc may be a manifest of mediaType.
func (doc *document) check(mediaType string) error {
	if doc.hasFSLayers || doc.schemaVersion == "1" {
		return strictjson.Invalid("Docker image manifests of schema 1 are not supported")
	}
	found, err := doc.shape()
	if err != nil {
		return err
	}
	switch want := shapeOf(mediaType); {
	case found == shapeNone && want == shapeArtifact:
		// "blobs" was optional.
	case found == shapeNone && want == shapeNone:
		return strictjson.Invalid(`it has none of "config", "layers", "manifests" and "blobs"`)
	case want == shapeNone:
		return nil
	case found != want, want == shapeImage && doc.config == nil:
		return strictjson.In(string(want), strictjson.Invalid("a manifest of type %s must have it", mediaType))
	case want != shapeArtifact && doc.schemaVersion != "2":
		return strictjson.In("schemaVersion", strictjson.Invalid("it must be 2"))
	}
	return nil
}

// shape returns the only shape that doc has fields of, or shapeNone if it has no such field.
func (doc *document) shape() (shape, error) {
	found := shapeNone
	for _, s := range [...]struct {
		shape shape
		has   bool
	}{
		{shapeImage, doc.hasConfig || doc.hasLayers}, {shapeIndex, doc.hasManifests}, {shapeArtifact, doc.hasBlobs},
	} {
		switch {
		case !s.has:
		case found != shapeNone:
			return shapeNone, strictjson.Invalid(`it must have only one of: "config" and "layers"; "manifests"; "blobs"`)
		default:
			found = s.shape
		}
	}
	return found, nil
}

// readSchemaVersion returns the version as it is written, or "other" if it cannot be 1 or 2. This
// is not an error yet, because only some media types give the field a meaning.
func readSchemaVersion(r *strictjson.Reader) string {
	raw := r.Skip()
	if len(raw) > 1 {
		return "other"
	}
	return string(raw)
}

// merge keeps one reference to each digest, the first, with the strictest requirements of all of
// them. Images repeat empty layers, and a config and a layer may both be "{}". Different sizes for
// one digest are an error.
func merge(references []Reference) ([]Reference, error) {
	index := make(map[digest.Digest]int, len(references))
	merged := references[:0]
	for _, ref := range references {
		i, ok := index[ref.Digest]
		if !ok {
			index[ref.Digest] = len(merged)
			merged = append(merged, ref)
			continue
		}
		first := &merged[i]
		if first.Size != ref.Size {
			return nil, &Error{Field: string(ref.Digest), Problem: "it is given different sizes"}
		}
		first.NonDistributable = first.NonDistributable && ref.NonDistributable
		if ref.Kind == KindManifest {
			first.Kind, first.MediaType = ref.Kind, ref.MediaType
		}
	}
	return merged, nil
}

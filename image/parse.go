package image

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/manifest"
)

// ParseManifest returns the facts of a manifest, without those of a configuration. It also returns
// the descriptor of the configuration of an image, or nil for anything else.
//
// Errors: an error for content that is no manifest.
func ParseManifest(m *registry.Manifest) (f *Facts, config *ocispec.Descriptor, err error) {
	doc, err := manifest.ParseStored(m.Descriptor.MediaType, m.Content)
	if err != nil {
		return nil, nil, fmt.Errorf("image: manifest %s: %w", m.Descriptor.Digest, err)
	}
	f = &Facts{
		Descriptor: ocispec.Descriptor{MediaType: doc.MediaType, Digest: m.Descriptor.Digest, Size: int64(len(m.Content))},
		Kind:       KindArtifact, ArtifactType: doc.ArtifactType, Annotations: doc.Annotations, Subject: doc.Subject,
		Size: int64(len(m.Content)),
	}
	refs := map[string]*manifest.Reference{}
	for i := range doc.References {
		ref := &doc.References[i]
		refs[string(ref.Digest)] = ref
		switch ref.Kind {
		case manifest.KindManifest, manifest.KindAny:
			f.Kind = KindIndex
			continue
		case manifest.KindConfig:
			d := ocispec.Descriptor{MediaType: ref.MediaType, Digest: ref.Digest, Size: ref.Size}
			f.ConfigBlob = &d
			if isImageConfig(ref.MediaType) {
				f.Kind, config = KindImage, &d
			}
		}
		f.Size = add(f.Size, ref.Size)
	}
	f.Manifests, f.Layers = elementsOf(m.Content, refs)
	if isIndex(doc.MediaType) {
		f.Kind = KindIndex // also one without elements
	}
	return f, config, nil
}

// add returns a+b, or the greatest number if that is too large: sizes are what a client has stated.
func add(a, b int64) int64 {
	if sum := a + b; sum >= a {
		return sum
	}
	return 1<<63 - 1
}

func isIndex(mediaType string) bool {
	return mediaType == ocispec.MediaTypeImageIndex || mediaType == manifest.MediaTypeDockerManifestList
}

// isImageConfig reports whether a media type is that of the configuration of an image.
func isImageConfig(mediaType string) bool {
	return mediaType == ocispec.MediaTypeImageConfig || mediaType == "application/vnd.docker.container.image.v1+json"
}

// elementsOf returns the elements of an index, and the layers or blobs of another manifest, in their
// order. An image may have the same layer several times. content is one that package manifest accepts,
// and refs are its references by digest. Malformed details are left out.
func elementsOf(content []byte, refs map[string]*manifest.Reference) (manifests, layers []ocispec.Descriptor) {
	top := object(content)
	for _, list := range []string{"manifests", "layers", "blobs"} {
		var all []json.RawMessage
		if json.Unmarshal(top[list], &all) != nil {
			continue
		}
		for _, raw := range all {
			fields := object(raw)
			var name string
			if json.Unmarshal(fields["digest"], &name) != nil {
				continue
			}
			ref := refs[name]
			if ref == nil {
				continue
			}
			d := ocispec.Descriptor{MediaType: ref.MediaType, Digest: ref.Digest, Size: ref.Size}
			if json.Unmarshal(fields["annotations"], &d.Annotations) != nil {
				d.Annotations = nil
			}
			if ref.Kind != manifest.KindManifest && ref.Kind != manifest.KindAny {
				if ref.Kind == manifest.KindConfig { // the same content has another type as a configuration
					_ = json.Unmarshal(fields["mediaType"], &d.MediaType)
				}
				layers = append(layers, d)
				continue
			}
			_ = json.Unmarshal(fields["platform"], &d.Platform)
			_ = json.Unmarshal(fields["artifactType"], &d.ArtifactType)
			manifests = append(manifests, d)
		}
	}
	return manifests, layers
}

// object returns the members of a JSON object by their exact keys, or nil for anything else. A
// plain struct would also take keys in another case.
func object(raw []byte) map[string]json.RawMessage {
	var fields map[string]json.RawMessage
	if json.Unmarshal(raw, &fields) != nil {
		return nil
	}
	return fields
}

// MaxHistory is the maximum length of Config.History. Further steps are left out.
const MaxHistory = 10_000

// maxMalformed is the maximum length of Config.Malformed.
const maxMalformed = 100

// ParseConfig returns what the configuration of an image says.
//
// Errors: an error for content that is not a JSON object.
func ParseConfig(content []byte) (*Config, error) {
	r := fieldReader{fields: object(content)}
	if r.fields == nil {
		return nil, fmt.Errorf("image: the configuration is not a JSON object")
	}
	c := &Config{}
	c.Created = r.time("created")
	read(&r, "author", &c.Author)
	read(&r, "os", &c.Platform.OS)
	read(&r, "architecture", &c.Platform.Architecture)
	read(&r, "variant", &c.Platform.Variant)
	read(&r, "os.version", &c.Platform.OSVersion)
	read(&r, "os.features", &c.Platform.OSFeatures)
	c.readRun(&r)
	var history []json.RawMessage
	read(&r, "history", &history)
	if len(history) > MaxHistory {
		r.malformed, history = append(r.malformed, "history"), history[:MaxHistory]
	}
	for i, raw := range history {
		s := r.element("history", i, raw)
		step := Step{Created: s.time("created")}
		read(&s, "created_by", &step.CreatedBy)
		read(&s, "author", &step.Author)
		read(&s, "comment", &step.Comment)
		read(&s, "empty_layer", &step.EmptyLayer)
		c.History = append(c.History, step)
		r.malformed = append(r.malformed, s.malformed...)
	}
	c.Malformed = r.names()
	return c, nil
}

// readRun reads how a container of the image runs.
func (c *Config) readRun(r *fieldReader) {
	run := fieldReader{fields: object(r.fields["config"]), prefix: "config."}
	if run.fields == nil && len(r.fields["config"]) > 0 && string(r.fields["config"]) != "null" {
		r.malformed = append(r.malformed, "config")
	}
	read(&run, "Entrypoint", &c.Entrypoint)
	read(&run, "Cmd", &c.Cmd)
	read(&run, "Env", &c.Env)
	read(&run, "WorkingDir", &c.WorkingDir)
	read(&run, "User", &c.User)
	read(&run, "StopSignal", &c.StopSignal)
	read(&run, "Labels", &c.Labels)
	var set map[string]json.RawMessage
	read(&run, "ExposedPorts", &set)
	c.ExposedPorts, set = slices.Sorted(maps.Keys(set)), nil
	read(&run, "Volumes", &set)
	c.Volumes = slices.Sorted(maps.Keys(set))
	r.malformed = append(r.malformed, run.malformed...)
}

// fieldReader reads the members of an object and notes those of a wrong type.
type fieldReader struct {
	fields    map[string]json.RawMessage
	prefix    string
	malformed []string
}

// read reads a member into v. An absent member leaves v as it is.
func read[T any](r *fieldReader, key string, v *T) {
	raw, ok := r.fields[key]
	if !ok {
		return
	}
	var found T
	if json.Unmarshal(raw, &found) != nil {
		r.malformed = append(r.malformed, r.prefix+key)
		return
	}
	*v = found
}

func (r *fieldReader) time(key string) time.Time {
	var t time.Time
	read(r, key, &t)
	return t
}

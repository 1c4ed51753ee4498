package layout

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/manifest"
	"github.com/registrykit/registry/internal/strictjson"
	"github.com/registrykit/registry/reference"
)

// entry is one descriptor of index.json.
type entry struct {
	desc ocispec.Descriptor // media type, digest, size and annotations
	name name
	bare bool            // see nameOf
	raw  json.RawMessage // as it is in the file
	// plain is set for an entry that PutManifest added for a manifest without a tag.
	plain bool
}

// index is index.json.
type index struct {
	stamp   stamp
	entries []*entry
	others  map[string]json.RawMessage // members other than the entries

	tags    map[name][]*entry
	digests map[digest.Digest][]*entry
	repos   map[string][]string // the tags of each repository in ascending order; nil if they must be sorted again
	bare    string              // the repository of the first tag that stands alone
}

// newIndex returns an index without entries.
func newIndex() *index {
	return &index{
		tags: map[name][]*entry{}, digests: map[digest.Digest][]*entry{},
		others: map[string]json.RawMessage{
			"schemaVersion": json.RawMessage("2"), "mediaType": json.RawMessage(`"` + ocispec.MediaTypeImageIndex + `"`),
		},
	}
}

// parseIndex reads index.json. limit is the maximum number of entries.
//
// Errors: strictjson.Error.
func parseIndex(content []byte, main string, limit int) (*index, error) {
	r, err := strictjson.NewReader(content)
	if err != nil {
		return nil, err
	}
	x := newIndex()
	ok, err := r.Object([]string{"schemaVersion", "mediaType", "manifests"}, func(key string) error {
		if key != "manifests" {
			r.Skip()
			return nil
		}
		return r.Array(func() error {
			if len(x.entries) == limit {
				return strictjson.Invalid("there are more than %d manifests", limit)
			}
			e, err := parseEntry(r.Skip(), main)
			if err != nil {
				return strictjson.In(fmt.Sprintf("manifests[%d]", len(x.entries)), err)
			}
			x.insert(e)
			return nil
		})
	})
	switch {
	case err != nil:
		return nil, err
	case !ok:
		return nil, strictjson.Invalid("it must be an object")
	}
	x.others = map[string]json.RawMessage{}
	if err := json.Unmarshal(content, &x.others); err != nil {
		return nil, err
	}
	delete(x.others, "manifests")
	return x, nil
}

// parseEntry reads one descriptor.
func parseEntry(raw []byte, main string) (*entry, error) {
	if err := manifest.InspectDescriptor(raw); err != nil {
		return nil, err
	}
	e := &entry{raw: raw}
	var desc struct {
		MediaType   string            `json:"mediaType"`
		Digest      digest.Digest     `json:"digest"`
		Size        int64             `json:"size"`
		Annotations map[string]string `json:"annotations"`
	}
	if err := json.Unmarshal(raw, &desc); err != nil {
		return nil, strictjson.Invalid("it is no descriptor")
	}
	if err := reference.CheckDigest(string(desc.Digest)); err != nil {
		return nil, strictjson.In("digest", strictjson.Invalid("%s", err))
	}
	switch {
	case !manifest.IsMediaType(desc.MediaType):
		return nil, strictjson.In("mediaType", strictjson.Invalid("it is invalid: %s", reference.Quote(desc.MediaType)))
	case desc.Size < 0:
		return nil, strictjson.In("size", strictjson.Invalid("it is negative"))
	}
	e.desc = ocispec.Descriptor{MediaType: desc.MediaType, Digest: desc.Digest, Size: desc.Size,
		Annotations: desc.Annotations}
	e.name, e.bare = nameOf(desc.Annotations, main)
	return e, nil
}

// insert adds an entry.
func (x *index) insert(e *entry) {
	x.entries = append(x.entries, e)
	x.digests[e.desc.Digest] = append(x.digests[e.desc.Digest], e)
	if e.name == (name{}) {
		return
	}
	x.tags[e.name] = append(x.tags[e.name], e)
	x.repos = nil
	if e.bare && x.bare == "" {
		x.bare = e.name.repo
	}
}

// remove removes an entry.
func (x *index) remove(e *entry) {
	is := func(other *entry) bool { return other == e }
	x.entries = slices.DeleteFunc(x.entries, is)
	if x.digests[e.desc.Digest] = slices.DeleteFunc(x.digests[e.desc.Digest], is); len(x.digests[e.desc.Digest]) == 0 {
		delete(x.digests, e.desc.Digest)
	}
	if e.name == (name{}) {
		return
	}
	if x.tags[e.name] = slices.DeleteFunc(x.tags[e.name], is); len(x.tags[e.name]) == 0 {
		delete(x.tags, e.name)
	}
	x.repos = nil
}

// names returns the tags of each repository, in ascending order.
func (x *index) names() map[string][]string {
	if x.repos == nil {
		x.repos = map[string][]string{}
		for n := range x.tags {
			x.repos[n.repo] = append(x.repos[n.repo], n.tag)
		}
		for _, tags := range x.repos {
			slices.Sort(tags)
		}
	}
	return x.repos
}

// find returns the entry of a tag, or nil.
//
// Errors: registry.ErrManifestInvalid if several entries give the tag to different manifests.
func (x *index) find(n name) (*entry, error) {
	all := x.tags[n]
	if len(all) == 0 {
		return nil, nil
	}
	for _, e := range all[1:] {
		if e.desc.Digest != all[0].desc.Digest {
			return nil, registry.ErrManifestInvalid.WithMessage(fmt.Sprintf(
				"the layout gives %s:%s to several manifests, %s and %s", n.repo, n.tag, all[0].desc.Digest, e.desc.Digest))
		}
	}
	return all[0], nil
}

// encode returns index.json.
func (x *index) encode() []byte {
	var b bytes.Buffer
	b.WriteByte('{')
	for _, key := range slices.Sorted(maps.Keys(x.others)) {
		k, _ := json.Marshal(key) // strings can always be encoded
		b.Write(k)
		b.WriteByte(':')
		b.Write(x.others[key])
		b.WriteByte(',')
	}
	b.WriteString(`"manifests":[`)
	for i, e := range x.entries {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteByte('\n')
		b.Write(e.raw)
	}
	b.WriteString("\n]}\n")
	return b.Bytes()
}

// newEntry returns an entry for a manifest with annotations.
func newEntry(desc ocispec.Descriptor, n name, annotations map[string]string) *entry {
	desc.Annotations = annotations
	raw, _ := json.Marshal(desc) // a descriptor can always be encoded
	return &entry{desc: desc, name: n, bare: annotations[ocispec.AnnotationRefName] == n.tag, raw: raw}
}

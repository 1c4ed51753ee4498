package upstreamtest

import (
	"encoding/json"
	"errors"
	"slices"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

var errRefused = errors.New("connection refused")

// repo returns a repository and creates it if necessary. The caller holds s.mu.
func (s *Server) repo(name string) *repository {
	r := s.repos[name]
	if r == nil {
		r = &repository{blobs: map[digest.Digest][]byte{}, manifests: map[digest.Digest]manifest{},
			tags: map[string]digest.Digest{}}
		s.repos[name] = r
	}
	return r
}

// Blob adds a blob to a repository.
func (s *Server) Blob(repo string, content []byte) ocispec.Descriptor {
	d := digest.FromBytes(content)
	s.SetBlob(repo, d, content)
	return ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: d, Size: int64(len(content))}
}

// SetBlob sets the bytes that the server sends for a digest, right or wrong.
func (s *Server) SetBlob(repo string, d digest.Digest, content []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.repo(repo).blobs[d] = slices.Clone(content)
}

// Manifest adds a manifest to a repository, and a tag unless it is "".
func (s *Server) Manifest(repo, tag, mediaType string, content []byte) ocispec.Descriptor {
	desc := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(content), Size: int64(len(content))}
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.repo(repo)
	r.manifests[desc.Digest] = manifest{desc, slices.Clone(content)}
	if tag != "" {
		r.tags[tag] = desc.Digest
	}
	return desc
}

// Image adds an image with these layers, its configuration, and a tag unless it is "".
func (s *Server) Image(repo, tag string, layers ...[]byte) (ocispec.Descriptor, ocispec.Manifest) {
	config := s.Blob(repo, []byte(`{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}`))
	config.MediaType = ocispec.MediaTypeImageConfig
	m := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: config, Layers: []ocispec.Descriptor{}}
	for _, l := range layers {
		m.Layers = append(m.Layers, s.Blob(repo, l))
	}
	return s.Manifest(repo, tag, ocispec.MediaTypeImageManifest, encode(m)), m
}

// Index adds an index of manifests, and a tag unless it is "".
func (s *Server) Index(repo, tag string, manifests ...ocispec.Descriptor) ocispec.Descriptor {
	return s.Manifest(repo, tag, ocispec.MediaTypeImageIndex, encode(ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex,
		Manifests: manifests}))
}

// Referrer adds an artifact whose subject is another manifest.
func (s *Server) Referrer(repo string, subject ocispec.Descriptor, artifactType string) ocispec.Descriptor {
	empty := s.Blob(repo, ocispec.DescriptorEmptyJSON.Data)
	empty.MediaType = ocispec.MediaTypeEmptyJSON
	subject.Platform = nil
	return s.Manifest(repo, "", ocispec.MediaTypeImageManifest, encode(ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		ArtifactType: artifactType, Config: empty, Layers: []ocispec.Descriptor{empty}, Subject: &subject}))
}

// Tag points a tag at a manifest.
func (s *Server) Tag(repo, tag string, d digest.Digest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.repo(repo).tags[tag] = d
}

// Delete removes a tag, manifest or blob from a repository.
func (s *Server) Delete(repo, ref string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.repo(repo)
	delete(r.tags, ref)
	delete(r.manifests, digest.Digest(ref))
	delete(r.blobs, digest.Digest(ref))
}

// find returns the manifest of a tag or digest. The caller holds s.mu.
func (r *repository) find(ref string) (manifest, bool) {
	d, ok := r.tags[ref]
	if !ok {
		d = digest.Digest(ref)
	}
	m, ok := r.manifests[d]
	return m, ok
}

// referrers returns the index of the manifests with a subject. The caller holds s.mu.
func (r *repository) referrers(subject digest.Digest) []byte {
	index := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex,
		Manifests: []ocispec.Descriptor{}}
	for _, m := range r.manifests {
		var body ocispec.Manifest
		if json.Unmarshal(m.content, &body) != nil || body.Subject == nil || body.Subject.Digest != subject {
			continue
		}
		desc := m.desc
		if desc.ArtifactType = body.ArtifactType; desc.ArtifactType == "" {
			desc.ArtifactType = body.Config.MediaType
		}
		desc.Annotations = body.Annotations
		index.Manifests = append(index.Manifests, desc)
	}
	return encode(index)
}

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // the values are those of a test
	}
	return b
}

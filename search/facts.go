package search

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/image"
	"github.com/registrykit/registry/reference"
)

// Limits of what the index keeps of a manifest.
const (
	maxLabels    = 1 << 10 // bytes of labels and annotations
	maxLabel     = 256     // bytes of one of them
	maxLayers    = 256     // layers
	maxPlatforms = 16
	maxTypeName  = 255     // bytes of an artifact type
	maxConfig    = 1 << 20 // bytes of a configuration that is read
	// factsBytes is about the memory of facts without texts and layers.
	factsBytes = 160
)

// facts are what the index knows of a manifest. They do not change.
type facts struct {
	kind         image.Kind
	artifactType string
	// platforms are such as "linux/arm64/v8".
	platforms []string
	// labels are the labels and annotations, each as KEY=VALUE and a line break. folded is the same in
	// lower case.
	labels, folded string
	// layers are the layers from the lowest up, as the first 64 bits of their digests.
	layers []uint64
}

// bytes returns about the memory that the facts take.
func (f *facts) bytes() int {
	n := factsBytes + len(f.artifactType) + len(f.labels) + 8*len(f.layers)
	for _, p := range f.platforms {
		n += 16 + len(p)
	}
	if f.folded != f.labels {
		n += len(f.folded)
	}
	return n
}

// readFacts reads a manifest and its configuration. It returns nil for a manifest that clients cannot
// pull, for example because its push has not ended.
//
// Errors: those of the storage. Content that is no valid manifest or configuration is not an error.
func readFacts(ctx context.Context, from registry.Reader, repo string, d digest.Digest) (*facts, error) {
	ref := reference.Ref{Digest: d}
	f, err := image.Read(ctx, from, repo, ref, &image.Options{MaxConfig: maxConfig})
	switch {
	case err == nil, errors.Is(err, image.ErrConfig):
		return factsOf(f), nil
	case errors.Is(err, registry.ErrManifestUnknown), errors.Is(err, registry.ErrNameUnknown):
		return nil, nil
	}
	m, again := from.GetManifest(ctx, repo, ref)
	if again != nil {
		return nil, again
	}
	if _, _, wrong := image.ParseManifest(m); wrong == nil {
		return nil, err
	}
	return &facts{}, nil
}

// factsOf returns what the index keeps of the facts of a manifest.
func factsOf(f *image.Facts) *facts {
	short := &facts{kind: f.Kind, artifactType: strings.Clone(f.ArtifactType[:min(len(f.ArtifactType), maxTypeName)])}
	if f.Kind == image.KindIndex && short.artifactType == "" {
		short.artifactType = f.Descriptor.MediaType
	}
	var lines strings.Builder
	if c := f.Config; c != nil {
		short.addPlatform(&c.Platform)
		appendLabels(&lines, c.Labels)
	}
	for i := range f.Manifests {
		if p := f.Manifests[i].Platform; p != nil {
			short.addPlatform(p)
		}
	}
	appendLabels(&lines, f.Annotations)
	short.labels = lines.String()
	if short.folded = strings.ToLower(short.labels); short.folded == short.labels {
		short.folded = short.labels // the memory of one
	}
	if f.Kind == image.KindImage {
		short.layers = shortLayers(f.Layers)
	}
	return short
}

// addPlatform adds a platform that is not there yet. "unknown" is what builders call an element of an
// index that is no image.
func (f *facts) addPlatform(p *ocispec.Platform) {
	text := p.OS + "/" + p.Architecture
	if p.Variant != "" {
		text += "/" + p.Variant
	}
	if text == "/" || p.OS == "unknown" || len(text) > maxTypeName || len(f.platforms) >= maxPlatforms ||
		slices.Contains(f.platforms, text) {
		return
	}
	f.platforms = append(f.platforms, strings.ToValidUTF8(text, ""))
}

// appendLabels appends labels in ascending order of their keys, as far as there is room. A line break
// in a label becomes a space.
func appendLabels(to *strings.Builder, labels map[string]string) {
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		line := key + "=" + labels[key]
		line = strings.ToValidUTF8(line[:min(len(line), maxLabel)], "")
		if len(line) >= maxLabels-to.Len() {
			return
		}
		to.WriteString(strings.ReplaceAll(line, "\n", " "))
		to.WriteByte('\n')
	}
}

// shortLayers returns the first layers as numbers.
func shortLayers(layers []ocispec.Descriptor) []uint64 {
	short := make([]uint64, 0, min(len(layers), maxLayers))
	for i := range layers[:min(len(layers), maxLayers)] {
		short = append(short, shortDigest(layers[i].Digest))
	}
	return short
}

// shortDigest returns the first 64 bits of a digest. Zero stands for a digest that is too short.
func shortDigest(d digest.Digest) uint64 {
	_, encoded, _ := strings.Cut(string(d), ":")
	var b [8]byte
	if len(encoded) < 16 {
		return 0
	}
	if _, err := hex.Decode(b[:], []byte(encoded[:16])); err != nil {
		return 0
	}
	return binary.BigEndian.Uint64(b[:])
}

// packed is a digest in memory: the bytes of a SHA-256, or the text of any other digest, which is longer.
type packed string

// pack returns a digest in its short form.
func pack(d digest.Digest) packed {
	if encoded, ok := strings.CutPrefix(string(d), "sha256:"); ok {
		if raw, err := hex.DecodeString(encoded); err == nil && len(raw) == 32 {
			return packed(raw)
		}
	}
	return packed(strings.Clone(string(d)))
}

// digest returns the digest.
func (p packed) digest() digest.Digest {
	if len(p) == 32 {
		return digest.Digest("sha256:" + hex.EncodeToString([]byte(p)))
	}
	return digest.Digest(p)
}

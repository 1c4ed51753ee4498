package retention_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/retention"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/memory"
)

const (
	day = 24 * time.Hour
	app = "team/app"
)

// world is a store with the content of a test.
type world struct {
	t      *testing.T
	store  *storage.Store
	driver driver.Driver
	opts   retention.Options
	number int
}

func newWorld(t *testing.T, opts *storage.Options) *world {
	t.Helper()
	d := memory.New(nil)
	s, err := storage.New(t.Context(), d, opts)
	require.NoError(t, err)
	return &world{t: t, store: s, driver: d, opts: retention.Options{MinAge: -1}}
}

// blob pushes a blob to the repository app.
func (w *world) blob(content []byte, mediaType string) ocispec.Descriptor {
	w.t.Helper()
	desc, err := registry.PushBlob(w.t.Context(), w.store, app, "", bytes.NewReader(content))
	require.NoError(w.t, err)
	desc.MediaType = mediaType
	return desc
}

// put pushes a manifest to the repository app.
func (w *world) put(mediaType string, m any, tags ...string) ocispec.Descriptor {
	w.t.Helper()
	content, err := json.Marshal(m)
	require.NoError(w.t, err)
	opts := &registry.PutOptions{}
	for _, tag := range tags {
		opts.Tags = append(opts.Tags, registry.TagPut{Name: tag})
	}
	res, err := w.store.PutManifest(w.t.Context(), app, mediaType, content, opts)
	require.NoError(w.t, err)
	return res.Descriptor
}

// image pushes an image with one layer of 1000 bytes that no other image has.
func (w *world) image(tags ...string) ocispec.Descriptor {
	w.t.Helper()
	return w.labelled(nil, nil, tags...)
}

// labelled pushes an image with labels and annotations, for linux/amd64.
func (w *world) labelled(labels, annotations map[string]string, tags ...string) ocispec.Descriptor {
	w.t.Helper()
	w.number++
	config, err := json.Marshal(map[string]any{
		"os": "linux", "architecture": "amd64", "config": map[string]any{"Labels": labels}, "number": w.number,
	})
	require.NoError(w.t, err)
	layer := bytes.Repeat([]byte{byte(w.number), byte(w.number >> 8)}, 500)
	return w.put(ocispec.MediaTypeImageManifest, ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config:      w.blob(config, ocispec.MediaTypeImageConfig),
		Layers:      []ocispec.Descriptor{w.blob(layer, ocispec.MediaTypeImageLayer)},
		Annotations: annotations,
	}, tags...)
}

// index pushes an index.
func (w *world) index(tag string, children ...ocispec.Descriptor) ocispec.Descriptor {
	w.t.Helper()
	w.number++
	var tags []string
	if tag != "" {
		tags = append(tags, tag)
	}
	return w.put(ocispec.MediaTypeImageIndex, ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: children,
		Annotations: map[string]string{"number": fmt.Sprint(w.number)},
	}, tags...)
}

// referrer pushes a referrer.
func (w *world) referrer(subject ocispec.Descriptor, artifactType string, tags ...string) ocispec.Descriptor {
	w.t.Helper()
	w.number++
	empty := w.blob([]byte("{}"), ocispec.MediaTypeEmptyJSON)
	return w.put(ocispec.MediaTypeImageManifest, ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		ArtifactType: artifactType, Config: empty, Layers: []ocispec.Descriptor{empty}, Subject: &subject,
		Annotations: map[string]string{"number": fmt.Sprint(w.number)},
	}, tags...)
}

func (w *world) tag(d ocispec.Descriptor, tag string) {
	w.t.Helper()
	m, err := w.store.GetManifest(w.t.Context(), app, reference.Ref{Digest: d.Digest})
	require.NoError(w.t, err)
	_, err = w.store.PutManifest(w.t.Context(), app, m.Descriptor.MediaType, m.Content,
		&registry.PutOptions{Tags: []registry.TagPut{{Name: tag}}})
	require.NoError(w.t, err)
}

func (w *world) remove(ref reference.Ref) {
	w.t.Helper()
	require.NoError(w.t, w.store.DeleteManifest(w.t.Context(), app, ref, nil))
}

func (w *world) planner(rules string) *retention.Planner {
	w.t.Helper()
	r, err := retention.Parse("rules.yaml", []byte(rules))
	require.NoError(w.t, err)
	p, err := retention.New(w.store, w.driver, r, &w.opts)
	require.NoError(w.t, err)
	return p
}

// evaluate decides about the repository app.
func (w *world) evaluate(rules string) *retention.Evaluation {
	w.t.Helper()
	return w.evaluateAt(rules, time.Now())
}

func (w *world) evaluateAt(rules string, now time.Time) *retention.Evaluation {
	w.t.Helper()
	e, err := w.planner(rules).Evaluate(w.t.Context(), app, now)
	require.NoError(w.t, err)
	return e
}

// goes returns the tags that go, and then the manifests.
func goes(e *retention.Evaluation) (tags []string, manifests []digest.Digest) {
	tags = []string{}
	for _, l := range e.Lines {
		switch {
		case l.Decision != retention.Goes:
		case l.Tag != "":
			tags = append(tags, l.Tag)
		default:
			manifests = append(manifests, l.Digest)
		}
	}
	return tags, manifests
}

// line returns the line about a tag or, without one, about a manifest.
func line(t *testing.T, e *retention.Evaluation, tag string, d digest.Digest) retention.Line {
	t.Helper()
	for _, l := range e.Lines {
		if l.Tag == tag && (tag != "" || l.Digest == d) {
			return l
		}
	}
	require.Fail(t, "no line", "%s %s", tag, d)
	return retention.Line{}
}

func digests(all ...ocispec.Descriptor) []digest.Digest {
	found := make([]digest.Digest, len(all))
	for i := range all {
		found[i] = all[i].Digest
	}
	return found
}

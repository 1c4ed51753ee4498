package image_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/image"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/memory"
)

const app = "team/app"

func newStore(t testing.TB) *storage.Store {
	t.Helper()
	s, err := storage.New(t.Context(), memory.New(nil), nil)
	require.NoError(t, err)
	return s
}

func pushBlob(t testing.TB, s *storage.Store, content, mediaType string) ocispec.Descriptor {
	t.Helper()
	d, err := registry.PushBlob(t.Context(), s, app, "", strings.NewReader(content))
	require.NoError(t, err)
	d.MediaType = mediaType
	return d
}

func put(t testing.TB, s *storage.Store, mediaType string, m any, tag string) ocispec.Descriptor {
	t.Helper()
	content, err := json.Marshal(m)
	require.NoError(t, err)
	opts := &registry.PutOptions{Tags: []registry.TagPut{{Name: tag}}}
	res, err := s.PutManifest(t.Context(), app, mediaType, content, opts)
	require.NoError(t, err)
	return res.Descriptor
}

const config = `{"created":"2026-01-02T03:04:05.5Z","author":"ann","architecture":"arm","os":"linux","variant":"v7",
"os.version":"1","os.features":["x"],"config":{"User":"nobody","Env":["A=b","C="],"Entrypoint":["/app"],"Cmd":["-v"],
"ExposedPorts":{"80/tcp":{},"53/udp":{}},"Volumes":{"/data":{}},"WorkingDir":"/","Labels":{"stage":"prod"},
"StopSignal":"SIGINT"},"rootfs":{"type":"layers"},"history":[{"created":"2026-01-02T03:04:05Z","created_by":"COPY",
"comment":"c","author":"bob"},{"empty_layer":true}]}`

func TestReadImage(t *testing.T) {
	s := newStore(t)
	c := pushBlob(t, s, config, ocispec.MediaTypeImageConfig)
	layer := pushBlob(t, s, "layer", ocispec.MediaTypeImageLayerGzip)
	layer.Annotations = map[string]string{"x": "y"}
	subject := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString("s"), Size: 3}
	d := put(t, s, ocispec.MediaTypeImageManifest, ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageManifest, Config: c, Layers: []ocispec.Descriptor{layer}, Subject: &subject,
		Annotations: map[string]string{"a": "b"},
	}, "v1")
	f, err := image.Read(t.Context(), s, app, reference.Ref{Tag: "v1"}, nil)
	require.NoError(t, err)
	created := time.Date(2026, 1, 2, 3, 4, 5, 500_000_000, time.UTC)
	require.Equal(t, &image.Facts{
		Descriptor: d, Kind: image.KindImage, ArtifactType: ocispec.MediaTypeImageConfig,
		Annotations: map[string]string{"a": "b"}, Subject: &subject, Layers: []ocispec.Descriptor{layer},
		Size: d.Size + c.Size + layer.Size, ConfigBlob: &c,
		Config: &image.Config{
			Digest: c.Digest, Created: created, Author: "ann",
			Platform: ocispec.Platform{
				OS: "linux", Architecture: "arm", Variant: "v7", OSVersion: "1", OSFeatures: []string{"x"},
			},
			Entrypoint: []string{"/app"}, Cmd: []string{"-v"}, Env: []string{"A=b", "C="}, WorkingDir: "/", User: "nobody",
			ExposedPorts: []string{"53/udp", "80/tcp"}, Volumes: []string{"/data"}, StopSignal: "SIGINT",
			Labels: map[string]string{"stage": "prod"},
			History: []image.Step{
				{Created: created.Truncate(time.Second), CreatedBy: "COPY", Author: "bob", Comment: "c"}, {EmptyLayer: true},
			},
		},
	}, f)
	require.Equal(t, created, f.Created())
	f, err = image.Read(t.Context(), s, app, reference.Ref{Digest: d.Digest}, &image.Options{NoConfig: true})
	require.NoError(t, err)
	require.Nil(t, f.Config)
	require.True(t, f.Created().IsZero())
	_, err = image.Read(t.Context(), s, app, reference.Ref{Tag: "none"}, nil)
	require.ErrorIs(t, err, registry.ErrManifestUnknown)
	_, err = image.Read(t.Context(), s, app, reference.Ref{Tag: "v1"}, &image.Options{MaxConfig: -1})
	require.ErrorContains(t, err, "negative")
}

func TestReadIndexAndArtifact(t *testing.T) {
	s := newStore(t)
	empty := pushBlob(t, s, "{}", ocispec.MediaTypeEmptyJSON)
	chart := put(t, s, ocispec.MediaTypeImageManifest, map[string]any{
		"schemaVersion": 2, "mediaType": ocispec.MediaTypeImageManifest, "artifactType": "application/x.chart",
		"config": empty, "layers": []any{empty},
		"annotations": map[string]string{ocispec.AnnotationCreated: "2026-01-02T00:00:00Z"},
	}, "chart")
	f, err := image.Read(t.Context(), s, app, reference.Ref{Tag: "chart"}, nil)
	require.NoError(t, err)
	require.Equal(t, image.KindArtifact, f.Kind)
	require.Equal(t, "application/x.chart", f.ArtifactType)
	require.Equal(t, chart.Size+2, f.Size, "a blob counts once")
	require.Equal(t, 2026, f.Created().Year())

	child := chart
	child.Platform = &ocispec.Platform{OS: "linux", Architecture: "amd64"}
	child.Annotations = map[string]string{"k": "v"}
	index := put(t, s, ocispec.MediaTypeImageIndex, map[string]any{
		"schemaVersion": 2, "mediaType": ocispec.MediaTypeImageIndex, "manifests": []any{child},
	}, "index")
	f, err = image.Read(t.Context(), s, app, reference.Ref{Tag: "index"}, nil)
	require.NoError(t, err)
	require.Equal(t, image.KindIndex, f.Kind)
	require.Equal(t, []ocispec.Descriptor{child}, f.Manifests)
	require.Equal(t, index.Size, f.Size)
	require.Nil(t, f.Config)
	put(t, s, ocispec.MediaTypeImageIndex, map[string]any{
		"schemaVersion": 2, "mediaType": ocispec.MediaTypeImageIndex, "manifests": []any{},
	}, "empty")
	f, err = image.Read(t.Context(), s, app, reference.Ref{Tag: "empty"}, nil)
	require.NoError(t, err)
	require.Equal(t, image.KindIndex, f.Kind)
}

// TestHostileConfig: fields of a wrong type are absent and named, and others are there.
func TestHostileConfig(t *testing.T) {
	c, err := image.ParseConfig([]byte(`{"os":1,"OS":"upper","architecture":"amd64","created":"yesterday",
		"config":{"Env":"x",
		"Labels":{"a":1},"Cmd":null,"labels":{"b":"c"},"ExposedPorts":[]},"history":[1,{"created_by":[]},{"comment":"ok"}]}`))
	require.NoError(t, err)
	require.Equal(t, &image.Config{
		Platform: ocispec.Platform{Architecture: "amd64"}, History: []image.Step{{}, {}, {Comment: "ok"}},
		Malformed: []string{"config.Env", "config.ExposedPorts", "config.Labels", "created", "history[0]",
			"history[1].created_by", "os"},
	}, c)
	for _, content := range []string{"", "null", "[]", `"x"`, "{", "1", "\xff", strings.Repeat("[", 20_000)} {
		_, err := image.ParseConfig([]byte(content))
		require.Error(t, err, "%.20q", content)
	}
	for _, content := range []string{`{"config":[]}`, `{"config":1}`} {
		c, err = image.ParseConfig([]byte(content))
		require.NoError(t, err)
		require.Equal(t, []string{"config"}, c.Malformed)
	}
	c, err = image.ParseConfig([]byte(`{"config":null,"history":null}`))
	require.NoError(t, err)
	require.Equal(t, &image.Config{}, c)
	c, err = image.ParseConfig([]byte(`{"history":[1` + strings.Repeat(",1", 100_000) + `]}`))
	require.NoError(t, err)
	require.Len(t, c.History, image.MaxHistory)
	require.Len(t, c.Malformed, 100)
}

// TestUnreadableConfig: the facts of the manifest are there nevertheless.
func TestUnreadableConfig(t *testing.T) {
	s := newStore(t)
	large := `{"author":"` + strings.Repeat("x", 1000) + `"}`
	for tag, content := range map[string]string{"large": large, "list": "[]"} {
		put(t, s, ocispec.MediaTypeImageManifest, map[string]any{
			"schemaVersion": 2, "mediaType": ocispec.MediaTypeImageManifest, "layers": []any{},
			"config": pushBlob(t, s, content, ocispec.MediaTypeImageConfig),
		}, tag)
		f, err := image.Read(t.Context(), s, app, reference.Ref{Tag: tag}, &image.Options{MaxConfig: 100})
		require.ErrorIs(t, err, image.ErrConfig, tag)
		require.Equal(t, image.KindImage, f.Kind)
	}
	require.NoError(t, s.DeleteBlob(t.Context(), app, digest.FromString(large), nil))
	f, err := image.Read(t.Context(), s, app, reference.Ref{Tag: "large"}, nil)
	require.ErrorIs(t, err, image.ErrConfig)
	require.ErrorIs(t, err, registry.ErrBlobUnknown)
	require.NotNil(t, f)
	f, err = image.Read(t.Context(), lying{s}, app, reference.Ref{Tag: "list"}, nil)
	require.ErrorIs(t, err, image.ErrConfig)
	require.ErrorContains(t, err, "the content is not that of")
	require.NotNil(t, f)
}

// TestRepeatedLayers: an image may have the same layer several times, and its size counts once.
func TestRepeatedLayers(t *testing.T) {
	s := newStore(t)
	empty := pushBlob(t, s, "{}", ocispec.MediaTypeEmptyJSON)
	a, b := pushBlob(t, s, "a", "type/a"), pushBlob(t, s, "b", "type/b")
	asLayer := empty
	asLayer.MediaType = "type/layer"
	layers := []ocispec.Descriptor{a, b, a, asLayer, a}
	d := put(t, s, ocispec.MediaTypeImageManifest, map[string]any{
		"schemaVersion": 2, "mediaType": ocispec.MediaTypeImageManifest, "config": empty, "layers": layers,
	}, "v1")
	f, err := image.Read(t.Context(), s, app, reference.Ref{Tag: "v1"}, nil)
	require.NoError(t, err)
	require.Equal(t, layers, f.Layers)
	require.Equal(t, &empty, f.ConfigBlob)
	require.Equal(t, d.Size+4, f.Size)

	old, recent := d, d
	old.Platform = &ocispec.Platform{OS: "linux", Architecture: "arm", Variant: "v6"}
	recent.Platform = &ocispec.Platform{OS: "linux", Architecture: "arm", Variant: "v7"}
	put(t, s, ocispec.MediaTypeImageIndex, map[string]any{
		"schemaVersion": 2, "mediaType": ocispec.MediaTypeImageIndex, "manifests": []any{old, recent},
	}, "index")
	f, err = image.Read(t.Context(), s, app, reference.Ref{Tag: "index"}, nil)
	require.NoError(t, err)
	require.Equal(t, []ocispec.Descriptor{old, recent}, f.Manifests)
}

// TestReadChart: a chart is an artifact with the facts of its Chart.yaml.
func TestReadChart(t *testing.T) {
	s := newStore(t)
	push := func(config string) (*image.Facts, error) {
		put(t, s, ocispec.MediaTypeImageManifest, map[string]any{
			"schemaVersion": 2, "mediaType": ocispec.MediaTypeImageManifest, "layers": []any{},
			"config": pushBlob(t, s, config, "application/vnd.cncf.helm.config.v1+json"),
		}, "chart")
		return image.NewCache(1<<20).Read(t.Context(), s, app, reference.Ref{Tag: "chart"}, nil)
	}
	f, err := push(`{"name":"shop","version":"1.2.3","appVersion":"4.5","description":"A shop","apiVersion":"v2",
		"type":"application","kubeVersion":">=1.28.0","home":"https://example.com","deprecated":true,"sources":["https://x"],
		"keywords":["a","b"],"maintainers":[{"name":"ann","email":"a@example.com","url":"https://a"}],
		"dependencies":[{"name":"db","version":"1.x","repository":"oci://x/y","alias":"store","condition":"db.on"}]}`)
	require.NoError(t, err)
	require.Equal(t, image.KindArtifact, f.Kind)
	require.Nil(t, f.Config)
	require.Equal(t, &image.Chart{Name: "shop", Version: "1.2.3", AppVersion: "4.5", Description: "A shop",
		Type: "application", KubeVersion: ">=1.28.0", Home: "https://example.com", Deprecated: true,
		Sources: []string{"https://x"}, Keywords: []string{"a", "b"},
		Maintainers: []image.ChartMaintainer{{Name: "ann", Email: "a@example.com", URL: "https://a"}},
		Dependencies: []image.ChartDependency{
			{Name: "db", Version: "1.x", Repository: "oci://x/y", Alias: "store", Condition: "db.on"}},
	}, f.Chart)
	f, err = push(`{"name":1,"version":"1","maintainers":[1,{"name":[]}],"dependencies":[{}` +
		strings.Repeat(",{}", image.MaxChartList) + `]}`)
	require.NoError(t, err)
	require.Equal(t, "1", f.Chart.Version)
	require.Len(t, f.Chart.Dependencies, image.MaxChartList)
	require.Equal(t, []string{"dependencies", "maintainers[0]", "maintainers[1].name", "name"}, f.Chart.Malformed)
	f, err = push(`[]`)
	require.ErrorIs(t, err, image.ErrConfig)
	require.NotNil(t, f)
	f, err = push(`{"description":"` + strings.Repeat("x", image.MaxChart) + `"}`)
	require.ErrorIs(t, err, image.ErrConfig)
	require.Nil(t, f.Chart)
}

// lying is a backend that returns other bytes than those of the digest.
type lying struct{ registry.Backend }

func (l lying) OpenBlob(context.Context, string, digest.Digest, *registry.OpenOptions) (*registry.Blob, error) {
	return &registry.Blob{Body: body{bytes.NewReader([]byte("{}"))}}, nil
}

type body struct{ *bytes.Reader }

func (body) Close() error { return nil }

// TestCache: facts are read once, and only while the repository has the manifest.
func TestCache(t *testing.T) {
	s := newStore(t)
	d := put(t, s, ocispec.MediaTypeImageManifest, map[string]any{
		"schemaVersion": 2, "mediaType": ocispec.MediaTypeImageManifest, "layers": []any{},
		"config": pushBlob(t, s, config, ocispec.MediaTypeImageConfig),
	}, "v1")
	c := image.NewCache(1 << 20)
	first, err := c.Read(t.Context(), s, app, reference.Ref{Tag: "v1"}, nil)
	require.NoError(t, err)
	again, err := c.Read(t.Context(), s, app, reference.Ref{Digest: d.Digest}, nil)
	require.NoError(t, err)
	require.Same(t, first, again)
	require.NoError(t, s.DeleteBlob(t.Context(), app, digest.FromString(config), nil))
	without, err := c.Read(t.Context(), s, app, reference.Ref{Digest: d.Digest}, nil)
	require.ErrorIs(t, err, image.ErrConfig, "the repository has the manifest alone")
	require.Nil(t, without.Config)
	short, err := c.Read(t.Context(), s, app, reference.Ref{Digest: d.Digest}, &image.Options{NoConfig: true})
	require.NoError(t, err)
	require.Nil(t, short.Config)
	require.NoError(t, s.DeleteManifest(t.Context(), app, reference.Ref{Digest: d.Digest}, nil))
	_, err = c.Read(t.Context(), s, app, reference.Ref{Digest: d.Digest}, nil)
	require.ErrorIs(t, err, registry.ErrManifestUnknown)
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(config))
	f.Add([]byte(fmt.Sprintf(`{"schemaVersion":2,"config":{"mediaType":%q,"digest":%q,"size":2},"layers":[]}`,
		ocispec.MediaTypeImageConfig, digest.FromString("x"))))
	f.Add([]byte(`{"schemaVersion":2,"manifests":[{"mediaType":"a/json","digest":"` + string(digest.FromString("x")) +
		`","size":9223372036854775807,"platform":{"os":"linux","architecture":"x"}}]}`))
	f.Fuzz(func(t *testing.T, content []byte) {
		if c, err := image.ParseConfig(content); err == nil {
			require.LessOrEqual(t, len(c.History), image.MaxHistory)
		}
		if c, err := image.ParseChart(content); err == nil {
			require.LessOrEqual(t, len(c.Dependencies), image.MaxChartList)
		}
		for _, mediaType := range []string{ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageIndex, "a/json"} {
			m := &registry.Manifest{Content: content,
				Descriptor: ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(content)}}
			facts, config, err := image.ParseManifest(m)
			if err != nil {
				continue
			}
			require.GreaterOrEqual(t, facts.Size, int64(len(content)))
			require.Equal(t, facts.Kind == image.KindImage, config != nil)
			_ = facts.Created()
		}
	})
}

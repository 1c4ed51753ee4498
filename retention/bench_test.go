package retention_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/parallel"
	"github.com/registrykit/registry/retention"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/memory"
)

// BenchmarkPlan plans over repositories of 100 tagged images of ten blobs of their own.
// REPOSITORIES is the number of repositories, 10 by default; with 1000, the storage has a million
// blobs, once for each repository that has them. A tenth of the images goes. It reports the time
// for each tag.
func BenchmarkPlan(b *testing.B) {
	repositories, images := 10, 100
	if n, err := strconv.Atoi(os.Getenv("REPOSITORIES")); err == nil {
		repositories = n
	}
	d := memory.New(nil)
	store, err := storage.New(b.Context(), d, nil)
	require.NoError(b, err)
	err = parallel.Each(4, repositories, func(i int) error { return fillRepository(b, store, i, images) })
	require.NoError(b, err)
	rules, err := retention.Parse("r", []byte("rules:\n- {name: r, keep: {newest: 90}}"))
	require.NoError(b, err)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	b.ReportAllocs()
	b.ResetTimer()
	var written atomic.Int64
	for b.Loop() {
		p, err := retention.New(store, d, rules, &retention.Options{MinAge: -1})
		require.NoError(b, err)
		totals, err := p.Plan(b.Context(), counter{&written})
		require.NoError(b, err)
		require.EqualValues(b, repositories*images/10, totals.RemovedTags)
		require.EqualValues(b, repositories*images/10, totals.RemovedManifests)
	}
	b.StopTimer()
	runtime.ReadMemStats(&after)
	tags := float64(repositories * images)
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/tags, "ns/tag")
	b.ReportMetric(float64(written.Load())/float64(b.N)/tags, "plan-B/tag")
	b.ReportMetric((float64(after.HeapSys)-float64(before.HeapSys))/(1<<20), "heap-MiB")
}

type counter struct{ n *atomic.Int64 }

func (c counter) Write(b []byte) (int, error) {
	c.n.Add(int64(len(b)))
	return len(b), nil
}

// fillRepository pushes images with tags.
func fillRepository(b testing.TB, store *storage.Store, number, images int) error {
	const blobs = 10
	repo := fmt.Sprintf("team%d/app%d", number%10, number)
	push := func(content, mediaType string) (ocispec.Descriptor, error) {
		desc, err := registry.PushBlob(b.Context(), store, repo, "", bytes.NewReader([]byte(content)))
		desc.MediaType = mediaType
		return desc, err
	}
	for i := range images {
		config, err := push(fmt.Sprintf(`{"number":"%d %d"}`, number, i), ocispec.MediaTypeImageConfig)
		if err != nil {
			return err
		}
		var layers bytes.Buffer
		for l := range blobs - 1 {
			layer, err := push(fmt.Sprintf("layer %d %d %d", number, i, l), ocispec.MediaTypeImageLayer)
			if err != nil {
				return err
			}
			if l > 0 {
				layers.WriteByte(',')
			}
			fmt.Fprintf(&layers, `{"mediaType":%q,"digest":%q,"size":%d}`, layer.MediaType, layer.Digest, layer.Size)
		}
		manifest := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":%q,"digest":%q,"size":%d},`+
			`"layers":[%s]}`,
			ocispec.MediaTypeImageManifest, config.MediaType, config.Digest, config.Size, &layers)
		if _, err := store.PutManifest(b.Context(), repo, "", []byte(manifest), &registry.PutOptions{
			Tags: []registry.TagPut{{Name: fmt.Sprint("v", i)}},
		}); err != nil {
			return err
		}
	}
	return nil
}

// BenchmarkReadPlan reads a plan of 100,000 lines.
func BenchmarkReadPlan(b *testing.B) {
	var plan bytes.Buffer
	plan.WriteString(`{"format":"retention plan","version":1,"storage":"x","made":"2026-01-02T00:00:00Z",` +
		`"rules":"","lines":[`)
	for i := range 100_000 {
		if i > 0 {
			plan.WriteString(",\n")
		}
		fmt.Fprintf(&plan, `{"repository":"team/app%04d","tag":"v%d","digest":"sha256:%064d","set":"2026-01-02T00:00:00Z",`+
			`"decision":"goes","rule":"ten of each branch","bytes":123456}`, i/100, i, i)
	}
	plan.WriteString(`],"totals":{}}`)
	b.SetBytes(int64(plan.Len()))
	b.ReportAllocs()
	for b.Loop() {
		_, _, err := retention.CheckPlan(bytes.NewReader(plan.Bytes()))
		require.NoError(b, err)
	}
}

// TestPlannerMemory: what a Planner remembers of a manifest takes what its limit counts for it. No more
// is left after one collection of garbage.
func TestPlannerMemory(t *testing.T) {
	const repositories, images = 5, 100
	d := memory.New(nil)
	store, err := storage.New(t.Context(), d, nil)
	require.NoError(t, err)
	for i := range repositories {
		require.NoError(t, fillRepository(t, store, i, images))
	}
	plan := func(keep string) *retention.Planner {
		rules, err := retention.Parse("r", []byte("rules:\n- {name: r, keep: "+keep+"}"))
		require.NoError(t, err)
		p, err := retention.New(store, d, rules, &retention.Options{MinAge: -1})
		require.NoError(t, err)
		_, err = p.Plan(t.Context(), io.Discard)
		require.NoError(t, err)
		return p
	}
	heap := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	plan("all") // reads no manifest, and the store then remembers the tags
	before := heap()
	p := plan("{newest: 90}")
	grown := heap() - before
	runtime.KeepAlive(p)
	t.Logf("%d bytes for each image", grown/(repositories*images))
	require.LessOrEqual(t, grown, int64(repositories*images*(400+10*120))) // for an image of ten blobs
}

package importer_test

import (
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/importer"
	"github.com/registrykit/registry/reference"
)

func TestImportTakesEverythingOver(t *testing.T) {
	both(t, func(t *testing.T, dst *destination) {
		tr := newTree(t)
		set := time.Date(2021, 3, 4, 5, 6, 7, 8, time.UTC)
		base := random(large)
		shared := tr.layer("team/app", base)
		one := tr.image("team/app", shared, tr.layer("team/app", random(100)))
		two := tr.image("team/app", shared)
		index := tr.index("team/app", one, two)
		untagged := tr.image("team/app", shared)
		tr.tag("team/app", "v1", one.Digest, set)
		tr.tag("team/app", "latest", index.Digest, set.Add(time.Hour))
		tr.layer("team/app/web", base)
		web := tr.image("team/app/web", shared)
		tr.tag("team/app/web", "v1", web.Digest, set)

		rep := dst.run(tr, &importer.Options{Verify: importer.VerifyFull, Total: true})
		require.Empty(t, rep.Problems)
		require.Equal(t, one.Digest, dst.tagged("team/app", "v1"))
		require.Equal(t, index.Digest, dst.tagged("team/app", "latest"))
		require.Equal(t, web.Digest, dst.tagged("team/app/web", "v1"))
		require.True(t, dst.has("team/app", untagged.Digest))
		require.Equal(t, base, dst.content("team/app/web", shared.Digest))
		require.EqualValues(t, 2, rep.Repositories)
		require.EqualValues(t, 5, rep.Manifests)
		require.EqualValues(t, 3, rep.Tags.Set)
		for tag, err := range dst.store.Inventory().Tags(t.Context(), "team/app") {
			require.NoError(t, err)
			require.Equal(t, map[string]time.Time{"v1": set, "latest": set.Add(time.Hour)}[tag.Name], tag.Set)
		}
		require.EqualValues(t, 1, rep.Layers.Linked.Count+rep.Layers.Streamed.Count-5, "the shared layer comes once")
		require.EqualValues(t, 1, rep.Layers.Mounted.Count)
		require.EqualValues(t, 11, rep.Total.Count)

		m, err := dst.store.GetManifest(t.Context(), "team/app", reference.Ref{Tag: "latest"})
		require.NoError(t, err)
		require.Equal(t, ocispec.MediaTypeImageIndex, m.Descriptor.MediaType)

		again := dst.run(tr, nil)
		require.EqualValues(t, 3, again.Tags.Unchanged)
		require.Zero(t, again.Tags.Set+again.Manifests)
		require.Zero(t, again.Layers)
	})
}

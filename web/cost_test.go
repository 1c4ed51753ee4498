package web_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/storage/driver/drivertest"
	"github.com/registrykit/registry/storage/memory"
)

// pushTags points n tags at one empty index, and returns its digest.
func pushTags(t testing.TB, b registry.Backend, repo string, n int) digest.Digest {
	t.Helper()
	const batch = 50
	for i := 0; i < n; i += batch {
		put := &registry.PutOptions{}
		for j := i; j < min(i+batch, n); j++ {
			put.Tags = append(put.Tags, registry.TagPut{Name: fmt.Sprintf("v%d.%d.%d", j/5000, j/50%100, j%50)})
		}
		_, err := b.PutManifest(t.Context(), repo, ocispec.MediaTypeImageIndex, []byte(emptyIndex), put)
		require.NoError(t, err)
	}
	return digest.FromString(emptyIndex)
}

// viewsOfTags are the views of a repository with many tags of one digest.
func viewsOfTags(repo string, d digest.Digest) []string {
	at := "/repositories/" + repo
	return []string{
		at, at + "?sort=version", at + "?sort=name", at + "?sort=-name", at + "?sort=set", at + "?sort=-set",
		at + "?q=0.0", at + "?q=v*.0", at + "/-/artifacts", at + "/-/untagged", at + "/-/history",
		at + "/-/settings", at + "/-/images/v0.0.0", at + "/-/images/" + d.String(),
		at + "/-/compare?from=v0.0.0&to=v0.0.0", at + "/-/delete?tag=v0.0.0", at + "/-/delete?digest=" + d.String(),
		at + "/-/delete", at + "/-/retag?tag=v0.0.0", at + "/-/copy?tag=v0.0.0", "/bin", "/", "/namespaces",
		"/search?q=v0.0.0", "/search?q=" + d.String()[:20], "/search?q=label:a=b",
	}
}

// TestCostOfViews: each view makes a bounded number of calls of the Backend and of the Driver, whether the repository
// has 1 tag of an image or 100,000. The driver counts a list as one call, also if the consumer takes all names.
func TestCostOfViews(t *testing.T) {
	counts := []int{1, 1000, 100_000}
	if testing.Short() {
		counts = counts[:2]
	}
	for _, n := range counts {
		d := drivertest.NewFaulty(memory.New(nil), nil)
		h := newHomeSite(t, d)
		image := pushTags(t, h.store, "acme/app", n)
		h.refresh(t)
		for _, path := range viewsOfTags("acme/app", image) {
			require.Equal(t, http.StatusOK, h.get(t, "boss", path).StatusCode, path) // the facts about accounts are in memory
			calls, opens, lists, stats := h.calls.Load(), d.Count("Open"), d.Count("List"), d.Count("Stat")
			h.get(t, "boss", path)
			calls, opens = h.calls.Load()-calls, d.Count("Open")-opens
			lists, stats = d.Count("List")-lists, d.Count("Stat")-stats
			t.Logf("%6d tags, %s: %d calls, %d reads, %d lists, %d stats", n, path, calls, opens, lists, stats)
			require.LessOrEqual(t, calls, int64(10), path)
			require.LessOrEqual(t, opens+stats, 150, path)
			require.LessOrEqual(t, lists, 60, path)
		}
	}
}

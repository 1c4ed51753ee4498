package crash

import (
	"bytes"
	"net/http"
	"slices"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/registrykit/registry/internal/e2e/harness"
	"github.com/stretchr/testify/require"
)

// check reads back what was acknowledged in a round or later; -1 is everything.
func check(t *testing.T, c *harness.Client, all *ledger, round int) {
	t.Helper()
	lost := func(err error) {
		if err != nil {
			all.lost++
			t.Errorf("lost: %v", err)
		}
	}
	blobs, manifests, tags := all.since(round)
	for k := range blobs {
		lost(c.PullBlob(t.Context(), k.repo, k.digest))
	}
	for k := range manifests {
		lost(c.PullManifest(t.Context(), k.repo, k.digest.String(), k.digest))
	}
	for k, want := range tags {
		r, err := c.Do(t.Context(), http.StatusOK, http.MethodGet, "/v2/"+k.repo+"/manifests/"+k.name, harness.Accept(), nil)
		lost(err)
		if err != nil {
			continue
		}
		if got := digest.FromBytes(r.Body); !slices.Contains(want.digests, got) {
			all.lost++
			t.Errorf("lost: %s:%s names %s, not one of %s", k.repo, k.name, got, want.digests)
		}
		list, err := c.Tags(t.Context(), k.repo)
		lost(err)
		if !slices.Contains(list, k.name) {
			all.lost++
			t.Errorf("lost: %s is not in the list of tags of %s: %s", k.name, k.repo, list)
		}
	}
}

// finishUploads continues the uploads that the kill interrupted. It returns their number.
func finishUploads(t *testing.T, c *harness.Client, all *ledger) int {
	t.Helper()
	uploads := all.uploads
	all.uploads = nil
	for _, u := range uploads {
		offset, location, err := c.Offset(t.Context(), u.location)
		if err != nil || offset < u.offset {
			all.lost++
			t.Errorf("lost: upload in %s was at %d, now %d (%v)", u.repo, u.offset, offset, err)
			continue
		}
		d := digest.FromBytes(u.content)
		rest := u.content[offset:]
		if len(rest) > 1 { // half by PATCH, half with the PUT
			half := len(rest) / 2
			location, err = c.Patch(t.Context(), location, offset, rest[:half])
			require.NoError(t, err)
			rest = rest[half:]
		}
		require.NoError(t, c.Commit(t.Context(), location, d, bytes.NewReader(rest), int64(len(rest))))
		require.NoError(t, c.PullBlob(t.Context(), u.repo, d))
	}
	return len(uploads)
}

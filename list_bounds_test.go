package registry_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/memory"
)

// storeOfTags is a store in memory whose repository a has n tags of the given length.
func storeOfTags(t *testing.T, n, length int) *storage.Store {
	d := memory.New(nil)
	s, err := storage.New(t.Context(), d, nil)
	require.NoError(t, err)
	for i := range n {
		tag := fmt.Sprintf("%0*d", length, i)
		_, err := d.Put(t.Context(), "r/a/t/"+tag, strings.NewReader("{}\n"), nil)
		require.NoError(t, err)
	}
	return s
}

// TestTagsPageIsBounded: a page is limited in bytes, even if the host allows any number of names.
func TestTagsPageIsBounded(t *testing.T) {
	const n = 70_000
	c := serve(t, storeOfTags(t, n, 128), &registry.Options{PageSize: 10 * n})
	pages, tags := c.pages("/v2/a/tags/list", "tags")
	require.Equal(t, 3, pages)
	require.Len(t, tags, n)
}

// TestTagsPageEndsInTime: slow decisions make pages shorter.
func TestTagsPageEndsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 300
		slow := auth.AuthorizerFunc(func(context.Context, auth.Identity, []auth.Access) error {
			time.Sleep(50 * time.Millisecond)
			return nil
		})
		r, err := registry.New(storeOfTags(t, n, 10), &registry.Options{Authorizer: slow})
		require.NoError(t, err)
		path, pages, tags := "/v2/a/tags/list", 0, 0
		for path != "" {
			started := time.Now()
			w := httptest.NewRecorder()
			r.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
			a := &response{Response: w.Result(), body: w.Body.Bytes()}
			require.Equal(t, http.StatusOK, a.StatusCode, "%s", a.body)
			require.Less(t, time.Since(started), 10*time.Second)
			pages++
			tags += strings.Count(w.Body.String(), "0000000")
			path = a.next(t)
		}
		require.Equal(t, n, tags)
		require.Equal(t, 3, pages)
	})
}

package registry_test

import (
	"context"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/memory"
)

// signing is a driver that returns URLs of its objects.
type signing struct{ driver.Driver }

func (signing) SignedURL(context.Context, string, time.Duration) (string, error) {
	return "https://bucket.example/object", nil
}

// TestRedirectLeavesChoicesToTheRegistry: the registry itself responds to requests with conditions
// or several ranges. The store behind a redirect has other entity tags and does not support several
// ranges.
func TestRedirectLeavesChoicesToTheRegistry(t *testing.T) {
	d := memory.New(nil)
	s, err := storage.New(t.Context(), signing{d}, &storage.Options{Redirect: &storage.RedirectOptions{MinSize: 1}})
	require.NoError(t, err)
	c := serve(t, s, nil)
	content := make([]byte, 100_000)
	blob := "/v2/a/blobs/" + string(c.pushBlob("a", content))
	tag := `"` + string(digest.FromBytes(content)) + `"`
	require.Equal(t, "https://bucket.example/object", c.want(307, "GET", blob, nil).Header.Get("Location"))
	c.want(307, "GET", blob, nil, "Range: bytes=0-9")
	c.want(200, "GET", blob, nil, "If-Match: "+tag)
	c.refused(412, "PRECONDITION_FAILED", "GET", blob, nil, `If-Match: "x"`)
	c.want(304, "GET", blob, nil, "If-None-Match: "+tag)
	c.want(206, "GET", blob, nil, "Range: bytes=0-9,20-29")
	c.want(206, "GET", blob, nil, "Range: bytes=0-9", "If-Range: "+tag)
}

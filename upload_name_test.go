package registry_test

import (
	"context"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	remote "github.com/registrykit/registry/client"
	"github.com/registrykit/registry/filter"
	"github.com/registrykit/registry/registrytest"
)

// TestUploadUUIDStaysTheSame: Docker-Upload-UUID stays the same to the end of an upload, for every
// backend.
func TestUploadUUIDStaysTheSame(t *testing.T) {
	for name, backend := range map[string]func(t *testing.T) registry.Backend{
		"store": func(t *testing.T) registry.Backend { return registrytest.NewStore(t) },
		"wrapped": func(t *testing.T) registry.Backend {
			sub, err := filter.Sub(registrytest.NewStore(t), "tenant")
			require.NoError(t, err)
			return registry.Intercept(filter.Immutable(sub, nil),
				func(ctx context.Context, _ *registry.Op, next func(context.Context) error) error { return next(ctx) })
		},
		"client": func(t *testing.T) registry.Backend {
			b, err := remote.New(registrytest.NewServer(t, nil).URL, nil)
			require.NoError(t, err)
			return b
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := serve(t, backend(t), nil)
			const header = "Docker-Upload-UUID"
			started := c.want(202, "POST", "/v2/a/blobs/uploads/", nil)
			uuid, at := started.Header.Get(header), started.Header.Get("Location")
			require.NotEmpty(t, uuid)
			for range 2 {
				a := c.want(202, "PATCH", at, "hello")
				require.Equal(t, uuid, a.Header.Get(header))
				at = a.Header.Get("Location")
				require.Equal(t, uuid, c.want(204, "GET", at, nil).Header.Get(header))
				require.Equal(t, uuid, c.want(204, "HEAD", at, nil).Header.Get(header))
				require.Equal(t, uuid, c.want(416, "PATCH", at, "x", "Content-Range: 2-2").Header.Get(header))
			}
			require.NotEqual(t, uuid, c.want(202, "POST", "/v2/a/blobs/uploads/", nil).Header.Get(header))
			c.want(201, "PUT", at+"?digest="+string(digest.FromString(strings.Repeat("hello", 2))), nil)
		})
	}
}

// TestUploadUUIDOfStoreIsAnID: clients can build the URL of an upload from its UUID.
func TestUploadUUIDOfStoreIsAnID(t *testing.T) {
	_, c := newRegistry(t, nil)
	a := c.want(202, "PATCH", c.startUpload("a"), "hello")
	at := "/v2/a/blobs/uploads/" + a.Header.Get("Docker-Upload-UUID")
	c.want(204, "GET", at, nil).standsAt(t, "4")
	c.want(201, "PUT", at+"?digest="+string(digest.FromString("hello")), nil)
}

// Package libraries tests a registry in the test's process with the libraries that Go programs use
// to push and pull.
package libraries

import (
	"context"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/registrytest"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/disk"
	"github.com/stretchr/testify/require"
)

// embedded is a registry in the process of the test.
type embedded struct {
	Host string // what the names of its images begin with

	mu   sync.Mutex
	done map[registry.OpKind]int
}

// each runs a test twice: against the registry in memory that other projects' tests start in one
// line, and against one on disk.
func each(t *testing.T, test func(t *testing.T, r *embedded)) {
	t.Run("memory", func(t *testing.T) {
		r := &embedded{done: map[registry.OpKind]int{}}
		r.Host = registrytest.NewServer(t, &registry.Options{Interceptors: []registry.Interceptor{r.count}}).Host
		test(t, r)
	})
	t.Run("disk", func(t *testing.T) {
		r := &embedded{done: map[registry.OpKind]int{}}
		driver, err := disk.New(t.TempDir(), nil)
		require.NoError(t, err)
		store, err := storage.New(t.Context(), driver, nil)
		require.NoError(t, err)
		reg, err := registry.New(store, &registry.Options{Interceptors: []registry.Interceptor{r.count}})
		require.NoError(t, err)
		server := httptest.NewServer(reg)
		t.Cleanup(server.Close)
		r.Host = strings.TrimPrefix(server.URL, "http://")
		test(t, r)
	})
}

// count counts the operations that succeeded, so that a test sees that a library really mounted, or
// asked for referrers, and did not fall back to another way.
func (r *embedded) count(ctx context.Context, op *registry.Op, next func(context.Context) error) error {
	err := next(ctx)
	if err == nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.done[op.Kind]++
	}
	return err
}

// Done returns how many operations of a kind have succeeded.
func (r *embedded) Done(kind registry.OpKind) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.done[kind]
}

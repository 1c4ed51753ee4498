package serve

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/examples/internal/work"
	"github.com/registrykit/registry/pulltime"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/registrytest"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/memory"
)

// TestHousekeepingCheck: a mistake in a file ends the program at the start, with the line.
func TestHousekeepingCheck(t *testing.T) {
	write := func(name, content string) string {
		path := filepath.Join(t.TempDir(), name)
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		return path
	}
	for want, h := range map[string]housekeeping{
		"-usage-every":    {usageEvery: -1},
		"-retain-every":   {retain: write("retain.yaml", "rules: []")},
		"none.yaml":       {quota: "none.yaml"},
		"retain.yaml:2: ": {retainEvery: time.Hour, retain: write("retain.yaml", "rules:\n- {name: a, colour: red}\n")},
		"quota.yaml:2: ":  {quota: write("quota.yaml", "limits:\n- {prefix: team, max: {bytes: -1}}\n")},
	} {
		require.ErrorContains(t, h.check(), want)
	}
}

// TestPullsAreRecorded: GET requests count, HEAD requests do not. Nothing is recorded unless a rule or
// a flag asks for it.
func TestPullsAreRecorded(t *testing.T) {
	log, d := slog.New(slog.DiscardHandler), memory.New(nil)
	store, err := storage.New(t.Context(), d, nil)
	require.NoError(t, err)
	image := registrytest.RandomImage(1, 1, 1000)
	require.NoError(t, image.Push(t.Context(), store, "team/app", "v1", "v2"))
	rules := filepath.Join(t.TempDir(), "retain.yaml")
	pulled := func(content string) *pulltime.Recorder {
		require.NoError(t, os.WriteFile(rules, []byte(content), 0o600))
		c := config{minRate: 1, keeping: housekeeping{retain: rules, retainEvery: time.Hour}}
		require.NoError(t, c.keeping.check())
		b, err := c.backend(&Served{Backend: store}, store, d, nil, log)
		require.NoError(t, err)
		handler, err := newHandler(t.Context(), &c, d, store, &Served{Backend: store}, b, nil, log)
		require.NoError(t, err)
		for method, tag := range map[string]string{http.MethodGet: "v1", http.MethodHead: "v2"} {
			w := httptest.NewRecorder()
			r := httptest.NewRequestWithContext(t.Context(), method, "http://localhost/v2/team/app/manifests/"+tag, nil)
			handler.ServeHTTP(w, r)
			require.Equal(t, http.StatusOK, w.Code)
		}
		return b.pulls
	}
	require.Nil(t, pulled("rules:\n- {name: a, tags: [v*], keep: {newest: 1}}\n"))
	r := pulled("rules:\n- {name: a, tags: [v*], keep: {pulledWithin: 30d}}\n")
	require.NotNil(t, r)
	times, err := r.Read(t.Context(), "team/app")
	require.NoError(t, err)
	_, ok := times.Tag("v1")
	require.True(t, ok)
	_, ok = times.Tag("v2")
	require.False(t, ok)
}

// TestPullTimesExcept: pulls by scanners do not count, and neither do HEAD requests.
func TestPullTimesExcept(t *testing.T) {
	d := memory.New(nil)
	store, err := storage.New(t.Context(), d, nil)
	require.NoError(t, err)
	pulls, err := pulltime.New(d, nil)
	require.NoError(t, err)
	reg, err := registry.New(store, &registry.Options{
		Interceptors: []registry.Interceptor{work.RecordPulls(pulls, []string{"scanner"})},
	})
	require.NoError(t, err)
	require.NoError(t, registrytest.RandomImage(1, 1, 100).Push(t.Context(), store, "app", "v1"))
	ref := reference.Ref{Tag: "v1"}
	counted := func() bool {
		times, err := pulls.Read(t.Context(), "app")
		require.NoError(t, err)
		_, ok := times.Tag("v1")
		return ok
	}
	_, err = reg.Backend(auth.Identity{Name: "scanner"}).GetManifest(t.Context(), "app", ref)
	require.NoError(t, err)
	_, err = reg.Backend(auth.Identity{Name: "ann"}).StatManifest(t.Context(), "app", ref, nil)
	require.NoError(t, err)
	require.False(t, counted())
	_, err = reg.Backend(auth.Identity{Name: "ann"}).GetManifest(t.Context(), "app", ref)
	require.NoError(t, err)
	require.True(t, counted())
}

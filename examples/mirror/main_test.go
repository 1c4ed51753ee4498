package main

import (
	"io"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/examples/internal/serve"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/memory"
)

// TestDefaults: the program has the six registries that most images come from, and docker's for
// requests that name none.
func TestDefaults(t *testing.T) {
	var p program
	require.NoError(t, p.check())
	var names []string
	for _, u := range p.loaded.Upstreams {
		names = append(names, u.Name)
		require.Len(t, u.URLs, 1)
		require.True(t, strings.HasPrefix(u.URLs[0], "https://"))
	}
	require.Equal(t, []string{"docker.io", "ghcr.io", "quay.io", "registry.k8s.io", "gcr.io", "mcr.microsoft.com"}, names)
	require.Equal(t, "docker.io", p.loaded.Options.Root)
	require.Equal(t, []string{"local/**"}, p.loaded.Options.Local)
}

// TestFlags: flags override the file, and a mistake in the file has its line.
func TestFlags(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mirror.yaml")
	const content = "maxSize: 1GiB\noffline: true\nupstreams:\n" +
		"- {name: a.example, urls: http://127.0.0.1:1, hosts: [m.example]}\n"
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	p := program{config: path}
	require.NoError(t, p.check())
	require.Equal(t, int64(1<<30), p.loaded.Options.MaxSize)
	p.cacheSize = 5
	require.NoError(t, p.check())
	require.Equal(t, int64(5), p.loaded.Options.MaxSize)
	require.True(t, p.loaded.Options.Offline)

	var out strings.Builder
	p.greet(&out, "http", "127.0.0.1:5000")
	require.Contains(t, out.String(), "docker pull 127.0.0.1:5000/a.example/NAME")
	require.Contains(t, out.String(), "?ns=a.example, or the host m.example\n")
	require.Contains(t, out.String(), "offline")
	require.NotContains(t, out.String(), "registry-mirrors")

	require.NoError(t, os.WriteFile(path, []byte("upstreams:\n- what: x\n"), 0o600))
	require.ErrorContains(t, p.check(), path+":2: ")
}

// TestServe: the program serves the mirror under the names of its upstreams, with metrics if asked.
func TestServe(t *testing.T) {
	p := program{metrics: true}
	require.NoError(t, p.check())
	p.loaded.Upstreams[1].Hosts = []string{"ghcr.mirror.example"}
	d := memory.New(nil)
	store, err := storage.New(t.Context(), d, nil)
	require.NoError(t, err)
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	s, err := p.serve(t.Context(), &serve.Parts{Store: store, Driver: d, Log: log})
	require.NoError(t, err)
	require.Equal(t, []string{"ghcr.mirror.example"}, s.Hosts)
	require.NotNil(t, s.Resolve)
	w := httptest.NewRecorder()
	s.Pages["/metrics"].ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	require.Equal(t, 200, w.Code)
	require.Contains(t, w.Body.String(), `registry_mirror_pulls_total{result="hit"} 0`)
}

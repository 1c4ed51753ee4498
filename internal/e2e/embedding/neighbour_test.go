package embedding

import (
	"archive/zip"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// moduleProxy is another protocol that an application serves: Go modules, here one module, as
// files.
func moduleProxy(t *testing.T) http.Handler {
	t.Helper()
	dir := t.TempDir()
	versions := filepath.Join(dir, "example.test", "hello", "@v")
	require.NoError(t, os.MkdirAll(versions, 0o755))
	for name, content := range map[string]string{
		"list": "v1.0.0\n", "v1.0.0.info": `{"Version":"v1.0.0"}`, "v1.0.0.mod": "module example.test/hello\n",
	} {
		require.NoError(t, os.WriteFile(filepath.Join(versions, name), []byte(content), 0o644))
	}
	f, err := os.Create(filepath.Join(versions, "v1.0.0.zip"))
	require.NoError(t, err)
	defer f.Close()
	z := zip.NewWriter(f)
	w, err := z.Create("example.test/hello@v1.0.0/go.mod")
	require.NoError(t, err)
	_, err = w.Write([]byte("module example.test/hello\n"))
	require.NoError(t, err)
	require.NoError(t, z.Close())
	return http.FileServer(http.Dir(dir))
}

// TestNeighbour serves Go modules and images from one mux, to the clients of both.
func TestNeighbour(t *testing.T) {
	mux := http.NewServeMux()
	mux.Handle("/go/", http.StripPrefix("/go", moduleProxy(t)))
	mux.Handle("/v2/", newRegistry(t, nil, nil))
	host := serve(t, mux)

	download := func() {
		cmd := exec.Command("go", "mod", "download", "-json", "-modcacherw", "example.test/hello@v1.0.0")
		cmd.Dir = t.TempDir()
		cmd.Env = append(os.Environ(), "GOPROXY=http://"+host+"/go", "GONOPROXY=none", "GOPRIVATE=", "GOSUMDB=off",
			"GOFLAGS=", "GOMODCACHE="+t.TempDir())
		out, err := cmd.Output()
		require.NoError(t, err, "%s", out)
		var module struct{ Version, Zip string }
		require.NoError(t, json.Unmarshal(out, &module))
		require.Equal(t, "v1.0.0", module.Version)
		require.FileExists(t, module.Zip)
	}
	download()
	roundTrip(t, host)
	download()
}

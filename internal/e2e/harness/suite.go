package harness

import (
	"fmt"
	"net/http"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// Suite runs the tests of a package against one registry on disk and returns the exit code. It
// stores the registry in *server.
func Suite(m *testing.M, server **Server) int {
	dir, err := os.MkdirTemp("", "registry-suite-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	args := []string{"-external-url", "https://" + FrontHost} // for tests that put it behind a Front
	s, err := Start(Options{Storage: dir + "/data", Log: dir + "/log", Args: args})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	*server = s
	code := m.Run()
	if err := s.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	if code != 0 {
		fmt.Fprintf(os.Stderr, "registry:\n%s", s.Tail())
	}
	return code
}

// DigestOf requests the digest of a tag directly from the registry.
func (s *Server) DigestOf(t *testing.T, repo, ref string) string {
	t.Helper()
	r, err := NewClient(s.URL()).Do(t.Context(), http.StatusOK, http.MethodHead, "/v2/"+repo+"/manifests/"+ref, Accept(),
		nil)
	require.NoError(t, err)
	return r.Header.Get("Docker-Content-Digest")
}

// ManifestOf requests a manifest directly from the registry.
func (s *Server) ManifestOf(t *testing.T, repo, ref string) []byte {
	t.Helper()
	r, err := NewClient(s.URL()).Do(t.Context(), http.StatusOK, http.MethodGet, "/v2/"+repo+"/manifests/"+ref, Accept(),
		nil)
	require.NoError(t, err)
	return r.Body
}

// TagsOf requests all tags directly from the registry.
func (s *Server) TagsOf(t *testing.T, repo string) []string {
	t.Helper()
	tags, err := NewClient(s.URL()).Tags(t.Context(), repo)
	require.NoError(t, err)
	return tags
}

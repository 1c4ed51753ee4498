package server

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/registrykit/registry/internal/e2e/harness"
	"github.com/stretchr/testify/require"
)

// TestOptionsOfTheServer checks that the registry responds to "OPTIONS *". Its response has
// deadlines; that of net/http would have none.
func TestOptionsOfTheServer(t *testing.T) {
	s := start(t)
	conn, err := net.Dial("tcp", s.Addr)
	require.NoError(t, err)
	defer conn.Close()
	_, err = fmt.Fprintf(conn, "OPTIONS * HTTP/1.1\r\nHost: %s\r\nContent-Length: 0\r\n\r\n", s.Addr)
	require.NoError(t, err)
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, http.StatusNotFound, res.StatusCode)
	require.Equal(t, "application/json", res.Header.Get("Content-Type"))
}

// TestTokenOfManyLongNames checks that a token request for hundreds of repositories is not rejected
// for its large header.
func TestTokenOfManyLongNames(t *testing.T) {
	rules := filepath.Join(t.TempDir(), "rules.yaml")
	require.NoError(t, os.WriteFile(rules, []byte("rules:\n- {who: everyone, repositories: \"**\", actions: pull}\n"),
		0o600))
	s := start(t, "-rules", rules)
	q := url.Values{}
	for i := range 500 {
		q.Add("scope", fmt.Sprintf("repository:%s/%03d:pull", strings.Repeat("a", 60), i))
	}
	_, err := harness.NewClient(s.URL()).Do(t.Context(), http.StatusOK, http.MethodGet, "/v2/token?"+q.Encode(), nil, nil)
	require.NoError(t, err)
}

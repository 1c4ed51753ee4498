package api_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestStalledBody: a client that announces a body and does not send it gets its response, and cannot keep the
// connection.
func TestStalledBody(t *testing.T) {
	s := newSite(t, nil)
	for _, length := range []string{"100", "100000000"} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
		require.NoError(t, err)
		t.Cleanup(func() { conn.Close() })
		require.NoError(t, conn.SetDeadline(time.Now().Add(2*time.Minute)))
		_, err = io.WriteString(conn, "POST /api/v1/rules/explain HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"+
			"Content-Length: "+length+"\r\n\r\n{")
		require.NoError(t, err)
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, 401, res.StatusCode)
	}
}

package wire

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestRefuseSendsJSON(t *testing.T) {
	w := httptest.NewRecorder()
	Refuse(w, httptest.NewRequest("GET", "/", nil), http.StatusForbidden, "DENIED", `a "message"`)
	require.Equal(t, http.StatusForbidden, w.Code)
	require.JSONEq(t, `{"errors":[{"code":"DENIED","message":"a \"message\""}]}`, w.Body.String())
	require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
	require.Equal(t, "application/json", w.Header().Get("Content-Type"))
}

// dial serves a handler and connects to it.
func dial(t *testing.T, h http.HandlerFunc) net.Conn {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(2*time.Minute)))
	return conn
}

// TestBoundUnreadResponsesEndConnection: a client that sends requests and reads no response loses
// its connection.
func TestBoundUnreadResponsesEndConnection(t *testing.T) {
	conn := dial(t, func(w http.ResponseWriter, r *http.Request) {
		bound(w, r, time.Minute, 50*time.Millisecond)
		_, _ = io.WriteString(w, strings.Repeat("x", 1000))
	})
	requests := strings.Repeat("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 1000)
	var err error
	for err == nil { // until it does not take any more
		_, err = io.WriteString(conn, requests)
	}
	require.NotErrorIs(t, err, os.ErrDeadlineExceeded, "the server is stuck")
}

// TestBoundDeadlineEndsWithResponse: the deadline of one response does not cut off the next one on
// the same connection.
func TestBoundDeadlineEndsWithResponse(t *testing.T) {
	conn := dial(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/bound" {
			bound(w, r, time.Minute, 2*time.Second)
			return
		}
		time.Sleep(3 * time.Second) // longer than the deadline of the request before
		_, _ = io.WriteString(w, "slow")
	})
	in := bufio.NewReader(conn)
	for _, path := range []string{"/bound", "/slow"} {
		_, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", path)
		require.NoError(t, err)
		res, err := http.ReadResponse(in, nil)
		require.NoError(t, err, path)
		_, err = io.Copy(io.Discard, res.Body)
		require.NoError(t, err)
	}
}

package wire

import (
	"bufio"
	"context"
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

// dialPaced serves a handler with a patience, and connects to it.
func dialPaced(t *testing.T, patience time.Duration, h http.HandlerFunc) net.Conn {
	t.Helper()
	server := httptest.NewServer(paceBy(h, patience))
	t.Cleanup(server.Close)
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(2*time.Minute)))
	return conn
}

// TestPaceStalledBody: a client that announces a body and does not send it gets a response and loses
// its connection, whether or not the handler reads the body.
func TestPaceStalledBody(t *testing.T) {
	for name, handler := range map[string]http.HandlerFunc{
		"read": func(w http.ResponseWriter, r *http.Request) {
			_, err := io.ReadAll(r.Body)
			if err == nil {
				w.WriteHeader(http.StatusTeapot)
			}
		},
		"unread":            func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "x") },
		"unread, no writes": func(http.ResponseWriter, *http.Request) {},
	} {
		t.Run(name, func(t *testing.T) {
			conn := dialPaced(t, 50*time.Millisecond, handler)
			_, err := io.WriteString(conn, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{")
			require.NoError(t, err)
			in := bufio.NewReader(conn)
			res, err := http.ReadResponse(in, nil)
			require.NoError(t, err)
			require.Equal(t, http.StatusOK, res.StatusCode)
			_, err = io.Copy(io.Discard, res.Body)
			require.NoError(t, err)
			_, err = in.ReadByte()
			require.ErrorIs(t, err, io.EOF, "the connection was kept")
		})
	}
}

// TestPaceUnreadResponse: a client that does not read a response loses its connection.
func TestPaceUnreadResponse(t *testing.T) {
	ended := make(chan error, 1)
	conn := dialPaced(t, 50*time.Millisecond, func(w http.ResponseWriter, _ *http.Request) {
		for {
			if _, err := w.Write(make([]byte, 100)); err != nil {
				ended <- err
				return
			}
		}
	})
	_, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	require.NoError(t, err)
	require.ErrorIs(t, <-ended, os.ErrDeadlineExceeded)
}

// TestPaceSlowHandler: neither a handler that takes longer than its client may, before and after it
// has read the body, nor the deadline of an earlier response ends a request.
func TestPaceSlowHandler(t *testing.T) {
	const patience = 200 * time.Millisecond
	conn := dialPaced(t, patience, func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(2 * patience)
		body, err := io.ReadAll(r.Body)
		if err != nil {
			body = []byte(err.Error())
		}
		time.Sleep(2 * patience)
		if r.Context().Err() != nil {
			body = []byte(context.Cause(r.Context()).Error())
		}
		_, _ = w.Write(body)
		time.Sleep(2 * patience)
		_, _ = w.Write(body)
	})
	in := bufio.NewReader(conn)
	for range 2 {
		_, err := fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody")
		require.NoError(t, err)
		res, err := http.ReadResponse(in, nil)
		require.NoError(t, err)
		body, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		require.Equal(t, strings.Repeat("body", 2), string(body))
	}
}

package webhook_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/internal/options"
	"github.com/registrykit/registry/notification/webhook"
)

// hostile is a receiver without a network: serve gets the connection after a whole request.
func hostile(t *testing.T, opts *webhook.Options, serve func(c net.Conn)) (*webhook.Webhook, *atomic.Int64) {
	t.Helper()
	o := options.Value(opts)
	o.AllowPrivate = true
	w, err := webhook.New("http://ci.example/hook", &o)
	require.NoError(t, err)
	dials := new(atomic.Int64)
	var serving sync.WaitGroup
	webhook.SetDial(w, func(context.Context, string, string) (net.Conn, error) {
		dials.Add(1)
		client, server := net.Pipe()
		serving.Go(func() {
			defer server.Close()
			if request(server) == nil {
				serve(server)
			}
		})
		return client, nil
	})
	t.Cleanup(func() {
		w.CloseIdleConnections()
		serving.Wait()
	})
	return w, dials
}

func request(c net.Conn) error {
	r, err := http.ReadRequest(bufio.NewReader(c))
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, r.Body)
	return err
}

// TestHostileReceiver: whatever the receiver does, an attempt ends in time, and only the status
// decides whether the events were delivered.
func TestHostileReceiver(t *testing.T) {
	write := func(texts ...string) func(net.Conn) {
		return func(c net.Conn) {
			for _, text := range texts {
				if _, err := io.WriteString(c, text); err != nil {
					return
				}
			}
		}
	}
	forever := func(first, again string, every time.Duration) func(net.Conn) {
		return func(c net.Conn) {
			_, err := io.WriteString(c, first)
			for err == nil {
				time.Sleep(every)
				_, err = io.WriteString(c, again)
			}
		}
	}
	hang := func(first string) func(net.Conn) {
		return func(c net.Conn) {
			_, _ = io.WriteString(c, first)
			_, _ = io.Copy(io.Discard, c) // until the sender gives up
		}
	}
	const ok = "HTTP/1.1 200 OK\r\n"
	for name, c := range map[string]struct {
		serve func(net.Conn)
		max   time.Duration
		want  string // part of the error, or "" if the events are delivered
	}{
		"hangs":                    {hang(""), 20 * time.Second, "deadline"},
		"hangs in the status line": {hang("HTTP/1.1 20"), 20 * time.Second, "deadline"},
		"hangs in the header":      {hang(ok + "X: y\r\n"), 20 * time.Second, "deadline"},
		"hangs in the body":        {hang(ok + "Content-Length: 10\r\n\r\nabc"), 2 * time.Second, ""},
		"hangs in the body of 500": {hang("HTTP/1.1 500 X\r\nContent-Length: 10\r\n\r\nabc"), 2 * time.Second, "500: abc"},
		"trickles the header":      {forever(ok, "X: y\r\n", time.Second), 20 * time.Second, "deadline"},
		"trickles the body":        {forever(ok+"\r\n", "x", 100*time.Millisecond), 2 * time.Second, ""},
		"trickles informational":   {forever("", "HTTP/1.1 103 X\r\n\r\n", time.Second), 20 * time.Second, "deadline"},
		"sends a body without end": {forever(ok+"\r\n", strings.Repeat("x", 1<<20), 0), 0, ""},
		"sends an error without end": {forever("HTTP/1.1 500 X\r\n\r\n", strings.Repeat("x", 1<<20), 0), 0,
			"500: " + strings.Repeat("x", 200)},
		"sends a header without end": {forever(ok, "X: "+strings.Repeat("y", 1000)+"\r\n", 0), 0, "header"},
		"sends one endless line":     {forever(ok+"X: ", strings.Repeat("y", 1000), 0), 0, "header"},
		"closes":                     {write(""), 0, "EOF"},
		"closes in the header":       {write(ok), 0, "EOF"},
		"closes in the body":         {write(ok, "Content-Length: 10\r\n\r\nabc"), 0, ""},
		"closes in a chunk":          {write(ok, "Transfer-Encoding: chunked\r\n\r\n5\r\nab"), 0, ""},
		"sends a bad chunk":          {write(ok, "Transfer-Encoding: chunked\r\n\r\nzz\r\nab"), 0, ""},
		"sends garbage":              {write("\x16\x03\x01\x00\x01<html>\x00"), 0, "malformed"},
		"sends another protocol":     {write("SSH-2.0-OpenSSH_9.2\r\n"), 0, "malformed"},
		"sends a wrong length":       {write(ok, "Content-Length: -1\r\n\r\n"), 0, "Content-Length"},
		"switches protocols":         {hang("HTTP/1.1 101 X\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"), 0, "101"},
		"sends a status of 999":      {write("HTTP/1.1 999 X\r\nContent-Length: 0\r\n\r\n"), 0, "status 999"},
		"sends a gzip bomb": {write(ok, "Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\n", "\x1f\x8b\x08"), 0,
			""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, _ := hostile(t, nil, c.serve)
				start := time.Now()
				err := w.Notify(t.Context(), pushes(1))
				require.LessOrEqual(t, time.Since(start), c.max)
				if c.want == "" {
					require.NoError(t, err)
				} else {
					require.ErrorContains(t, err, c.want)
					require.Less(t, len(err.Error()), 300)
				}
			})
		})
	}
}

// TestTimeout: the caller can tell a timeout from a cancelled context.
func TestTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		serve := func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }
		w, _ := hostile(t, &webhook.Options{Timeout: 3 * time.Second}, serve)
		start := time.Now()
		require.ErrorIs(t, w.Notify(t.Context(), pushes(1)), context.DeadlineExceeded)
		require.Equal(t, 3*time.Second, time.Since(start))
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		require.ErrorIs(t, w.Notify(ctx, pushes(1)), context.Canceled)
		require.Equal(t, 4*time.Second, time.Since(start))
	})
}

// TestConnectionsAreReused: short responses are read to the end, so that one connection serves all
// attempts. After a long response, the next attempt makes a new one.
func TestConnectionsAreReused(t *testing.T) {
	serve := func(size int) func(net.Conn) {
		return func(c net.Conn) {
			for {
				_, err := fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", size, strings.Repeat("x", size))
				if err != nil || request(c) != nil {
					return
				}
			}
		}
	}
	for size, want := range map[int]int64{0: 1, 60 << 10: 1, 1 << 20: 5} {
		w, dials := hostile(t, nil, serve(size))
		for range 5 {
			require.NoError(t, w.Notify(t.Context(), pushes(1)))
		}
		require.Equal(t, want, dials.Load(), size)
	}
}

// TestErrorsHideTheNetwork: an error contains neither the address of the registry nor that of its name server.
func TestErrorsHideTheNetwork(t *testing.T) {
	inner := &net.TCPAddr{IP: net.IPv4(10, 1, 2, 3), Port: 40000}
	outer := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 443}
	for want, err := range map[string]error{
		"lookup ci.example: no such host": &net.DNSError{Name: "ci.example", Server: "10.1.2.3:53", IsNotFound: true},
		"lookup ci.example: timeout": &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Name: "ci.example",
			Server: "10.1.2.3:53", Err: "read udp 10.1.2.3:1->10.1.2.3:53: i/o timeout", IsTimeout: true}},
		"lookup ci.example: failed": &net.DNSError{Name: "ci.example", Err: "10.1.2.3: server misbehaving"},
		"read tcp 192.0.2.1:443: reset": &net.OpError{Op: "read", Net: "tcp", Source: inner, Addr: outer,
			Err: errors.New("reset")},
	} {
		hook, nerr := webhook.New("https://ci.example/", &webhook.Options{
			Transport: roundTrip(func(*http.Request) (*http.Response, error) { return nil, err })})
		require.NoError(t, nerr)
		got := hook.Notify(t.Context(), pushes(1))
		require.ErrorContains(t, got, want)
		require.NotContains(t, got.Error(), "10.1.2.3")
	}
}

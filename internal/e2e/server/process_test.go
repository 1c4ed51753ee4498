package server

import (
	"crypto/tls"
	"io"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/registrykit/registry/internal/e2e/harness"
	"github.com/stretchr/testify/require"
)

// TestCertificateRenewed renames a new certificate and its key over the old ones, and then a broken
// certificate.
func TestCertificateRenewed(t *testing.T) {
	first, second := harness.NewCertificate(t, "127.0.0.1"), harness.NewCertificate(t, "127.0.0.1")
	s := harness.New(t, harness.Options{
		Kind: harness.Ours, Storage: "mem://", CA: first.CA, Args: []string{"-tls-cert", first.Cert, "-tls-key", first.Key},
	})
	served := func() string {
		conn, err := tls.Dial("tcp", s.Addr, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
		require.NoError(t, err)
		defer conn.Close()
		require.Equal(t, "h2", conn.ConnectionState().NegotiatedProtocol)
		return string(conn.ConnectionState().PeerCertificates[0].Signature)
	}
	old := served()
	require.NoError(t, os.Rename(second.Cert, first.Cert))
	require.NoError(t, os.Rename(second.Key, first.Key))
	require.Eventually(t, func() bool { return served() != old }, time.Minute, 100*time.Millisecond)

	renewed := served()
	require.NoError(t, os.WriteFile(first.Cert, []byte("broken"), 0o600))
	require.Eventually(t, func() bool {
		require.Equal(t, renewed, served())
		return strings.Contains(s.Tail(), "the certificate cannot be renewed")
	}, time.Minute, 100*time.Millisecond)
	_, err := tls.Dial("tcp", s.Addr, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10,
		MaxVersion: tls.VersionTLS11})
	require.Error(t, err)
}

// TestSecondInterrupt ends the process while it waits for a request that does not end.
func TestSecondInterrupt(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		t.Run(signal.String(), func(t *testing.T) {
			s := start(t)
			c := harness.NewClient(s.URL())
			c.HTTP.Transport = &http.Transport{ExpectContinueTimeout: time.Hour}
			location, err := c.Begin(t.Context(), "app")
			require.NoError(t, err)
			body, w := io.Pipe()
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				res, err := c.Send(t.Context(), http.MethodPatch, location, http.Header{"Expect": {"100-continue"}}, body, -1)
				if err == nil {
					res.Body.Close()
				}
			}()
			_, err = w.Write([]byte("a part of it")) // returns when the server has asked for it
			require.NoError(t, err)

			process, err := os.FindProcess(s.PID())
			require.NoError(t, err)
			require.NoError(t, process.Signal(signal))
			require.Eventually(t, func() bool { return strings.Contains(s.Tail(), "stopping") }, time.Minute,
				10*time.Millisecond)
			require.True(t, s.Running(), "it waits for the request")
			start := time.Now()
			require.NoError(t, process.Signal(signal))
			require.Eventually(t, func() bool { return !s.Running() }, time.Minute, 10*time.Millisecond)
			require.Less(t, time.Since(start), 25*time.Second, "it waited for the request")
			// the transport waits for its body even if the connection is gone
			require.NoError(t, w.CloseWithError(io.ErrUnexpectedEOF))
			<-ended
		})
	}
}

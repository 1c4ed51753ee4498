package process

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/registrykit/registry/certfile"
)

// Serve serves until ctx ends, and then waits up to 30 seconds for requests in flight. A signal that
// arrives after the log message ends the process at once, so stop comes before it.
func Serve(ctx context.Context, stop func(), server *http.Server, listener net.Listener, log *slog.Logger) error {
	failed := make(chan error, 1)
	go func() {
		if server.TLSConfig != nil {
			failed <- server.ServeTLS(listener, "", "")
		} else {
			failed <- server.Serve(listener)
		}
	}()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	stop()
	log.Info("stopping: waiting up to 30 seconds for requests in flight; interrupt again to stop at once")
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	return server.Shutdown(grace)
}

// ServerOptions are the options of NewServer.
type ServerOptions struct {
	// Cert and Key are the files of the certificate and its key, in PEM. Default: plain HTTP.
	Cert, Key string
	// H2C serves HTTP/2 without TLS beside HTTP/1.1. Default: false.
	H2C bool
}

// NewServer returns the server for a handler, with TLS if there is a certificate. It limits headers
// and idle connections. The registry itself limits the time of bodies and responses.
func NewServer(handler http.Handler, o ServerOptions, log *slog.Logger) (*http.Server, error) {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 30 * time.Second,
		// net/http responds to "OPTIONS *" itself and without a deadline, so that a client that does
		// not read the response would stay forever.
		DisableGeneralOptionsHandler: true,
		MaxHeaderBytes:               128 << 10, // a token request names hundreds of repositories
		IdleTimeout:                  2 * time.Minute,
		HTTP2:                        &http.HTTP2Config{WriteByteTimeout: 10 * time.Minute},
		ErrorLog:                     slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	if o.H2C {
		server.Protocols = new(http.Protocols)
		server.Protocols.SetHTTP1(true)
		server.Protocols.SetUnencryptedHTTP2(true)
	}
	if o.Cert == "" {
		return server, nil
	}
	report := func(ctx context.Context, err error) {
		log.ErrorContext(ctx, "the certificate cannot be renewed; the old one stays in use", "error", err)
	}
	cert, err := certfile.New(o.Cert, o.Key, &certfile.Options{Error: report})
	if err != nil {
		return nil, err
	}
	server.TLSConfig = cert.TLSConfig()
	return server, nil
}

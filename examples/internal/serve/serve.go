// Package serve is the shared part of the programs examples/server, examples/cloud and
// examples/mirror: flags, access control, logging, collection and the HTTP server. The programs add
// the storage, and what they serve instead of it.
package serve

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/certfile"
	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver"
)

// Storage is the storage of a program.
type Storage struct {
	// Usage is the usage text of the flag -storage.
	Usage string
	// Default is the default of the flag -storage. "" makes the flag required.
	Default string
	// Open opens the storage that the flag -storage names. The program may have registered further
	// flags. If the driver is an io.Closer, it is closed at the end.
	Open func(ctx context.Context, name string) (driver.Driver, error)
	// Check, unless nil, checks further flags of the program before anything is opened.
	Check func() error
	// Users, unless nil, returns what authenticates callers instead of the users of -htpasswd.
	Users func(auth.Authenticator) auth.Authenticator
	// Serve, unless nil, returns what the program serves instead of the store.
	Serve func(ctx context.Context, p *Parts) (*Served, error)
}

// Parts are the parts from which Storage.Serve makes a backend.
type Parts struct {
	Store  *storage.Store
	Driver driver.Driver
	Log    *slog.Logger
}

// Served is what a program serves instead of the store.
type Served struct {
	// Backend is the backend.
	Backend registry.Backend
	// Resolve is the value of registry.Options.Resolve, or nil.
	Resolve func(registry.NameQuery) (string, error)
	// Around, unless nil, returns a handler around the registry.
	Around func(http.Handler) http.Handler
	// Run, unless nil, does work in the background until its context ends.
	Run func(ctx context.Context) error
	// Hosts are further host names under which the registry is reached.
	Hosts []string
	// Pages are further paths, such as "/metrics".
	Pages map[string]http.Handler
	// Greet, unless nil, prints what to try first. name is the address, scheme that of its URLs.
	Greet func(w io.Writer, scheme, name string)
}

// served returns what the program serves.
func (s *Storage) served(ctx context.Context, p *Parts) (*Served, error) {
	if s.Serve == nil {
		return &Served{Backend: p.Store}, nil
	}
	return s.Serve(ctx, p)
}

// config holds the values of the flags.
type config struct {
	addr       string
	storage    string
	sparse     bool
	anySize    bool
	delete     bool
	keepUsed   bool
	redirect   bool
	immutable  []string
	logLevel   slog.Level
	h2c        bool
	access     access
	pages      pages
	collect    collect
	events     events
	uploadTTL  time.Duration
	maxUploads int
	minRate    int64
}

// Main parses the flags and serves a registry until the process receives an interrupt or SIGTERM.
// It exits with status 2 if the flags are invalid, and with 1 if serving fails.
func Main(s Storage) {
	var c config
	c.flags(s)
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "unexpected argument %q\n", flag.Arg(0))
		flag.Usage()
		os.Exit(2)
	}
	if c.storage == "" {
		fmt.Fprintln(os.Stderr, "-storage is required")
		flag.Usage()
		os.Exit(2)
	}
	err := c.check()
	if s.Check != nil {
		err = errors.Join(err, s.Check())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: c.logLevel}))
	if err := run(ctx, stop, c, &s, log); err != nil {
		log.Error("registry stopped", "error", err)
		os.Exit(1)
	}
}

// flags registers the flags.
func (c *config) flags(s Storage) {
	flag.StringVar(&c.addr, "addr", "127.0.0.1:5000", "Listen on this `address`.")
	flag.StringVar(&c.storage, "storage", s.Default, s.Usage)
	flag.BoolVar(&c.sparse, "sparse", false, "Accept manifests that name missing content. Default: false.")
	flag.BoolVar(&c.anySize, "accept-wrong-sizes", false,
		"Accept indexes that state a wrong size for a manifest, as docker before 18.09 wrote them. Default: false.")
	flag.BoolVar(&c.delete, "delete", true, "Allow deletes.")
	flag.BoolVar(&c.keepUsed, "keep-used-blobs", false,
		"Refuse to delete a blob while a manifest of its repository names it. Default: false.")
	flag.BoolVar(&c.redirect, "redirect", false,
		"Redirect pulls of blobs of 1 MiB and more to the storage itself, if it can sign URLs. Default: false.")
	flag.Func("immutable", "Set tags that match this `pattern` once and protect them, for example \"apps/**:v*\" or "+
		"\"**\". A pattern such as \"!apps/test:*\" is an exception. May be repeated. Default: no tag is immutable.",
		func(pattern string) error {
			c.immutable = append(c.immutable, pattern)
			return nil
		})
	flag.BoolVar(&c.h2c, "h2c", false,
		"Serve HTTP/2 without TLS beside HTTP/1.1, for platforms whose proxies require it. Default: false.")
	c.access.flags()
	c.pages.flags()
	c.collect.flags()
	c.events.flags()
	flag.DurationVar(&c.uploadTTL, "upload-ttl", storage.DefaultUploadTTL,
		"Remove an upload after this `time` without a request.")
	flag.IntVar(&c.maxUploads, "max-uploads", storage.DefaultMaxUploads,
		"Allow each caller this `number` of unfinished uploads. All anonymous callers count as one. 0: the default. "+
			"Negative: no limit.")
	flag.Int64Var(&c.minRate, "min-rate", registry.DefaultMinRate,
		"Require clients to send and read at least this number of `bytes` per second on average.")
	flag.TextVar(&c.logLevel, "log-level", slog.LevelInfo,
		"Log messages of this `level` and above: debug, info, warn or error. At info, each request is logged.")
}

// check rejects contradictory flags, and flags that would leave something open by mistake.
func (c *config) check() error {
	var err error
	if c.h2c && c.access.tlsCert != "" {
		err = errors.New("-h2c serves HTTP/2 without TLS; with -tls-cert, clients use HTTP/2 anyway")
	}
	return errors.Join(err, c.access.check(c.addr), c.pages.check(), c.collect.check(),
		c.events.check(c.access.externalURL),
		positive("-upload-ttl", c.uploadTTL), positive("-min-rate", c.minRate))
}

// run serves until ctx ends, and then waits for requests in flight. stop restores the default effect
// of signals.
func run(ctx context.Context, stop func(), c config, s *Storage, log *slog.Logger) (err error) {
	driver, err := s.Open(ctx, c.storage)
	if err != nil {
		return err
	}
	if closer, ok := driver.(io.Closer); ok {
		defer func() { err = errors.Join(err, closer.Close()) }()
	}
	store, err := storage.New(ctx, driver, c.storeOptions())
	if err != nil {
		return err
	}
	sink, deliver, err := c.events.sink(driver, store, log)
	if err != nil {
		return err
	}
	served, err := s.served(ctx, &Parts{Store: store, Driver: driver, Log: log})
	if err != nil {
		return err
	}
	c.access.users = s.Users
	if served.Resolve != nil {
		c.access.resolve = func(repo string) string {
			name, err := served.Resolve(registry.NameQuery{Repository: repo, Request: &http.Request{}})
			if err != nil {
				return repo
			}
			return name
		}
	}
	handler, err := newHandler(ctx, c, store, served, sink, log)
	if err != nil {
		return err
	}
	handler = health(driver, served.Pages, handler)
	server, err := newServer(c, c.access.forwarded(accessLog(log, handler)), log)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", c.addr)
	if err != nil {
		return err
	}
	go expire(ctx, store, min(time.Hour, c.uploadTTL), log)
	go c.collect.run(ctx, store, log)
	defer background(ctx, deliver)()
	defer background(ctx, func(ctx context.Context) {
		if served.Run != nil {
			ends(ctx, "the work in the background", served.Run(ctx), log)
		}
	})()
	greet(os.Stdout, c, served, listener.Addr().String())
	return serve(ctx, stop, server, listener, log)
}

// background runs a function until the returned function is called, which waits for its end. That
// happens after the server has stopped: requests that end while it stops still have events.
func background(ctx context.Context, run func(context.Context)) (stop func()) {
	running, end := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	go func() {
		run(running)
		close(ended)
	}()
	return func() {
		end()
		<-ended
	}
}

// storeOptions returns the options of the store.
func (c *config) storeOptions() *storage.Options {
	o := &storage.Options{Sparse: c.sparse, AcceptWrongSizes: c.anySize, UploadTTL: c.uploadTTL,
		MaxUploads: c.maxUploads, Grace: c.collect.storeGrace()}
	if c.redirect {
		o.Redirect = &storage.RedirectOptions{}
	}
	return o
}

// newHandler returns the registry with access control, the token endpoint, and the protection from
// web pages.
func newHandler(ctx context.Context, c config, store *storage.Store, served *Served, sink notification.Sink,
	log *slog.Logger) (http.Handler, error) {
	opts := &registry.Options{Logger: log, MinRate: c.minRate, NoDelete: registry.NoDelete{UsedBlobs: c.keepUsed},
		Sink: sink, Instance: instance(), Resolve: served.Resolve}
	if !c.delete {
		opts.NoDelete = registry.NoDelete{Tags: true, Manifests: true, Blobs: true, Repositories: true}
	}
	backend, err := protect(served.Backend, c.immutable)
	if err != nil {
		return nil, err
	}
	withTokens, err := c.access.set(ctx, opts, store, log)
	if err != nil {
		return nil, err
	}
	reg, err := registry.New(backend, opts)
	if err != nil {
		return nil, err
	}
	handler := withTokens(reg)
	if served.Around != nil {
		handler = served.Around(handler)
	}
	return c.pages.around(handler, &c.access, served.Hosts)
}

// serve serves until ctx ends, and then waits up to 30 seconds for requests in flight. A signal that
// arrives after the log message ends the process at once, so stop comes before it.
func serve(ctx context.Context, stop func(), server *http.Server, listener net.Listener, log *slog.Logger) error {
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

// newServer returns the server for a handler, with TLS if there is a certificate. It limits headers
// and idle connections. The registry itself limits the time of bodies and responses.
func newServer(c config, handler http.Handler, log *slog.Logger) (*http.Server, error) {
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
	if c.h2c {
		server.Protocols = new(http.Protocols)
		server.Protocols.SetHTTP1(true)
		server.Protocols.SetUnencryptedHTTP2(true)
	}
	if c.access.tlsCert == "" {
		return server, nil
	}
	report := func(ctx context.Context, err error) {
		log.ErrorContext(ctx, "the certificate cannot be renewed; the old one stays in use", "error", err)
	}
	cert, err := certfile.New(c.access.tlsCert, c.access.tlsKey, &certfile.Options{Error: report})
	if err != nil {
		return nil, err
	}
	server.TLSConfig = cert.TLSConfig()
	return server, nil
}

// expire periodically removes expired uploads until ctx ends.
func expire(ctx context.Context, store *storage.Store, every time.Duration, log *slog.Logger) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		n, err := store.ExpireUploads(ctx)
		if err != nil && ctx.Err() == nil {
			log.Warn("removing expired uploads failed", "error", err)
		} else if n > 0 {
			log.Info("removed expired uploads", "number", n)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

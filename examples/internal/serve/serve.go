// Package serve is what the programs examples/server and examples/cloud have in common: all but the
// storage.
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
	"github.com/registrykit/registry/certfile"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver"
)

// Storage is the storage that a program offers.
type Storage struct {
	// Usage says what the flag -storage names.
	Usage string
	// Default is the value of the flag -storage if it is not given; "" demands it.
	Default string
	// Open opens what the flag -storage names. It may have registered flags of its own. A driver
	// that is an io.Closer is closed at the end.
	Open func(ctx context.Context, name string) (driver.Driver, error)
}

// config is what the flags say.
type config struct {
	addr      string
	storage   string
	sparse    bool
	anySize   bool
	delete    bool
	keepUsed  bool
	redirect  bool
	immutable []string
	logLevel  slog.Level
	h2c       bool
	access    access
	pages     pages
	collect   collect
	uploadTTL time.Duration
	// maxUploads is storage.Options.MaxUploads.
	maxUploads int
	minRate    int64
}

// Main serves a registry as the flags of the command line say, until the process is told to end.
func Main(s Storage) {
	var c config
	flag.StringVar(&c.addr, "addr", "127.0.0.1:5000", "`address` to listen on")
	flag.StringVar(&c.storage, "storage", s.Default, s.Usage)
	flag.BoolVar(&c.sparse, "sparse", false, "accept manifests that name content which is not there")
	flag.BoolVar(&c.anySize, "accept-wrong-sizes", false,
		"accept indexes that state another size for a manifest than it has, as docker before 18.09 wrote them")
	flag.BoolVar(&c.delete, "delete", true, "allow deletes")
	flag.BoolVar(&c.keepUsed, "keep-used-blobs", false,
		"refuse to delete a blob while a manifest of its repository names it")
	flag.BoolVar(&c.redirect, "redirect", false,
		"have clients fetch large blobs from the storage itself, where it can sign URLs")
	flag.Func("immutable", "`pattern` of tags that are set once and stay, such as \"apps/**:v*\" or \"**\"; \"!apps/test:*\" is an exception; may be repeated",
		func(pattern string) error {
			c.immutable = append(c.immutable, pattern)
			return nil
		})
	flag.BoolVar(&c.h2c, "h2c", false, "speak HTTP/2 without TLS, beside HTTP/1.1, for platforms whose proxies want it")
	c.access.flags()
	c.pages.flags()
	c.collect.flags()
	flag.DurationVar(&c.uploadTTL, "upload-ttl", storage.DefaultUploadTTL,
		"`time` after which an upload ends that has had no request")
	flag.IntVar(&c.maxUploads, "max-uploads", storage.DefaultMaxUploads,
		"`number` of unfinished uploads of one caller, all anonymous ones being one; negative: no limit")
	flag.Int64Var(&c.minRate, "min-rate", registry.DefaultMinRate,
		"`bytes` per second that a client must send or read at least, on average")
	flag.TextVar(&c.logLevel, "log-level", slog.LevelInfo, "debug, info, warn or error; info logs each request")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "unexpected argument %q\n", flag.Arg(0))
		flag.Usage()
		os.Exit(2)
	}
	if c.storage == "" {
		fmt.Fprintln(os.Stderr, "-storage is needed")
		flag.Usage()
		os.Exit(2)
	}
	if err := c.check(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: c.logLevel}))
	if err := run(ctx, c, s.Open, log); err != nil {
		log.Error("registry stopped", "error", err)
		os.Exit(1)
	}
}

// check refuses flags that make no sense, or would leave something open by oversight.
func (c *config) check() error {
	var err error
	if c.h2c && c.access.tlsCert != "" {
		err = errors.New("-h2c is HTTP/2 without TLS; with -tls-cert, clients get HTTP/2 anyway")
	}
	return errors.Join(err, c.access.check(c.addr), c.pages.check(), c.collect.check(),
		positive("-upload-ttl", c.uploadTTL), positive("-min-rate", c.minRate))
}

// run serves until ctx ends, and then lets requests in flight come to their end.
func run(ctx context.Context, c config, open func(context.Context, string) (driver.Driver, error),
	log *slog.Logger) (err error) {
	driver, err := open(ctx, c.storage)
	if err != nil {
		return err
	}
	if closer, ok := driver.(io.Closer); ok {
		defer func() { err = errors.Join(err, closer.Close()) }()
	}
	storeOpts := &storage.Options{Sparse: c.sparse, AcceptWrongSizes: c.anySize, UploadTTL: c.uploadTTL,
		MaxUploads: c.maxUploads, Grace: c.collect.storeGrace()}
	if c.redirect {
		storeOpts.Redirect = &storage.RedirectOptions{}
	}
	store, err := storage.New(ctx, driver, storeOpts)
	if err != nil {
		return err
	}
	opts := &registry.Options{Logger: log, MinRate: c.minRate, NoDelete: registry.NoDelete{UsedBlobs: c.keepUsed}}
	if !c.delete {
		opts.NoDelete = registry.NoDelete{Tags: true, Manifests: true, Blobs: true, Repositories: true}
	}
	backend, err := protect(store, c.immutable)
	if err != nil {
		return err
	}
	around, err := c.access.set(ctx, opts, store, log)
	if err != nil {
		return err
	}
	reg, err := registry.New(backend, opts)
	if err != nil {
		return err
	}
	handler, err := c.pages.around(around(reg), &c.access)
	if err != nil {
		return err
	}
	server, err := newServer(c, accessLog(log, health(driver, handler)), log)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", c.addr)
	if err != nil {
		return err
	}
	failed := make(chan error, 1)
	go func() {
		if server.TLSConfig != nil {
			failed <- server.ServeTLS(listener, "", "")
		} else {
			failed <- server.Serve(listener)
		}
	}()
	go expire(ctx, store, min(time.Hour, c.uploadTTL), log)
	go c.collect.run(ctx, store, log)
	greet(c, listener.Addr().String())

	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	log.Info("stopping: requests in flight have 30 seconds; a second interrupt ends them")
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	return server.Shutdown(grace)
}

// newServer returns the server for a handler: with TLS if there is a certificate, and with limits
// for headers and idle connections. What bodies and answers may take, the registry bounds itself.
func newServer(c config, handler http.Handler, log *slog.Logger) (*http.Server, error) {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 30 * time.Second,
		// net/http would answer "OPTIONS *" itself, and a client that does not read that would stay
		// for ever.
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
		log.ErrorContext(ctx, "the certificate cannot be renewed, the old one stays in use", "error", err)
	}
	cert, err := certfile.New(c.access.tlsCert, c.access.tlsKey, &certfile.Options{Error: report})
	if err != nil {
		return nil, err
	}
	server.TLSConfig = cert.TLSConfig()
	return server, nil
}

// expire drops what clients began to upload and never finished.
func expire(ctx context.Context, store *storage.Store, every time.Duration, log *slog.Logger) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		n, err := store.ExpireUploads(ctx)
		if err != nil && ctx.Err() == nil {
			log.Warn("expiring uploads", "error", err)
		} else if n > 0 {
			log.Info("uploads expired", "number", n)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// greet says how to use what has been started.
func greet(c config, addr string) {
	scheme := "http"
	if c.access.tlsCert != "" {
		scheme = "https"
	}
	fmt.Printf("registry listens on %s://%s, storage %s.", scheme, addr, c.storage)
	if scheme == "https" {
		fmt.Printf("\n")
		return
	}
	fmt.Printf(` Try:

  docker pull busybox && docker tag busybox %[1]s/busybox && docker push %[1]s/busybox
  skopeo copy --dest-tls-verify=false docker://%[1]s/busybox oci:busybox
  curl http://%[1]s/v2/_catalog

`, addr)
}

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
	"github.com/registrykit/registry/examples/internal/process"
	"github.com/registrykit/registry/examples/internal/work"
	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver"
)

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
	ui         ui
	collect    collect
	events     events
	keeping    housekeeping
	history    time.Duration
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
	c.ui.flags()
	c.collect.flags()
	c.events.flags()
	c.keeping.flags()
	flag.DurationVar(&c.history, "history", 0,
		"Record the changes of tags and the deletes, so that they can be undone for this `time`. 0: never.")
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
	if c.history < 0 {
		err = errors.Join(err, errors.New("-history must not be negative"))
	}
	return errors.Join(err, c.access.check(c.addr), c.keeping.check(), c.pages.check(), c.collect.check(),
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
	c.access.resolve = served.resolver()
	b, err := c.backend(served, store, driver, sink, log)
	if err != nil {
		return err
	}
	if err := c.access.open(driver, b.Backend, sink, c.access.audit, log); err != nil {
		return err
	}
	handler, err := newHandler(ctx, &c, driver, store, served, b, sink, log)
	if err != nil {
		return err
	}
	handler = process.Health(driver, served.Pages, handler)
	server, err := process.NewServer(c.access.forwarded(process.AccessLog(log, registry.LogPath, handler)),
		process.ServerOptions{Cert: c.access.tlsCert, Key: c.access.tlsKey, H2C: c.h2c}, log)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", c.addr)
	if err != nil {
		return err
	}
	go work.ExpireUploads(ctx, store, min(time.Hour, c.uploadTTL), log)
	run, err := c.background(&kept{driver: driver, store: store, backend: b.Backend, immutable: c.immutable,
		history: c.history, sink: sink, pulls: b.pulls, quotas: b.quotas, log: log})
	if err != nil {
		return err
	}
	go run(ctx)
	defer process.Background(ctx, deliver)()
	defer process.Background(ctx, process.Together(append(c.ui.work, b.flush,
		func(ctx context.Context) { c.access.run(ctx, log) },
		func(ctx context.Context) { served.work(ctx, log) })))()
	greet(os.Stdout, c, served, listener.Addr().String())
	if err := c.access.greet(ctx, os.Stdout, c.storage, c.pageURL(listener.Addr().String())); err != nil {
		return err
	}
	return process.Serve(ctx, stop, server, listener, log)
}

// storeOptions returns the options of the store.
func (c *config) storeOptions() *storage.Options {
	o := &storage.Options{Sparse: c.sparse, AcceptWrongSizes: c.anySize, UploadTTL: c.uploadTTL,
		MaxUploads: c.maxUploads, Grace: c.collect.storeGrace(), History: c.history}
	if c.redirect {
		o.Redirect = &storage.RedirectOptions{}
	}
	return o
}

// newHandler returns the registry with access control, the token endpoint, the protection from web pages, and the page
// of -ui.
func newHandler(ctx context.Context, c *config, d driver.Driver, store *storage.Store, served *Served, b *limited,
	sink notification.Sink, log *slog.Logger) (http.Handler, error) {
	opts := &registry.Options{Logger: log, MinRate: c.minRate, NoDelete: registry.NoDelete{UsedBlobs: c.keepUsed},
		Sink: sink, Instance: process.Instance(), Resolve: served.Resolve}
	if !c.delete {
		opts.NoDelete = registry.NoDelete{Tags: true, Manifests: true, Blobs: true, Repositories: true}
	}
	if b.pulls != nil {
		opts.Interceptors = append(opts.Interceptors, work.RecordPulls(b.pulls, c.keeping.notPulls))
	}
	withTokens, err := c.access.set(ctx, opts, store, log)
	if err != nil {
		return nil, err
	}
	if c.ui.on {
		if opts.Sink, err = c.ui.search(&c.access, store, b.Backend, sink, log); err != nil {
			return nil, err
		}
	}
	if c.ui.on && opts.Authorizer == nil {
		if opts.Authorizer, err = everybody(); err != nil {
			return nil, err
		}
	}
	reg, err := registry.New(b.Backend, opts)
	if err != nil {
		return nil, err
	}
	if c.ui.on {
		err = c.ui.open(ctx, &c.access,
			&shown{registry: reg, store: store, driver: d, limited: b, hosts: served.Hosts, log: log})
		if err != nil {
			return nil, fmt.Errorf("-ui: %w", err)
		}
	}
	handler := withTokens(reg)
	if served.Around != nil {
		handler = served.Around(handler)
	}
	if handler, err = c.pages.around(handler, &c.access, served.Hosts); err != nil {
		return nil, err
	}
	return c.ui.around(handler), nil
}

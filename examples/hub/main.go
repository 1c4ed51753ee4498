// Hub is a small Docker Hub in one program: people sign up and push images, robots pull them, webhooks report it, and
// the hub keeps house. It needs a directory or a bucket, and no database:
//
//	go run ./examples/hub -addr 127.0.0.1:5000 -storage ./hub-data -config hub.yaml
//
// All flags are optional. README.md has a walk of ten minutes.
package main

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
	"strings"
	"syscall"

	"github.com/registrykit/registry/examples/hub/config"
	"github.com/registrykit/registry/examples/hub/site"
	"github.com/registrykit/registry/examples/hub/traces"
	"github.com/registrykit/registry/examples/internal/bucket"
	"github.com/registrykit/registry/examples/internal/process"
	"github.com/registrykit/registry/internal/hostname"
	"github.com/registrykit/registry/storage/disk"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/gocloud"
	"github.com/registrykit/registry/storage/memory"
)

// program is the program with its flags.
type program struct {
	addr, storage, file, metrics string
	printConfig                  bool

	config *config.Config
	log    *slog.Logger
}

func main() {
	var p program
	p.flags()
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "unexpected argument %q\n", flag.Arg(0))
		flag.Usage()
		os.Exit(2)
	}
	if p.printConfig {
		_, _ = os.Stdout.Write(config.Shipped)
		return
	}
	if err := p.check(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	p.log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: p.config.Server.LogLevel}))
	if err := p.run(ctx, stop); err != nil {
		p.log.Error("hub stopped", "error", err)
		os.Exit(1)
	}
}

func (p *program) flags() {
	flag.StringVar(&p.addr, "addr", "127.0.0.1:5000", "Listen on this `address`.")
	flag.StringVar(&p.storage, "storage", "./hub-data", "Store everything in this `directory`, in memory if it is "+
		"mem://, or in the bucket at this URL: s3://, gs:// or azblob://, with the parameters of gocloud.dev, and "+
		"prefix= for a prefix of all keys.")
	flag.StringVar(&p.file, "config", "", "Read the configuration from this YAML `file`. Default: -print-config shows it.")
	flag.StringVar(&p.metrics, "metrics-addr", "", "Also serve /metrics on this `address`, to everybody who reaches it. "+
		"Default: metrics.address of -config.")
	flag.BoolVar(&p.printConfig, "print-config", false, "Print the configuration file with all fields and their defaults.")
}

// check reads the configuration. It refuses a configuration that would send passwords in the clear by mistake.
func (p *program) check() (err error) {
	if p.file == "" {
		p.config, err = config.Default()
	} else {
		p.config, err = config.Load(p.file)
	}
	if err != nil {
		return fmt.Errorf("-config: %w", err)
	}
	if p.metrics == "" {
		p.metrics = p.config.Metrics.Address
	}
	s := &p.config.Server
	if !s.InsecureOpen && !hostname.Loopback(p.addr) && s.TLSCert == "" && len(s.TrustedProxies) == 0 {
		return fmt.Errorf("-addr %s: passwords would be sent without TLS; in the configuration, set server.tlsCert, "+
			"a server.trustedProxies that terminates TLS, or server.insecureOpen", p.addr)
	}
	return nil
}

// open returns the driver for the value of -storage.
func (p *program) open(ctx context.Context) (driver.Driver, error) {
	switch {
	case p.storage == "mem://":
		return memory.New(nil), nil
	case strings.Contains(p.storage, "://"):
		d, err := bucket.Open(ctx, p.storage, gocloud.Parts{})
		if err != nil {
			return nil, fmt.Errorf("-storage: %w", err)
		}
		return d, nil
	}
	return disk.New(p.storage, nil)
}

// run serves until ctx ends, and then waits for requests in flight. stop restores the default effect of signals.
func (p *program) run(ctx context.Context, stop func()) (err error) {
	d, err := p.open(ctx)
	if err != nil {
		return err
	}
	if closer, ok := d.(io.Closer); ok {
		defer func() { err = errors.Join(err, closer.Close()) }()
	}
	spans, end, err := traces.New(ctx, p.config.Traces)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, end(context.WithoutCancel(ctx))) }()
	h, err := site.New(ctx, &site.Options{Config: p.config, Driver: d, Addr: p.addr, Spans: spans, Log: p.log})
	if err != nil {
		return err
	}
	s := &p.config.Server
	server, err := process.NewServer(h,
		process.ServerOptions{Cert: string(s.TLSCert), Key: string(s.TLSKey), H2C: s.H2C}, p.log)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", p.addr)
	if err != nil {
		return err
	}
	if err := p.serveMetrics(ctx, h); err != nil {
		return err
	}
	defer process.Background(ctx, h.Deliver)()
	ended := make(chan struct{})
	go func() { h.Run(ctx); close(ended) }()
	defer func() { <-ended }()
	defer stop() // before the line above, so that a failure to serve also ends the background work
	if err := p.greet(ctx, os.Stdout, h, listener.Addr().String()); err != nil {
		return err
	}
	return process.Serve(ctx, stop, server, listener, p.log)
}

// serveMetrics serves the metrics on -metrics-addr until ctx ends.
func (p *program) serveMetrics(ctx context.Context, h *site.Hub) error {
	if p.metrics == "" {
		return nil
	}
	listener, err := net.Listen("tcp", p.metrics)
	if err != nil {
		return fmt.Errorf("-metrics-addr: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", h.Metrics())
	server, err := process.NewServer(mux, process.ServerOptions{}, p.log)
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { _ = server.Close() }) // a scrape can be repeated
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			p.log.Error("metrics are no longer served", "error", err)
		}
	}()
	return nil
}

// greet prints the address of the hub, and the link for the first admin if there is none.
func (p *program) greet(ctx context.Context, w io.Writer, h *site.Hub, addr string) error {
	scheme, name := "http", process.Reachable(addr)
	if p.config.Server.TLSCert != "" {
		scheme = "https"
	}
	base := scheme + "://" + name
	if external := p.config.Server.ExternalURL; external != "" {
		base = strings.TrimSuffix(external, "/")
		_, name, _ = strings.Cut(base, "://")
	}
	fmt.Fprintf(w, "A hub at %s, listening on %s and stored in %s.\n", base, addr, bucket.Name(p.storage))
	token, err := h.SetupToken(ctx)
	switch {
	case err != nil:
		return fmt.Errorf("accounts: %w", err)
	case token == "":
		fmt.Fprintf(w, "Open it in a browser, or try: docker login %s\n", name)
		return nil
	}
	link := base + "/setup?token=" + token.Value()
	if file := string(p.config.Accounts.SetupFile); file != "" {
		fmt.Fprintf(w, "There is no admin yet. The link that makes the first one is in %s. It works once.\n", file)
		return process.WritePrivate(file, link+"\n")
	}
	fmt.Fprintf(w, "There is no admin yet. Open this link to make the first one. It works once, and until the next "+
		"start:\n\n  %s\n\n", link)
	return nil
}

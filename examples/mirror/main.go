// Mirror shows a complete mirror of registries on a directory, beside images of its own:
//
//	go run ./examples/mirror -addr 127.0.0.1:5000 -storage ./mirror-data
//	docker pull 127.0.0.1:5000/ghcr.io/acme/app:v1
//
// The upstreams are those of mirror.yaml, which is part of the program, or of the file -config. By
// default it listens on loopback. The other flags are those of examples/server; -h lists them.
package main

import (
	"context"
	_ "embed" // mirror.yaml
	"flag"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/registrykit/registry/auth/foreign"
	"github.com/registrykit/registry/examples/internal/metrics"
	"github.com/registrykit/registry/examples/internal/serve"
	"github.com/registrykit/registry/mirror"
	"github.com/registrykit/registry/mirror/config"
	"github.com/registrykit/registry/storage/disk"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/memory"
)

//go:embed mirror.yaml
var defaults []byte

func main() {
	var p program
	p.flags()
	serve.Main(serve.Storage{
		Usage:   "Store everything in this `directory`, or in memory if it is mem://.",
		Default: "./mirror-data",
		Open:    open,
		Check:   p.check,
		Users:   foreign.Anonymous, // docker sends the credentials for Docker Hub to its mirrors
		Serve:   p.serve,
	})
}

// open returns the driver for the value of -storage.
func open(_ context.Context, name string) (driver.Driver, error) {
	switch {
	case name == "mem://":
		return memory.New(nil), nil
	case strings.Contains(name, "://"):
		return nil, fmt.Errorf("-storage %s: must be a directory or mem://", name)
	}
	return disk.New(name, nil)
}

// program holds the flags of this program, and what they mean.
type program struct {
	config    string
	cacheSize int64
	offline   bool
	metrics   bool

	loaded *config.Config // set by check
}

func (p *program) flags() {
	flag.StringVar(&p.config, "config", "",
		"Read the upstreams from this YAML `file`; see docs/mirror.md. Default: the file mirror.yaml of this program.")
	flag.Func("cache-size", "Evict the images that were not pulled for the longest time when the cached blobs take more "+
		"than this `size`, such as 100GiB. Default: maxSize of -config, otherwise no limit.", func(text string) (err error) {
		p.cacheSize, err = config.ParseSize(text)
		return err
	})
	flag.BoolVar(&p.offline, "offline", false, "Serve what is stored, and contact no upstream. Default: false.")
	flag.BoolVar(&p.metrics, "metrics", false,
		"Serve the metrics of the mirror at /metrics, to everybody, for Prometheus. Default: false.")
}

// check reads the configuration.
func (p *program) check() (err error) {
	if p.config == "" {
		p.loaded, err = config.Parse(defaults)
	} else {
		p.loaded, err = config.Load(p.config)
	}
	if err != nil {
		return fmt.Errorf("-config: %w", err)
	}
	if p.cacheSize > 0 {
		p.loaded.Options.MaxSize = p.cacheSize
	}
	p.loaded.Options.Offline = p.loaded.Options.Offline || p.offline
	return nil
}

// serve returns the mirror over the store.
func (p *program) serve(ctx context.Context, parts *serve.Parts) (*serve.Served, error) {
	opts := p.loaded.Options
	opts.Logger = parts.Log
	m, err := mirror.New(ctx, parts.Store, parts.Driver, p.loaded.Upstreams, &opts)
	if err != nil {
		return nil, err
	}
	s := &serve.Served{Backend: m, Resolve: m.Resolve, Around: m.Middleware, Run: m.Run, Greet: p.greet}
	for _, u := range p.loaded.Upstreams {
		s.Hosts = append(s.Hosts, u.Hosts...)
	}
	if p.metrics {
		registry := prometheus.NewRegistry()
		if err := registry.Register(metrics.Mirror(m.Stats)); err != nil {
			return nil, err
		}
		s.Pages = map[string]http.Handler{"/metrics": promhttp.HandlerFor(registry, promhttp.HandlerOpts{})}
	}
	return s, nil
}

// greet prints the ways in which clients use the mirror.
func (p *program) greet(w io.Writer, scheme, name string) {
	for _, u := range p.loaded.Upstreams {
		prefix := u.Prefix
		if prefix == "" {
			prefix = u.Name
		}
		fmt.Fprintf(w, "  %s: docker pull %s/%s/NAME, or GET /v2/NAME/...?ns=%s", u.Name, name, prefix, u.Name)
		for _, host := range u.Hosts {
			fmt.Fprintf(w, ", or the host %s", host)
		}
		fmt.Fprintln(w)
	}
	if root := p.loaded.Options.Root; root != "" {
		fmt.Fprintf(w, "\nWith \"registry-mirrors\": [\"%s://%s\"], docker pulls images of %s through the mirror.\n", scheme,
			name, root)
	}
	if p.loaded.Options.Offline {
		fmt.Fprintln(w, "The mirror is offline: it serves what is stored.")
	}
	fmt.Fprint(w, "docs/mirror.md has the settings of docker, containerd, podman, buildkit and k3s.\n\n")
}

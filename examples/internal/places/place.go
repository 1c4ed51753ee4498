// Package places opens what the programs examples/copy and examples/maintenance copy from and to:
// registries and storages.
package places

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/client"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/disk"
	"github.com/registrykit/registry/storage/driver"
)

// Options are the options of New.
type Options struct {
	// All opens whole registries and storages, and no images in them.
	All bool
	// PlainHTTP uses http for hosts without a scheme.
	PlainHTTP bool
	// Parallel is the number of blobs that are copied at a time.
	Parallel int
	// Resume is a directory for the state of uploads, or "".
	Resume string
	// DockerConfig is the file with credentials. Default: that of docker.
	DockerConfig string
	// Realms are further hosts that get credentials.
	Realms []string
	// Conditional makes deletes depend on what they delete.
	Conditional bool
	// UserAgent is the name of the program for registries.
	UserAgent string
	// Bucket opens the bucket at a URL. Default: nil, buckets are refused.
	Bucket func(ctx context.Context, url string) (driver.Driver, error)
	// Storage returns the store on a driver. Default: a storage.Store with its default options.
	Storage func(ctx context.Context, d driver.Driver) (registry.Backend, error)
}

// Place is a registry or a storage, with an image in it.
type Place struct {
	// Base identifies the registry or storage.
	Base string
	// Image is "repository:tag" or similar, or "" for the whole registry.
	Image string
	// Backend gives access to it.
	Backend registry.Backend
}

// Places opens registries and storages, each once.
type Places struct {
	opts     Options
	backends map[string]registry.Backend
	drivers  []io.Closer
}

// New returns Places.
func New(o Options) *Places { return &Places{opts: o, backends: map[string]registry.Backend{}} }

// Close closes the storages.
func (p *Places) Close() error {
	var errs []error
	for _, d := range p.drivers {
		errs = append(errs, d.Close())
	}
	return errors.Join(errs...)
}

// Open opens what a name stands for. A directory that must exist is not created.
func (p *Places) Open(ctx context.Context, name string, mustExist bool) (Place, error) {
	var at Place
	var err error
	open := p.registry
	if dir, ok := strings.CutPrefix(name, "dir:"); ok {
		at, err = parseDir(dir)
		open = p.directory
		if err == nil && mustExist {
			err = checkStorage(at.Base)
		}
	} else if p.isBucket(name) {
		at, open = Place{Base: name}, p.bucket
	} else {
		at, err = p.parseRegistry(name)
	}
	if err != nil {
		return Place{}, fmt.Errorf("%s: %w", withoutUser(name), err)
	}
	if p.backends[at.Base] == nil {
		b, err := open(ctx, at.Base)
		if err != nil {
			return Place{}, fmt.Errorf("%s: %w", name, err)
		}
		p.backends[at.Base] = b
	}
	at.Backend = p.backends[at.Base]
	return at, nil
}

// checkStorage returns an error unless a storage is in a directory. Opening it would create one there.
func checkStorage(dir string) error {
	if _, err := os.Stat(dir); err != nil {
		return err
	}
	if info, err := os.Stat(filepath.Join(dir, "objects")); err != nil || !info.IsDir() {
		return errors.New("no storage of a registry is there")
	}
	return nil
}

// withoutUser returns a URL without the user and the password that it may have.
func withoutUser(name string) string {
	scheme, rest, ok := strings.Cut(name, "://")
	host, path, _ := strings.Cut(rest, "/")
	if i := strings.LastIndex(host, "@"); ok && i >= 0 {
		return scheme + "://" + host[i+1:] + "/" + path
	}
	return name
}

// isBucket reports whether a name is the URL of a bucket.
func (p *Places) isBucket(name string) bool {
	scheme, _, ok := strings.Cut(name, "://")
	return ok && p.opts.Bucket != nil && scheme != "http" && scheme != "https"
}

// parseDir reads "PATH//repository:tag", or "PATH".
func parseDir(s string) (Place, error) {
	path, image := s, ""
	if i := strings.LastIndex(s, "//"); i >= 0 {
		path, image = s[:i], s[i+2:]
	}
	if path == "" {
		return Place{}, errors.New("the path of the directory is missing")
	}
	abs, err := filepath.Abs(path)
	return Place{Base: abs, Image: image}, err
}

// dockerHub is where the registry docker.io has its API.
const dockerHub = "registry-1.docker.io"

// parseRegistry reads "HOST/repository:tag", as people type it after docker pull, or a URL.
func (p *Places) parseRegistry(s string) (Place, error) {
	scheme := "https"
	if p.opts.PlainHTTP {
		scheme = "http"
	}
	name := s
	before, after, isURL := strings.Cut(s, "://")
	if isURL {
		if scheme, name = before, after; scheme != "http" && scheme != "https" {
			return Place{}, errors.New("it is not an http or https URL")
		}
	}
	name = strings.TrimSuffix(name, "/")
	host, _, hasPath := strings.Cut(name, "/")
	if isURL && strings.Contains(host, "@") {
		return Place{}, errors.New("it has a user; credentials come from -docker-config")
	}
	if !hasPath && (isURL || p.opts.All) { // not an image of Docker Hub
		return Place{Base: scheme + "://" + apiHost(name)}, nil
	}
	image, err := reference.Parse(name)
	if err != nil {
		return Place{}, err
	}
	last := name[strings.LastIndex(name, "/")+1:]
	rest := ""
	if i := strings.IndexAny(last, ":@"); i >= 0 {
		rest = last[i:]
	}
	return Place{Base: scheme + "://" + apiHost(image.Host), Image: image.Repository + rest}, nil
}

func apiHost(host string) string {
	if host == reference.DefaultHost {
		return dockerHub
	}
	return host
}

// directory opens a storage in a directory.
func (p *Places) directory(ctx context.Context, dir string) (registry.Backend, error) {
	d, err := disk.New(dir, nil)
	if err != nil {
		return nil, err
	}
	return p.storage(ctx, d)
}

// bucket opens a storage in a bucket.
func (p *Places) bucket(ctx context.Context, url string) (registry.Backend, error) {
	d, err := p.opts.Bucket(ctx, url)
	if err != nil {
		return nil, err
	}
	return p.storage(ctx, d)
}

func (p *Places) storage(ctx context.Context, d driver.Driver) (registry.Backend, error) {
	if closer, ok := d.(io.Closer); ok {
		p.drivers = append(p.drivers, closer)
	}
	if p.opts.Storage != nil {
		return p.opts.Storage(ctx, d)
	}
	return storage.New(ctx, d, nil)
}

// registry returns a client of a registry.
func (p *Places) registry(_ context.Context, base string) (registry.Backend, error) {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConnsPerHost = p.opts.Parallel
	t.ResponseHeaderTimeout = 5 * time.Minute // a registry may read a whole layer before it answers
	o := &client.Options{HTTPClient: &http.Client{Transport: t}, UserAgent: p.opts.UserAgent,
		Conditional: p.opts.Conditional}
	if err := p.authenticate(base, o); err != nil {
		return nil, err
	}
	if p.opts.Resume != "" {
		key, err := uploadKey(p.opts.Resume)
		if err != nil {
			return nil, err
		}
		o.UploadKey = key
	}
	return client.New(base, o)
}

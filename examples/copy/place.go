package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
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
)

// place is a registry or a store, with an image in it.
type place struct {
	base    string // identifies the registry or store
	image   string // "repository:tag" or similar, or "" for the whole registry
	backend registry.Backend
}

// places opens registries and stores, each once.
type places struct {
	config   *config
	backends map[string]registry.Backend
	drivers  []io.Closer
}

// close closes the stores.
func (p *places) close() error {
	var errs []error
	for _, d := range p.drivers {
		errs = append(errs, d.Close())
	}
	return errors.Join(errs...)
}

// open opens what SRC or DST names.
func (p *places) open(ctx context.Context, name string, mustExist bool) (place, error) {
	var at place
	var err error
	open := p.registry
	if dir, ok := strings.CutPrefix(name, "dir:"); ok {
		at, err = parseDir(dir)
		open = p.store
		if _, serr := os.Stat(at.base); err == nil && mustExist {
			err = serr
		}
	} else {
		at, err = p.config.parseRegistry(name)
	}
	if err != nil {
		return place{}, fmt.Errorf("%s: %w", withoutUser(name), err)
	}
	if p.backends[at.base] == nil {
		b, err := open(ctx, at.base)
		if err != nil {
			return place{}, fmt.Errorf("%s: %w", name, err)
		}
		if p.backends == nil {
			p.backends = map[string]registry.Backend{}
		}
		p.backends[at.base] = b
	}
	at.backend = p.backends[at.base]
	return at, nil
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

// parseDir reads "PATH//repository:tag", or "PATH".
func parseDir(s string) (place, error) {
	path, image := s, ""
	if i := strings.LastIndex(s, "//"); i >= 0 {
		path, image = s[:i], s[i+2:]
	}
	if path == "" {
		return place{}, errors.New("the path of the directory is missing")
	}
	abs, err := filepath.Abs(path)
	return place{base: abs, image: image}, err
}

// dockerHub is where the registry docker.io has its API.
const dockerHub = "registry-1.docker.io"

// parseRegistry reads "HOST/repository:tag", as people type it after docker pull, or a URL.
func (c *config) parseRegistry(s string) (place, error) {
	scheme := "https"
	if c.plainHTTP {
		scheme = "http"
	}
	name := s
	before, after, isURL := strings.Cut(s, "://")
	if isURL {
		if scheme, name = before, after; scheme != "http" && scheme != "https" {
			return place{}, errors.New("it is not an http or https URL")
		}
	}
	name = strings.TrimSuffix(name, "/")
	host, _, hasPath := strings.Cut(name, "/")
	if isURL && strings.Contains(host, "@") {
		return place{}, errors.New("it has a user; credentials come from -docker-config")
	}
	if !hasPath && (isURL || len(c.globs) > 0) { // not an image of Docker Hub
		return place{base: scheme + "://" + apiHost(name)}, nil
	}
	image, err := reference.Parse(name)
	if err != nil {
		return place{}, err
	}
	last := name[strings.LastIndex(name, "/")+1:]
	rest := ""
	if i := strings.IndexAny(last, ":@"); i >= 0 {
		rest = last[i:]
	}
	return place{base: scheme + "://" + apiHost(image.Host), image: image.Repository + rest}, nil
}

func apiHost(host string) string {
	if host == reference.DefaultHost {
		return dockerHub
	}
	return host
}

// store opens a store in a directory.
func (p *places) store(ctx context.Context, dir string) (registry.Backend, error) {
	d, err := disk.New(dir, nil)
	if err != nil {
		return nil, err
	}
	p.drivers = append(p.drivers, d)
	return storage.New(ctx, d, nil)
}

// registry returns a client of a registry.
func (p *places) registry(_ context.Context, base string) (registry.Backend, error) {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConnsPerHost = p.config.parallel
	t.ResponseHeaderTimeout = 5 * time.Minute // a registry may read a whole layer before it answers
	o := &client.Options{HTTPClient: &http.Client{Transport: t}, UserAgent: "registrykit-copy",
		Conditional: p.config.deletes}
	if err := p.config.authenticate(base, o); err != nil {
		return nil, err
	}
	if p.config.resume != "" {
		key, err := uploadKey(p.config.resume)
		if err != nil {
			return nil, err
		}
		o.UploadKey = key
	}
	return client.New(base, o)
}

// stateDir returns the directory for the uploads to one destination.
func stateDir(dir, base string) string {
	sum := sha256.Sum256([]byte(base))
	return filepath.Join(dir, hex.EncodeToString(sum[:8]))
}

// uploadKey returns the key for the IDs of uploads, which it makes when it is first needed.
func uploadKey(dir string) ([]byte, error) {
	name := filepath.Join(dir, "key")
	key, err := os.ReadFile(name)
	if err == nil && len(key) == 32 {
		return key, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	key = make([]byte, 32)
	rand.Read(key)
	return key, os.WriteFile(name, key, 0o600)
}

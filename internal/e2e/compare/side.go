package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"

	"github.com/registrykit/registry/internal/e2e/harness"
)

// Names of sides that have a special part.
const (
	oursName    = "ours"
	baseName    = "base"
	limitName   = "limit"
	meteredName = "metered" // counts the allocations of this registry and is in no table
)

// side is a server that is measured.
type side struct {
	name    string
	options harness.Options
	access  *access // or nil
	dir     string  // of everything that belongs to the side
	bucket  bool    // the storage is a bucket

	server   *harness.Server
	c        *harness.Client
	requests atomic.Int64 // that the client has sent
}

// sides returns the sides of a run, which have not been started.
func sides(c *config, place, dir string) ([]*side, error) {
	ours, example := filepath.Join(dir, "registry"), "./examples/server"
	if place == "s3" {
		example = "./examples/cloud"
	}
	if err := harness.BuildTo(ours, example); err != nil {
		return nil, err
	}
	all := []*side{{name: oursName, options: harness.Options{Kind: harness.Ours, Program: ours}}}
	if c.base != "" {
		all = append(all, &side{name: baseName, options: harness.Options{Kind: harness.Ours, Program: c.base}})
	}
	if c.access {
		if err := restrict(all, dir); err != nil {
			return nil, err
		}
	}
	for _, peer := range c.peers {
		if c.access {
			break
		}
		s, err := peerSide(peer)
		if err != nil {
			return nil, err
		}
		if place != "s3" || s.options.Kind == harness.Peer {
			all = append(all, s)
		}
	}
	for _, own := range []string{limitName, meteredName} {
		if own == limitName && !c.limits || own == meteredName && (place == "s3" || c.access) {
			continue
		}
		program := filepath.Join(dir, own)
		if err := harness.BuildHere(program, "./compare/"+own); err != nil {
			return nil, err
		}
		s := &side{name: own, options: harness.Options{Kind: harness.Ours, Program: program}}
		if c.access {
			s.access = newAccess(all[0]) // it records responses for which the client must log in
		}
		all = append(all, s)
	}
	for _, s := range all {
		s.dir = filepath.Join(dir, "side-"+s.name)
		s.bucket = place == "s3" && s.name != limitName
		if s.name == oursName || s.name == baseName {
			s.options.Args = append(s.options.Args, "-log-level", "error") // the peer has the same log level
		}
	}
	return all, nil
}

func peerSide(peer string) (*side, error) {
	name, script, ok := strings.Cut(peer, "=")
	switch {
	case ok:
		return &side{name: name, options: harness.Options{Kind: harness.Script, Program: script}}, nil
	case name == "distribution":
		return &side{name: name, options: harness.Options{Kind: harness.Peer}}, nil
	case name == "crane":
		return &side{name: name, options: harness.Options{Kind: harness.Crane}}, nil
	}
	return nil, fmt.Errorf("-peer %s: must be distribution, crane or NAME=SCRIPT", peer)
}

// fresh starts the side with an empty storage.
func (s *side) fresh() error {
	if err := s.stop(); err != nil {
		return err
	}
	if err := os.RemoveAll(s.dir); err != nil {
		return err
	}
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return err
	}
	s.options.Log = filepath.Join(s.dir, "log")
	s.options.Storage = filepath.Join(s.dir, "storage")
	if s.bucket {
		store, err := harness.StartMinIO(filepath.Join(s.dir, "minio"))
		if err != nil {
			return err
		}
		s.options.Bucket = store
	}
	// The address stays the same for the life of the storage, so that tokens stay valid.
	addr, err := harness.FreeAddr()
	if err != nil {
		return err
	}
	s.options.Addr = addr
	return s.start()
}

func (s *side) start() error {
	server, err := harness.Start(s.options)
	if err != nil {
		return err
	}
	s.server, s.c = server, harness.NewClient(server.URL())
	t := &http.Transport{MaxIdleConnsPerHost: crowdSize, DisableCompression: true}
	s.c.HTTP.Transport = s.counted(s.access.transport(t))
	return nil
}

// restart restarts the process. The limit keeps what it has recorded.
func (s *side) restart() error {
	if s.name == limitName {
		return nil
	}
	if err := s.server.Stop(); err != nil {
		return err
	}
	return s.start()
}

// stop stops the process and the storage server.
func (s *side) stop() error {
	var err error
	if s.server != nil {
		err = s.end()
	}
	if s.options.Bucket != nil {
		err = errors.Join(err, s.options.Bucket.Stop())
	}
	s.server, s.options.Bucket = nil, nil
	return err
}

// end stops a build of this registry with SIGTERM, which must succeed, and kills any other process.
func (s *side) end() error {
	if s.name == oursName || s.name == baseName {
		return s.server.Stop()
	}
	return s.server.Kill()
}

// transport is an http.RoundTripper.
type transport func(*http.Request) (*http.Response, error)

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) { return t(r) }

// counted returns a transport that counts requests.
func (s *side) counted(next http.RoundTripper) http.RoundTripper {
	return transport(func(r *http.Request) (*http.Response, error) {
		s.requests.Add(1)
		return next.RoundTrip(r)
	})
}

// own sends a request to a path of the programs limit and metered that is not part of a registry,
// and returns the body of the response.
func (s *side) own(ctx context.Context, method, path string) (string, error) {
	r, err := s.c.Do(ctx, http.StatusOK, method, path, nil, nil)
	if err != nil {
		return "", err
	}
	return string(r.Body), nil
}

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"

	"github.com/opencontainers/go-digest"
	"github.com/registrykit/registry/internal/e2e/harness"
)

// catalog reads a page of 100 out of total repositories.
func catalog(total int) scenario {
	repo := func(n int) string { return fmt.Sprintf("compare/repository-%06d", n) }
	first := total / 2
	read := func(ctx context.Context, s *side) error {
		r, err := s.c.Do(ctx, http.StatusOK, http.MethodGet, "/v2/_catalog?n=100&last="+repo(first), nil, nil)
		if err != nil {
			return err
		}
		var list struct{ Repositories []string }
		if err := json.Unmarshal(r.Body, &list); err != nil {
			return err
		}
		if len(list.Repositories) != 100 || list.Repositories[0] != repo(first+1) ||
			list.Repositories[99] != repo(first+100) {
			return fmt.Errorf("catalogue: not the 100 repositories after %s", repo(first))
		}
		return nil
	}
	setup := func(ctx context.Context, s *side) error {
		if s.options.Kind == harness.Peer && !s.bucket {
			return peerCatalog(filepath.Join(s.options.Storage, peerRepositories), repo, total)
		}
		return atOnce(total, func(n int) error { return firstTag(ctx, s, repo(n)) })
	}
	name := "100 of " + number(float64(total)) + " repositories"
	op := func(ctx context.Context, s *side, _, _ int) error { return read(ctx, s) }
	return scenario{setup: setup, rows: []row{
		{name: name + ", warm", ops: 300, op: op, learn: read},
		{name: name + ", cold", ops: 1, workers: 1, op: op, learn: read,
			before: func(_ context.Context, s *side, _ int) error { return s.restart() }},
	}}
}

// peerCatalog writes the files of the peer directly, as peerTags does.
func peerCatalog(dir string, repo func(n int) string, total int) error {
	return atOnce(total, func(n int) error {
		if err := os.MkdirAll(filepath.Join(dir, repo(n), "_layers"), 0o755); err != nil {
			return err
		}
		return peerTags(filepath.Join(dir, repo(n), "_manifests/tags"), digest.FromBytes(tagged()), 1)
	})
}

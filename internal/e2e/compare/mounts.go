package main

import (
	"context"
	"fmt"
	"net/http"

	"github.com/opencontainers/go-digest"
	imagespec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/registrykit/registry/internal/e2e/harness"
)

// mounts are cross-repository mounts of one blob, and first pushes into new repositories.
func mounts() scenario {
	const repo = "compare/mount"
	blob := harness.RandomBytes(3, 100_000)
	d := digest.FromBytes(blob)
	setup := func(ctx context.Context, s *side) error {
		_, err := s.c.PushBlob(ctx, repo, blob)
		return err
	}
	mount := func(ctx context.Context, s *side, to string) error {
		path := fmt.Sprintf("/v2/%s/blobs/uploads/?mount=%s&from=%s", to, d, repo)
		_, err := s.c.Do(ctx, http.StatusCreated, http.MethodPost, path, nil, nil)
		return err
	}
	return scenario{setup: setup, rows: []row{
		{name: "mount", ops: 1000, workers: 8, op: func(ctx context.Context, s *side, round, n int) error {
			return mount(ctx, s, fmt.Sprintf("compare/mounted-%d-%d", round+1, n))
		}, goals: []goal{cpuTmpfs(80), rateDisk(4000)}},
		{name: "first push into a new repository", ops: 300, workers: 8,
			op: func(ctx context.Context, s *side, round, n int) error {
				to := fmt.Sprintf("compare/new-%d-%d", round+1, n)
				config := harness.RandomBytes(uint64((round+2)*10_000+n), 1500)
				if _, err := s.c.PushBlob(ctx, to, config); err != nil {
					return err
				}
				if err := mount(ctx, s, to); err != nil {
					return err
				}
				return s.c.PutManifest(ctx, to, "latest", imagespec.MediaTypeImageManifest,
					harness.Manifest(to, config, blob))
			}, goals: []goal{cpuTmpfs(450)}},
	}}
}

package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"

	"github.com/opencontainers/go-digest"
	imagespec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/registrykit/registry/internal/e2e/harness"
)

// known is the number of images that setup pushes for rows that pull.
const known = 4

// images are pushes and pulls of whole small images, with the requests of docker.
func images() scenario {
	return scenario{setup: pushKnown, rows: []row{
		{name: "pull small image", ops: 400, op: pullKnown, learn: learnKnown, goals: []goal{cpuTmpfs(180)}},
		{name: "push small image", ops: 400, workers: 8, op: func(ctx context.Context, s *side, round, n int) error {
			return pushImage(ctx, s, fmt.Sprintf("compare/push-%d", n%4), (round+2)*10_000+n)
		}, goals: []goal{cpuTmpfs(760), cpuDisk(3000), rateDisk(400), p99Disk(50)}},
	}}
}

func pushKnown(ctx context.Context, s *side) error {
	for n := range known {
		if err := pushImage(ctx, s, knownRepo(n), n); err != nil {
			return err
		}
	}
	return nil
}

func learnKnown(ctx context.Context, s *side) error {
	for n := range known {
		if err := pullImage(ctx, s, knownRepo(n), n); err != nil {
			return err
		}
	}
	return nil
}

func pullKnown(ctx context.Context, s *side, _, n int) error {
	return pullImage(ctx, s, knownRepo(n), n%known)
}

func knownRepo(n int) string { return fmt.Sprintf("compare/pull-%d", n%known) }

// layers returns the blobs of image number n: a config and two layers.
func layers(n int) [][]byte {
	seed := uint64(n+5000) * 10
	return [][]byte{harness.RandomBytes(seed, 1500), harness.RandomBytes(seed+1, 3000),
		harness.RandomBytes(seed+2, 100_000)}
}

// pushImage sends the requests of a push by docker: HEAD, POST, PATCH and PUT for each blob, then
// HEAD and PUT of the manifest.
func pushImage(ctx context.Context, s *side, repo string, n int) error {
	blobs := layers(n)
	for _, b := range blobs {
		d := digest.FromBytes(b)
		if _, err := s.c.Do(ctx, http.StatusNotFound, http.MethodHead, "/v2/"+repo+"/blobs/"+d.String(), nil,
			nil); err != nil {
			return err
		}
		if err := s.c.PushAsDocker(ctx, repo, d, bytes.NewReader(b)); err != nil {
			return err
		}
	}
	m := harness.Manifest(fmt.Sprint(n), blobs...)
	path := fmt.Sprintf("/v2/%s/manifests/tag-%d", repo, n)
	if _, err := s.c.Do(ctx, http.StatusNotFound, http.MethodHead, path, harness.Accept(), nil); err != nil {
		return err
	}
	return s.c.PutManifest(ctx, repo, fmt.Sprintf("tag-%d", n), imagespec.MediaTypeImageManifest, m)
}

// pullImage sends the requests of a first pull by docker: the digest of the tag, the manifest and
// the blobs.
func pullImage(ctx context.Context, s *side, repo string, n int) error {
	blobs := layers(n)
	want := digest.FromBytes(harness.Manifest(fmt.Sprint(n), blobs...))
	path := fmt.Sprintf("/v2/%s/manifests/tag-%d", repo, n)
	r, err := s.c.Do(ctx, http.StatusOK, http.MethodHead, path, harness.Accept(), nil)
	if err != nil {
		return err
	}
	if got := r.Header.Get("Docker-Content-Digest"); got != want.String() {
		return fmt.Errorf("HEAD %s: digest %q instead of %s", path, got, want)
	}
	if err := s.c.PullManifest(ctx, repo, want.String(), want); err != nil {
		return err
	}
	for _, b := range blobs {
		if err := s.c.PullBlob(ctx, repo, digest.FromBytes(b)); err != nil {
			return err
		}
	}
	return nil
}

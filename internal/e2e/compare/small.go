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

// smallRows are the operations on small content: manifests, small blobs, ranges, whole small images
// and mounts.
func smallRows(ctx context.Context, c config, p *pair) ([]row, error) {
	const repo = "compare/small"
	blob, large := harness.RandomBytes(1, 4<<10), harness.RandomBytes(2, 1<<20)
	m := harness.Manifest("small", blob, large)
	err := p.both(func(s *side) error {
		for _, b := range [][]byte{blob, large} {
			if _, err := s.c.PushBlob(ctx, repo, b); err != nil {
				return err
			}
		}
		return s.c.PutManifest(ctx, repo, "latest", imagespec.MediaTypeImageManifest, m)
	})
	if err != nil {
		return nil, err
	}
	manifests, blobs := "/v2/"+repo+"/manifests/", "/v2/"+repo+"/blobs/"
	byDigest := manifests + digest.FromBytes(m).String()
	blobPath, largePath := blobs+digest.FromBytes(blob).String(), blobs+digest.FromBytes(large).String()
	part := http.Header{"Range": {"bytes=500000-504095"}}
	rows := []row{
		get("HEAD manifest by tag", http.MethodHead, manifests+"latest", harness.Accept(), 200, 0),
		get("HEAD manifest by digest", http.MethodHead, byDigest, harness.Accept(), 200, 0),
		get("GET manifest by tag", http.MethodGet, manifests+"latest", harness.Accept(), 200, len(m)),
		get("GET manifest by digest", http.MethodGet, byDigest, harness.Accept(), 200, len(m)),
		get("HEAD blob of 4 KiB", http.MethodHead, blobPath, nil, 200, 0),
		get("GET blob of 4 KiB", http.MethodGet, blobPath, nil, 200, len(blob)),
		get("GET blob of 1 MiB", http.MethodGet, largePath, nil, 200, len(large)),
		get("GET 4 KiB out of 1 MiB", http.MethodGet, largePath, part, 206, 4096),
		{name: "push small image", ops: 100, op: func(ctx context.Context, s *side, round, n int) error {
			return pushImage(ctx, s, fmt.Sprintf("compare/push-%d", n%4), round*1000+n)
		}},
		{name: "pull small image", ops: 400, op: func(ctx context.Context, s *side, _, n int) error {
			return pullImage(ctx, s, fmt.Sprintf("compare/push-%d", n%4), n%4)
		}},
		{name: "mount", ops: 200, op: func(ctx context.Context, s *side, round, n int) error {
			_, err := s.c.Do(ctx, http.StatusCreated, http.MethodPost,
				fmt.Sprintf("/v2/compare/mount-%d-%d/blobs/uploads/?mount=%s&from=%s",
					round+1, n, digest.FromBytes(large), repo), nil, nil)
			return err
		}},
	}
	return c.filter(rows), nil
}

func (c config) filter(rows []row) []row {
	var kept []row
	for _, r := range rows {
		if c.only.MatchString(r.name) {
			kept = append(kept, r)
		}
	}
	return kept
}

// get returns a row of one read request whose response body has size bytes.
func get(name, method, path string, header http.Header, status, size int) row {
	return row{name: name, ops: 1500, op: func(ctx context.Context, s *side, _, _ int) error {
		r, err := s.c.Do(ctx, status, method, path, header.Clone(), nil)
		if err == nil && len(r.Body) != size {
			return fmt.Errorf("%d bytes instead of %d", len(r.Body), size)
		}
		return err
	}}
}

// small returns the blobs of image number n: a config and two layers.
func small(n int) [][]byte {
	seed := uint64(n+5000) * 10
	return [][]byte{harness.RandomBytes(seed, 1500), harness.RandomBytes(seed+1, 3000),
		harness.RandomBytes(seed+2, 100_000)}
}

// pushImage sends the requests of a push by docker: HEAD, POST, PATCH and PUT for each blob, then
// HEAD and PUT of the manifest.
func pushImage(ctx context.Context, s *side, repo string, n int) error {
	blobs := small(n)
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
	r, err := s.c.Do(ctx, http.StatusOK, http.MethodHead, fmt.Sprintf("/v2/%s/manifests/tag-%d", repo, n),
		harness.Accept(), nil)
	if err != nil {
		return err
	}
	d := digest.Digest(r.Header.Get("Docker-Content-Digest"))
	if err := s.c.PullManifest(ctx, repo, d.String(), d); err != nil {
		return err
	}
	for _, b := range small(n) {
		if err := s.c.PullBlob(ctx, repo, digest.FromBytes(b)); err != nil {
			return err
		}
	}
	return nil
}

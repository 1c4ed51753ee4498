package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strconv"

	"github.com/opencontainers/go-digest"
	imagespec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/registrykit/registry/internal/e2e/harness"
)

// bareHandler is the goal of small reads as a multiple of the limit.
const bareHandler = 1.6

// reads are single requests that read a manifest, a blob or a part of a blob.
func reads() scenario {
	const repo = "compare/reads"
	blob, big := harness.RandomBytes(1, 4<<10), harness.RandomBytes(2, 1<<20)
	m := harness.Manifest("reads", blob, big)
	setup := func(ctx context.Context, s *side) error {
		for _, b := range [][]byte{blob, big} {
			if _, err := s.c.PushBlob(ctx, repo, b); err != nil {
				return err
			}
		}
		return s.c.PutManifest(ctx, repo, "latest", imagespec.MediaTypeImageManifest, m)
	}
	manifests, blobs := "/v2/"+repo+"/manifests/", "/v2/"+repo+"/blobs/"
	byDigest := manifests + digest.FromBytes(m).String()
	blobPath, bigPath := blobs+digest.FromBytes(blob).String(), blobs+digest.FromBytes(big).String()
	const first, last = 500_000, 500_000 + 64<<10 - 1
	return scenario{setup: setup, rows: []row{
		read{"HEAD manifest by tag", http.MethodHead, manifests + "latest", harness.Accept(), 200, m}.row(27),
		read{"HEAD manifest by digest", http.MethodHead, byDigest, harness.Accept(), 200, m}.row(0),
		read{"GET manifest by tag", http.MethodGet, manifests + "latest", harness.Accept(), 200, m}.row(0),
		read{"GET manifest by digest", http.MethodGet, byDigest, harness.Accept(), 200, m}.row(28),
		read{"HEAD blob", http.MethodHead, blobPath, nil, 200, blob}.row(22),
		read{"GET blob of 4 KiB", http.MethodGet, blobPath, nil, 200, blob}.row(28),
		read{"HEAD missing blob", http.MethodHead, blobs + digest.FromString("missing").String(), nil, 404, nil}.row(21),
		read{"GET blob of 1 MiB", http.MethodGet, bigPath, nil, 200, big}.row(0),
		read{"GET 64 KiB range", http.MethodGet, bigPath,
			http.Header{"Range": {fmt.Sprintf("bytes=%d-%d", first, last)}}, 206, big[first : last+1]}.row(34),
	}}
}

// read is a request and its only right answer.
type read struct {
	name, method, path string
	header             http.Header
	status             int
	content            []byte // that the response has or, for a HEAD, describes
}

// row returns the row of the request. most is its goal on tmpfs in µs, or 0.
func (q read) row(most float64) row {
	op := func(ctx context.Context, s *side, _, _ int) error { return q.do(ctx, s) }
	r := row{name: q.name, ops: 3000, op: op, learn: q.do, goals: []goal{timesLimit(bareHandler)}}
	if most > 0 {
		r.goals = append(r.goals, cpuTmpfs(most))
	}
	return r
}

func (q read) do(ctx context.Context, s *side) error {
	r, err := s.c.Do(ctx, q.status, q.method, q.path, q.header.Clone(), nil)
	if err != nil || q.status == http.StatusNotFound {
		return err
	}
	if size := r.Header.Get("Content-Length"); size != strconv.Itoa(len(q.content)) {
		return fmt.Errorf("%s %s: the header Content-Length is %q instead of %d", q.method, q.path, size, len(q.content))
	}
	if q.method == http.MethodGet && !bytes.Equal(r.Body, q.content) {
		return fmt.Errorf("%s %s: other content", q.method, q.path)
	}
	return nil
}

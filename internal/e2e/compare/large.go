package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"

	"github.com/opencontainers/go-digest"
	"github.com/registrykit/registry/internal/e2e/harness"
)

const largeRepo = "compare/large"

// Goals of large blobs.
const (
	hashAndWrite = 1.08 // processor time of a push as a multiple of the limit
	sendFile     = 1.05 // the same of a pull
	pushPerMB    = 1250 // µs
)

// large are pushes in each way that the protocol has, and pulls, of blobs of size bytes.
func large(size int) []scenario {
	one := sync.OnceValue(func() *largeBlobs { return newLargeBlobs(1, size) })
	eight := sync.OnceValue(func() *largeBlobs { return newLargeBlobs(8, size/8) })
	return []scenario{
		largePush("large push, one PUT", 1, size, one, putWhole),
		largePush("large push, one chunked PATCH", 1, size, one, patchChunked),
		largePush("large push, PATCHes of 8 MiB", 1, size, one, patch8),
		largePush("large push, 8 at once", 8, size/8, eight, patchChunked),
		largePulls(size),
	}
}

// largeBlobs are the blobs of a round. Each round has others, because a registry may share content
// that it already has.
type largeBlobs struct {
	contents [][]byte
	digests  []digest.Digest
}

func newLargeBlobs(count, size int) *largeBlobs {
	b := &largeBlobs{contents: make([][]byte, count), digests: make([]digest.Digest, count)}
	for i := range b.contents {
		b.contents[i] = harness.RandomBytes(uint64(i+3), size)
	}
	return b
}

// next makes the blobs of a round.
func (b *largeBlobs) next(round int) {
	for i, content := range b.contents {
		binary.LittleEndian.PutUint64(content, uint64((round+10)*100+i))
		b.digests[i] = digest.FromBytes(content)
	}
}

// sender pushes a blob.
type sender func(ctx context.Context, s *side, d digest.Digest, content []byte) error

// largePush pushes count blobs of size bytes at once.
func largePush(name string, count, size int, blobs func() *largeBlobs, send sender) scenario {
	return scenario{rows: []row{{name: name, ops: count, workers: count, bytes: size,
		before: func(_ context.Context, _ *side, round int) error {
			blobs().next(round)
			return nil
		},
		op: func(ctx context.Context, s *side, _, n int) error {
			return send(ctx, s, blobs().digests[n], blobs().contents[n])
		},
		goals: []goal{cpuTmpfs(pushPerMB), timesLimit(hashAndWrite)}}}}
}

func putWhole(ctx context.Context, s *side, d digest.Digest, content []byte) error {
	return s.c.PushStream(ctx, largeRepo, d, bytes.NewReader(content), int64(len(content)))
}

func patchChunked(ctx context.Context, s *side, d digest.Digest, content []byte) error {
	return s.c.PushAsDocker(ctx, largeRepo, d, bytes.NewReader(content))
}

func patch8(ctx context.Context, s *side, d digest.Digest, content []byte) error {
	location, err := s.c.Begin(ctx, largeRepo)
	if err != nil {
		return err
	}
	const chunk = 8 << 20
	for offset := 0; offset < len(content); offset += chunk {
		part := content[offset:min(offset+chunk, len(content))]
		if location, err = s.c.Patch(ctx, location, int64(offset), part); err != nil {
			return err
		}
	}
	return s.c.Commit(ctx, location, d, nil, 0)
}

// largePulls pull one blob. The client compares all bytes.
func largePulls(size int) scenario {
	content := sync.OnceValue(func() *largeBlobs {
		b := newLargeBlobs(1, size)
		b.next(0)
		return b
	})
	pull := func(ctx context.Context, s *side) error {
		return pullEqual(ctx, s, content().digests[0], content().contents[0])
	}
	pulling := func(name string, ops, workers int) row {
		return row{name: name, ops: ops, workers: workers, bytes: size, learn: pull,
			op:    func(ctx context.Context, s *side, _, _ int) error { return pull(ctx, s) },
			goals: []goal{timesLimit(sendFile)}}
	}
	setup := func(ctx context.Context, s *side) error {
		return putWhole(ctx, s, content().digests[0], content().contents[0])
	}
	return scenario{setup: setup, rows: []row{pulling("large pull, 1 client", 4, 1),
		pulling("large pull, 8 clients", 16, 8)}}
}

// pullEqual pulls a large blob and compares it with want.
func pullEqual(ctx context.Context, s *side, d digest.Digest, want []byte) error {
	resp, err := s.c.Send(ctx, http.MethodGet, "/v2/"+largeRepo+"/blobs/"+d.String(), nil, nil, 0)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("GET of a large blob: status %d", resp.StatusCode)
	}
	buffer := make([]byte, 1<<20)
	for {
		n, err := resp.Body.Read(buffer)
		if n > len(want) || !bytes.Equal(buffer[:n], want[:n]) {
			return errors.New("GET of a large blob: other content")
		}
		want = want[n:]
		if err == io.EOF && len(want) == 0 {
			return nil
		}
		if err != nil {
			return fmt.Errorf("GET of a large blob: %w", err)
		}
	}
}

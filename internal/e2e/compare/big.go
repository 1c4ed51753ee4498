package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net/http"

	"github.com/opencontainers/go-digest"
	"github.com/registrykit/registry/internal/e2e/harness"
)

// bigRows push and pull 512 MiB. Each round uses another blob, because a registry may share a blob
// that it already has.
func bigRows(_ context.Context, c config, _ *pair) ([]row, error) {
	const repo = "compare/big"
	rows := c.filter([]row{{name: "push 512 MiB"}, {name: "pull 512 MiB"}})
	if len(rows) == 0 {
		return nil, nil
	}
	content := harness.RandomBytes(3, 512<<20)
	pushed := map[harness.Kind]digest.Digest{}
	var next digest.Digest
	before := func(_ context.Context, s *side, round int) error {
		binary.LittleEndian.PutUint64(content, uint64(round+10))
		next = digest.FromBytes(content)
		pushed[s.kind] = next
		return nil
	}
	push := func(ctx context.Context, s *side, _, _ int) error {
		return s.c.PushAsDocker(ctx, repo, next, bytes.NewReader(content))
	}
	rows = rows[:0]
	rows = append(rows,
		row{name: "push 512 MiB", ops: 1, workers: 1, before: before, op: push},
		row{name: "pull 512 MiB", ops: 1, workers: 1, op: func(ctx context.Context, s *side, _, _ int) error {
			resp, err := s.c.Send(ctx, http.MethodGet, "/v2/"+repo+"/blobs/"+pushed[s.kind].String(), nil, nil, 0)
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			n, err := io.Copy(io.Discard, resp.Body)
			if err == nil && n != int64(len(content)) {
				err = io.ErrUnexpectedEOF
			}
			return err
		}})
	return rows, nil
}

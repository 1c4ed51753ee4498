package main

import (
	"context"
	"fmt"
	"net/http"

	"github.com/opencontainers/go-digest"
	imagespec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/registrykit/registry/internal/e2e/harness"
)

// deletes delete blobs, tags and manifests, each of which was pushed right before the round.
func deletes() scenario {
	const repo = "compare/deletes"
	const each = 100
	content := func(kind string, round, n int) []byte { return fmt.Appendf(nil, "%s %d %d", kind, round, n) }
	manifest := func(round, n int) []byte { return harness.Manifest(string(content("manifest", round, n)), config0) }
	tag := func(round, n int) string { return fmt.Sprintf("tag-%d-%d", round+1, n) }
	put := func(ctx context.Context, s *side, ref string, m []byte) error {
		return s.c.PutManifest(ctx, repo, ref, imagespec.MediaTypeImageManifest, m)
	}
	remove := func(name, folder string, ref func(round, n int) string,
		push func(ctx context.Context, s *side, round, n int) error) row {
		return row{name: name, ops: each,
			before: func(ctx context.Context, s *side, round int) error {
				for n := range each {
					if err := push(ctx, s, round, n); err != nil {
						return err
					}
				}
				return nil
			},
			op: func(ctx context.Context, s *side, round, n int) error {
				_, err := s.c.Do(ctx, http.StatusAccepted, http.MethodDelete, "/v2/"+repo+folder+ref(round, n), nil, nil)
				return err
			}}
	}
	setup := func(ctx context.Context, s *side) error {
		if _, err := s.c.PushBlob(ctx, repo, config0); err != nil {
			return err
		}
		return put(ctx, s, "kept", harness.Manifest("kept", config0))
	}
	return scenario{setup: setup, rows: []row{
		remove("DELETE of a blob", "/blobs/",
			func(round, n int) string { return digest.FromBytes(content("blob", round, n)).String() },
			func(ctx context.Context, s *side, round, n int) error {
				_, err := s.c.PushBlob(ctx, repo, content("blob", round, n))
				return err
			}),
		remove("DELETE of a manifest", "/manifests/",
			func(round, n int) string { return digest.FromBytes(manifest(round, n)).String() },
			func(ctx context.Context, s *side, round, n int) error {
				m := manifest(round, n)
				return put(ctx, s, digest.FromBytes(m).String(), m)
			}),
		remove("DELETE of a tag", "/manifests/", tag, func(ctx context.Context, s *side, round, n int) error {
			return put(ctx, s, tag(round, n), harness.Manifest("kept", config0))
		}),
	}}
}

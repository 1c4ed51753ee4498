package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"
	imagespec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/registrykit/registry/internal/e2e/harness"
)

// tagged is the manifest of all tags.
func tagged() []byte { return harness.Manifest("tags", config0) }

func putTag(ctx context.Context, s *side, repo, tag string) error {
	return s.c.PutManifest(ctx, repo, tag, imagespec.MediaTypeImageManifest, tagged())
}

func firstTag(ctx context.Context, s *side, repo string) error {
	if _, err := s.c.PushBlob(ctx, repo, config0); err != nil {
		return err
	}
	return putTag(ctx, s, repo, tagName(0))
}

// tagPushes push tags of one manifest.
func tagPushes() scenario {
	const repo = "compare/tag-pushes"
	setup := func(ctx context.Context, s *side) error { return firstTag(ctx, s, repo) }
	return scenario{setup: setup, rows: []row{{name: "push of a tag", ops: 400, workers: 8,
		op: func(ctx context.Context, s *side, round, n int) error {
			return putTag(ctx, s, repo, tagName((round+2)*10_000+n))
		}}}}
}

// tagPages read a page of 100 out of total tags: warm, right after a restart, and with a push
// between pages.
func tagPages(total int) scenario {
	repo := fmt.Sprintf("compare/tags-%d", total)
	name := "100 of " + number(float64(total)) + " tags"
	read := func(ctx context.Context, s *side) error { return readPage(ctx, s, repo, total) }
	op := func(ctx context.Context, s *side, _, _ int) error { return read(ctx, s) }
	return scenario{
		setup: func(ctx context.Context, s *side) error { return s.makeTags(ctx, repo, total) },
		rows: []row{
			{name: name + ", warm", ops: 300, op: op, learn: read},
			{name: name + ", cold", ops: 1, workers: 1, op: op, learn: read,
				before: func(_ context.Context, s *side, _ int) error { return s.restart() }},
			{name: name + ", push between", ops: 50, op: op, learn: read,
				after: func(ctx context.Context, s *side, round, n int) error {
					// These tags sort after all others, so the measured page does not change.
					return putTag(ctx, s, repo, fmt.Sprintf("z-%d-%d", round+1, n))
				}},
		},
	}
}

func tagName(n int) string { return fmt.Sprintf("tag-%06d", n) }

// readPage reads the page in the middle.
func readPage(ctx context.Context, s *side, repo string, total int) error {
	first := total / 2
	path := "/v2/" + repo + "/tags/list?n=100&last=" + tagName(first)
	r, err := s.c.Do(ctx, http.StatusOK, http.MethodGet, path, nil, nil)
	if err != nil {
		return err
	}
	var list struct{ Tags []string }
	if err := json.Unmarshal(r.Body, &list); err != nil {
		return err
	}
	if len(list.Tags) != 100 {
		return fmt.Errorf("GET %s: %d tags instead of 100", path, len(list.Tags))
	}
	for i, tag := range list.Tags {
		if tag != tagName(first+1+i) {
			return fmt.Errorf("GET %s: the tag %s instead of %s", path, tag, tagName(first+1+i))
		}
	}
	return nil
}

// makeTags creates a repository with total tags of one manifest.
func (s *side) makeTags(ctx context.Context, repo string, total int) error {
	if err := firstTag(ctx, s, repo); err != nil {
		return err
	}
	d := digest.FromBytes(tagged())
	switch {
	case s.options.Kind == harness.Peer && !s.bucket:
		return peerTags(filepath.Join(s.options.Storage, peerRepositories, repo, "_manifests/tags"), d, total)
	case s.options.Kind != harness.Ours:
		return atOnce(total, func(n int) error { return putTag(ctx, s, repo, tagName(n)) })
	}
	const each = 25 // tags that this registry takes in a request
	return atOnce((total+each-1)/each, func(n int) error {
		q := url.Values{}
		for tag := n * each; tag < min((n+1)*each, total); tag++ {
			q.Add("tag", tagName(tag))
		}
		return putTag(ctx, s, repo, d.String()+"?"+q.Encode())
	})
}

// atOnce calls f for each number below total, by 8 goroutines, until one fails.
func atOnce(total int, f func(n int) error) error {
	const workers = 8
	errs := make(chan error, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for n := w; n < total; n += workers {
				if err := f(n); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	return <-errs
}

// peerRepositories is where the peer stores what belongs to repositories.
const peerRepositories = "docker/registry/v2/repositories"

// peerTags writes the files of the peer directly: each tag is a folder with a link. Pushing 100,000
// tags to the peer would take too long.
func peerTags(dir string, d digest.Digest, total int) error {
	for n := range total {
		current := filepath.Join(dir, tagName(n), "current")
		index := filepath.Join(dir, tagName(n), "index", strings.ReplaceAll(d.String(), ":", "/"))
		for _, folder := range []string{current, index} {
			if err := os.MkdirAll(folder, 0o755); err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(folder, "link"), []byte(d), 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}

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

// tagRows read a page of 100 tags from lists of different lengths: warm, right after a restart, and
// with a push between pages.
func tagRows(ctx context.Context, c config, p *pair) ([]row, error) {
	var rows []row
	for _, total := range []int{100, 10_000, 100_000} {
		repo := fmt.Sprintf("compare/tags-%d", total)
		name := fmt.Sprintf("100 of %d tags", total)
		page := func(ctx context.Context, s *side, _, _ int) error { return readPage(ctx, s, repo, total) }
		group := c.filter([]row{
			{name: name + ", warm", ops: 100, op: page},
			{name: name + ", cold", ops: 1, workers: 1, op: page,
				before: func(_ context.Context, s *side, _ int) error { return s.restart() }},
			{name: name + ", push between", ops: 20, op: page,
				after: func(ctx context.Context, s *side, round, n int) error {
					// These tags sort after all others, so the measured page does not change.
					return s.c.PutManifest(ctx, repo, fmt.Sprintf("z-%d-%d", round, n), imagespec.MediaTypeImageManifest, tagged)
				}},
		})
		if len(group) == 0 {
			continue
		}
		if err := p.both(func(s *side) error { return s.makeTags(ctx, repo, total) }); err != nil {
			return nil, err
		}
		rows = append(rows, group...)
	}
	return rows, nil
}

var (
	config0 = []byte("{}")
	tagged  = harness.Manifest("tags", config0)
)

func tagName(n int) string { return fmt.Sprintf("tag-%06d", n) }

// readPage reads the page in the middle. If there are 100 tags, it contains all of them.
func readPage(ctx context.Context, s *side, repo string, total int) error {
	path := "/v2/" + repo + "/tags/list?n=100"
	if total > 100 {
		path += "&last=" + tagName(total/2)
	}
	r, err := s.c.Do(ctx, http.StatusOK, http.MethodGet, path, nil, nil)
	if err != nil {
		return err
	}
	var list struct{ Tags []string }
	if err := json.Unmarshal(r.Body, &list); err != nil {
		return err
	}
	if len(list.Tags) != 100 {
		return fmt.Errorf("%d tags", len(list.Tags))
	}
	return nil
}

// makeTags creates a repository with total tags of one manifest.
func (s *side) makeTags(ctx context.Context, repo string, total int) error {
	if _, err := s.c.PushBlob(ctx, repo, config0); err != nil {
		return err
	}
	if err := s.c.PutManifest(ctx, repo, tagName(0), imagespec.MediaTypeImageManifest, tagged); err != nil {
		return err
	}
	d := digest.FromBytes(tagged)
	if s.kind == harness.Peer {
		return peerTags(filepath.Join(s.storage, "docker/registry/v2/repositories", repo, "_manifests/tags"), d, total)
	}
	// Each request pushes 25 tags. 8 requests run concurrently.
	const each, workers = 25, 8
	errs := make(chan error, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for first := w * each; first < total; first += workers * each {
				q := url.Values{}
				for n := first; n < min(first+each, total); n++ {
					q.Add("tag", tagName(n))
				}
				if err := s.c.PutManifest(ctx, repo, d.String()+"?"+q.Encode(), imagespec.MediaTypeImageManifest,
					tagged); err != nil {
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

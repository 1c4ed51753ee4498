package demosite

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/jobs"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/scrub"
)

// historyDays is the number of days for which a full site has counts of its usage.
const historyDays = 28

// now is the clock of the counts of usage.
func (s *Site) now() time.Time { return time.Now().AddDate(0, 0, -int(s.daysAgo.Load())) }

// countDay counts the usage as if today was a number of days ago.
func (s *Site) countDay(ctx context.Context, daysAgo int) error {
	s.daysAgo.Store(int64(daysAgo))
	_, err := s.meter.Count(ctx, nil)
	return err
}

// loseOne pushes an image, damages one of its layers in the storage, and lets a scrub find that.
func (s *Site) loseOne(ctx context.Context, p *pusher) error {
	before := map[string]bool{}
	keys := func(each func(key string, size int64) error) error {
		for info, err := range s.driver.List(ctx, "data/", nil) {
			if err != nil {
				return err
			}
			if err := each(info.Key, info.Size); err != nil {
				return err
			}
		}
		return nil
	}
	if err := keys(func(key string, _ int64) error { before[key] = true; return nil }); err != nil {
		return err
	}
	p.push("acme/old/reports", service("reports", "0.9", "amd64", 90_000, ago(5000), 71), "0.9")
	if p.err != nil {
		return p.err
	}
	err := keys(func(key string, size int64) error {
		if before[key] || size < 30_000 {
			return nil
		}
		_, err := s.driver.Put(ctx, key, bytes.NewReader(make([]byte, size)), nil)
		return err
	})
	if err != nil {
		return err
	}
	_, err = scrub.Run(ctx, s.store, s.driver, &scrub.Options{Repair: true, Settle: -1})
	return err
}

// pullImage pulls all of an image, with the manifests and layers of all platforms.
func pullImage(ctx context.Context, from registry.Reader, repo string, ref reference.Ref) error {
	m, err := from.GetManifest(ctx, repo, ref)
	if err != nil {
		return fmt.Errorf("%s: %s%s: %w", repo, ref.Tag, ref.Digest, err)
	}
	var parts struct{ Manifests, Layers []ocispec.Descriptor }
	if err := json.Unmarshal(m.Content, &parts); err != nil {
		return err
	}
	for _, child := range parts.Manifests {
		if err := pullImage(ctx, from, repo, reference.Ref{Digest: child.Digest}); err != nil {
			return err
		}
	}
	for _, layer := range parts.Layers {
		blob, err := from.OpenBlob(ctx, repo, layer.Digest, nil)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, blob.Body)
		if closed := blob.Body.Close(); err == nil {
			err = closed
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// endless is a job that is at work as long as the site is open.
func endless(ctx context.Context, p *jobs.Progress) (any, error) {
	p.Set(map[string]int{"repositories": 9, "total": 24, "copied": 57, "failed": 0})
	<-ctx.Done()
	return nil, context.Cause(ctx)
}

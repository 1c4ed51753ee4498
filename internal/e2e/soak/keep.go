package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/registrykit/registry/jobs"
	"github.com/registrykit/registry/retention"
	"github.com/registrykit/registry/scrub"
	"github.com/registrykit/registry/usage"
)

// These files configure the servers with config.keep. Retention removes the tags of temporary images
// and names no other tag. The limit is never reached, but each push is counted for it.
const (
	retainFile = "rules:\n- {name: temporary, tags: [tmp-*], keep: {youngerThan: 1s}}\n"
	quotaFile  = "limits:\n- {prefix: \"\", max: {bytes: 1TiB, tags: 1000000}}\n"
)

// keepEvery is the time between two runs of each job.
const keepEvery = "3s"

// keepArgs writes the files and returns the flags of the servers.
func (p *place) keepArgs() ([]string, error) {
	retain, quota := filepath.Join(p.dir, "retain.yaml"), filepath.Join(p.dir, "quota.yaml")
	if err := os.WriteFile(retain, []byte(retainFile), 0o600); err != nil {
		return nil, err
	}
	return []string{"-retain", retain, "-retain-every", keepEvery, "-quota", quota, "-usage-every", keepEvery,
		"-scrub-every", keepEvery, "-scrub-repair"}, os.WriteFile(quota, []byte(quotaFile), 0o600)
}

// unfinishedPrefix is the prefix of the keys of what runs of retention are removing; see package retention.
const unfinishedPrefix = "a/"

// expectedWarning is a line of the servers that is no failure.
const expectedWarning = "-retain without -history"

// pushTemporary pushes an image with a tag that retention removes soon. Half of the images also have a
// tag that it keeps; they must stay.
func (w *worker) pushTemporary(ctx context.Context) error {
	img := newImage(fmt.Sprintf("soak/shared-%d", w.rng.IntN(sharedRepos)), w.unique(), nil, w.layers()...)
	name := fmt.Sprintf("w%d-%x", w.id, w.rng.Uint32())
	tags := []string{"tmp-" + name}
	if len(w.kept) < mostGone && w.rng.IntN(2) == 0 {
		tags = []string{"keep-" + name, "tmp-" + name}
	}
	if err := w.send(ctx, img, true); err != nil {
		return err
	}
	for _, tag := range tags {
		err := w.put(ctx, img, func() error {
			_, err := w.again(ctx, func() error {
				return w.c.PutManifest(ctx, img.repo, tag, img.desc.MediaType, img.content)
			})
			return err
		})
		if err != nil {
			return err
		}
	}
	w.s.report.event("temporary images", 1)
	w.s.journal.note("w%d temporary: %s in %s has the tags %s", w.id, img.digest(), img.repo, tags)
	if len(tags) > 1 {
		img.tags = tags[:1]
		w.kept = append(w.kept, img)
	}
	return nil
}

// checkKept pulls the images that also have a tag that retention keeps.
func (w *worker) checkKept(ctx context.Context) error {
	for _, img := range w.kept {
		_, err := w.again(ctx, func() error { return w.c.PullManifest(ctx, img.repo, img.tags[0], img.digest()) })
		if err != nil {
			return missing(err)
		}
		if err := w.pull(ctx, img); err != nil {
			return err
		}
	}
	return nil
}

// deleteKept deletes these images.
func (w *worker) deleteKept(ctx context.Context) error {
	for _, img := range w.kept {
		if _, err := w.again(ctx, func() error { return w.c.Delete(ctx, img.path(img.digest().String())) }); err != nil {
			return missing(err)
		}
	}
	w.kept = nil
	return nil
}

// waitForRetention waits until no temporary tag is left, and no run has something left to remove: a run
// removes the manifests of the tags after the tags.
func (s *soaker) waitForRetention(ctx context.Context) error {
	deadline := time.Now().Add(2 * time.Minute)
	for {
		left := ""
		for repo := range sharedRepos {
			tags, err := s.fleet.Client().Tags(ctx, fmt.Sprintf("soak/shared-%d", repo))
			if err != nil && status(err) != 404 {
				return err
			}
			for _, tag := range tags {
				if strings.HasPrefix(tag, "tmp-") {
					left = tag
				}
			}
		}
		for info, err := range s.place.driver.List(ctx, unfinishedPrefix, nil) {
			if err != nil {
				return err
			}
			left = info.Key
		}
		if left == "" {
			return s.checkJobs(ctx)
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("retention has left %s", left)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

// checkJobs requires that each of the jobs has ended at least once, without a failure since.
func (s *soaker) checkJobs(ctx context.Context) error {
	states, err := s.settledJobs(ctx)
	if err != nil {
		return err
	}
	ended := map[string]bool{}
	for _, state := range states {
		ended[state.Name] = !state.Ended.IsZero()
		if state.Failures > 0 {
			s.report.fail(wrong, fmt.Sprintf("the job %s has failed %d times: %s", state.Name, state.Failures, state.Error))
		}
	}
	for _, name := range []string{retention.JobName, usage.JobName, scrub.JobName} {
		if !ended[name] {
			s.report.fail(wrong, "the job "+name+" has not ended once")
		}
	}
	return nil
}

// settledJobs returns the states of the jobs once the last run of each has succeeded, or after two
// minutes. A run whose server was killed counts as failed from when another server takes the job over
// until a run succeeds. A failure for any other reason is in the log of a server as well, see warnings.
func (s *soaker) settledJobs(ctx context.Context) ([]jobs.State, error) {
	runner, err := jobs.New(s.place.driver, nil)
	if err != nil {
		return nil, err
	}
	deadline := time.Now().Add(2 * time.Minute)
	for {
		states, err := runner.List(ctx)
		if err != nil {
			return nil, err
		}
		failed := func(state jobs.State) bool { return state.Failures > 0 }
		if !slices.ContainsFunc(states, failed) || time.Now().After(deadline) {
			return states, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(time.Second / 4):
		}
	}
}

// scrubAll checks everything that is left.
func (s *soaker) scrubAll(ctx context.Context) error {
	r, err := scrub.Run(ctx, s.store, s.place.driver, &scrub.Options{Settle: -1, Restart: true})
	if err != nil {
		return err
	}
	s.report.event("checked by the last scrub", int(r.Content))
	for _, f := range r.Findings {
		s.report.fail(wrong, fmt.Sprintf("a scrub has found %+v", f))
	}
	return nil
}

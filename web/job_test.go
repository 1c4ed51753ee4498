package web_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/api"
	"github.com/registrykit/registry/jobs"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/web"
)

// withJobs adds a Runner to a site that has the jobs of its parts, and others.
func withJobs(t *testing.T, s *site, manage *api.Options, _ *web.Options, more ...jobs.Job) *jobs.Runner {
	t.Helper()
	collect, err := s.store.CollectJob(&storage.ScheduleOptions{Every: time.Hour})
	require.NoError(t, err)
	all := append([]jobs.Job{collect}, more...)
	if manage.Usage != nil {
		all = append(all, manage.Usage.Job(0))
	}
	runner, err := jobs.New(s.driver, &jobs.Options{Holder: "one", Poll: 10 * time.Millisecond, Jobs: all})
	require.NoError(t, err)
	manage.Jobs = runner
	return runner
}

// run runs a Runner until the test ends.
func run(t *testing.T, runner *jobs.Runner) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- runner.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
}

// eventually requests a page until its text contains want.
func (s *site) eventually(t *testing.T, path, want string) (r *response) {
	t.Helper()
	require.Eventually(t, func() bool {
		r = s.get(t, "boss", path)
		return strings.Contains(r.text, want)
	}, 10*time.Second, 20*time.Millisecond, want)
	return r
}

// TestJobWords: the results of the jobs of this module are sentences.
func TestJobWords(t *testing.T) {
	var runner *jobs.Runner
	var all []jobs.Job
	results := map[string]string{
		"retain":       `{"tags":1,"manifests":2,"bytes":3000,"refused":1,"leftAlone":2}`,
		"scrub":        `{"bytes":5000,"repositories":1,"damaged":3,"repaired":1,"quarantined":2,"lost":1}`,
		"audit":        `{"removed":1,"merged":20,"into":1}`,
		"mirror-evict": `{"evicted":7000,"images":2,"size":9000,"over":true}`,
		"from-hub":     `{"copied":3,"unchanged":4,"deleted":0,"failed":1}`,
		"odd":          `"a text"`,
		"collect-2":    `{"a":{"b":[1,2]},"c":"d"}`,
	}
	for name, text := range results {
		all = append(all, jobs.Job{Name: name, Run: func(context.Context, *jobs.Progress) (any, error) {
			return json.RawMessage(text), nil
		}})
	}
	s := newSite(t, func(s *site, manage *api.Options, page *web.Options) {
		runner = withJobs(t, s, manage, page, all...)
	})
	run(t, runner)
	for name := range results {
		require.NoError(t, runner.Start(t.Context(), name))
	}
	for _, want := range []string{"Removed 1 tag and 2 images, which frees 3.0 kB. 1 change was refused.",
		"2 repositories were left alone.", "Read 5.0 kB of 1 repository.",
		"Found 3 damages, of which 1 were repaired and 2 are no longer served. 1 object is lost.",
		"Removed 1 old object, and merged 20 small objects.", "Evicted 7.0 kB: 2 images. The mirror has 9.0 kB now.",
		"That is more than its limit", "Copied 3, deleted 0, failed 1; 4 unchanged.", `a: {"b":[1,2]}`, "c: d"} {
		s.eventually(t, "/jobs", want)
	}
}

// TestJobs: jobs are shown in words, run on request, and cancelled.
func TestJobs(t *testing.T) {
	release := make(chan struct{})
	var runner *jobs.Runner
	s := newSite(t, func(s *site, manage *api.Options, page *web.Options) {
		withUsage(t, s, manage)
		runner = withJobs(t, s, manage, page,
			jobs.Job{Name: "tidy", Run: func(ctx context.Context, p *jobs.Progress) (any, error) {
				p.Set(map[string]int64{"bytes": 30, "bytesTotal": 120})
				select {
				case <-release:
					return map[string]any{"odd": 3, "text": strings.Join(hostile, " "), "deep": map[string]int{"x": 1}}, nil
				case <-ctx.Done():
					return nil, context.Cause(ctx)
				}
			}},
			jobs.Job{Name: "broken", Run: func(context.Context, *jobs.Progress) (any, error) {
				return nil, errors.New(strings.Join(hostile[:10], "\n"))
			}})
	})
	s.pushImage(t, "ann", "acme/app", "v1", amd64, "layer")
	r := s.get(t, "boss", "/jobs")
	require.Contains(t, r.text, "has not run yet")
	require.Zero(t, r.doc.Find("[data-module]").Length())
	run(t, runner)

	s.eventually(t, "/jobs", "Freed 0 B: 0 blobs.")
	done := s.follow(t, "boss", s.submit(t, "boss", r, `form[action="/ui/jobs/usage/run"]`))
	require.Contains(t, done.text, "The job will run in a moment.")
	s.eventually(t, "/jobs", "in 1 repository.")

	require.Equal(t, http.StatusSeeOther, s.post(t, "boss", "/jobs/tidy/run").StatusCode)
	r = s.eventually(t, "/jobs", "25 %")
	require.Equal(t, "25", r.doc.Find("progress").AttrOr("value", ""))
	require.Equal(t, "refresh", r.doc.Find(".jobs").AttrOr("data-module", ""))
	s.follow(t, "boss", s.submit(t, "boss", r, `form[action="/ui/jobs/tidy/cancel"]`))
	s.eventually(t, "/jobs", "canceled on request")
	require.Equal(t, http.StatusConflict, s.post(t, "boss", "/jobs/tidy/cancel").StatusCode)
	close(release)
	s.post(t, "boss", "/jobs/tidy/run")
	s.eventually(t, "/jobs", "odd: 3")

	s.post(t, "boss", "/jobs/broken/run")
	r = s.eventually(t, "/jobs", "1 failure in a row")
	require.NotContains(t, string(r.body), "<script>alert")
	require.Equal(t, http.StatusNotFound, s.post(t, "boss", "/jobs/none/run").StatusCode)
	require.Equal(t, http.StatusNotFound, s.post(t, "boss", "/jobs/%2E%2E%2Fx/run").StatusCode)
}

package api_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/api"
	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/jobs"
)

// withJobs returns a site whose runner runs, with a job that waits for release, one that fails and
// one that never ran.
func withJobs(t *testing.T) (s *site, release chan struct{}) {
	t.Helper()
	release = make(chan struct{})
	s = newSite(t, func(s *site, opts *api.Options) {
		runner, err := jobs.New(s.driver, &jobs.Options{Holder: "one", Poll: 20 * time.Millisecond, Jobs: []jobs.Job{
			{Name: "collect", Every: time.Hour, Run: func(ctx context.Context, p *jobs.Progress) (any, error) {
				p.Set(map[string]int{"blobs": 3})
				select {
				case <-release:
					return map[string]int{"removed": 1}, nil
				case <-ctx.Done():
					return nil, context.Cause(ctx)
				}
			}},
			{Name: "broken", Run: func(context.Context, *jobs.Progress) (any, error) { return nil, errors.New("no luck") }},
			{Name: "idle", Run: func(context.Context, *jobs.Progress) (any, error) { return nil, nil }},
		}})
		require.NoError(t, err)
		opts.Jobs = runner
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- runner.Run(ctx) }()
		t.Cleanup(func() {
			cancel()
			<-ended
		})
	})
	return s, release
}

// job returns the state of a job.
func (s *site) job(t *testing.T, name string) (j types.Job) {
	t.Helper()
	s.do(t, "boss", "GET", "/v1/jobs/"+name, nil).want(200).into(&j)
	return j
}

// TestJobs: jobs are listed with their states, run on request, and cancelled.
func TestJobs(t *testing.T) {
	s, release := withJobs(t)
	require.Eventually(t, func() bool { return s.job(t, "collect").Progress != nil }, 10*time.Second, 10*time.Millisecond)
	running := s.job(t, "collect")
	require.True(t, running.Running && running.Here)
	require.Equal(t, int64(3600), running.Every)
	require.Equal(t, "one", running.Holder)
	require.JSONEq(t, `{"blobs":3}`, string(running.Progress))

	var j types.Job
	s.do(t, "boss", "POST", "/v1/jobs/collect/cancel", nil).want(202).into(&j)
	require.Equal(t, "collect", j.Name)
	require.Eventually(t, func() bool { return !s.job(t, "collect").Ended.IsZero() }, 10*time.Second, 10*time.Millisecond)
	require.Contains(t, s.job(t, "collect").Error, "cancel")
	s.do(t, "boss", "POST", "/v1/jobs/collect/cancel", nil).fails(409, "NOT_RUNNING")

	close(release)
	s.do(t, "boss", "POST", "/v1/jobs/collect/run", nil).want(202)
	require.Eventually(t, func() bool { return s.job(t, "collect").Result != nil }, 10*time.Second, 10*time.Millisecond)
	ended := s.job(t, "collect")
	require.JSONEq(t, `{"removed":1}`, string(ended.Result))
	require.NotZero(t, ended.Next)
	require.Empty(t, ended.Error)

	s.do(t, "boss", "POST", "/v1/jobs/broken/run", nil).want(202)
	require.Eventually(t, func() bool { return s.job(t, "broken").Error != "" }, 10*time.Second, 10*time.Millisecond)
	require.Equal(t, "no luck", s.job(t, "broken").Error)
	require.Equal(t, 1, s.job(t, "broken").Failures)

	names, path := []string{}, "/v1/jobs?limit=2"
	for pages := 1; path != ""; pages++ {
		var list types.JobList
		page := s.do(t, "boss", "GET", path, nil).want(200).into(&list)
		for _, j := range list.Items {
			names = append(names, j.Name)
		}
		require.LessOrEqual(t, pages, 2)
		path = page.next()
	}
	require.Equal(t, []string{"broken", "collect", "idle"}, names)
}

// TestJobsRefused: only admins reach jobs, and unknown names are 404.
func TestJobsRefused(t *testing.T) {
	s, _ := withJobs(t)
	for _, r := range []string{"GET /v1/jobs", "GET /v1/jobs/collect", "GET /v1/jobs/none", "POST /v1/jobs/collect/run",
		"POST /v1/jobs/none/cancel"} {
		var method, path string
		_, err := fmt.Sscan(r, &method, &path)
		require.NoError(t, err)
		s.do(t, "ann", method, path, nil).fails(403, "DENIED")
		s.do(t, "", method, path, nil).fails(401, "UNAUTHORIZED")
	}
	for _, name := range []string{"none", "UPPER", url.PathEscape("../x"), url.PathEscape("a/b"), "%00", "%FF"} {
		s.do(t, "boss", "GET", "/v1/jobs/"+name, nil).fails(404, "NOT_FOUND")
		s.do(t, "boss", "POST", "/v1/jobs/"+name+"/run", nil).fails(404, "NOT_FOUND")
		s.do(t, "boss", "POST", "/v1/jobs/"+name+"/cancel", nil).fails(404, "NOT_FOUND")
	}
	s.do(t, "boss", "GET", "/v1/jobs?x=1", nil).fails(400, "INVALID")
}

package replicate_test

import (
	"context"
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/jobs"
	"github.com/registrykit/registry/registrytest"
	"github.com/registrykit/registry/replicate"
	"github.com/registrykit/registry/storage/memory"
)

// TestSyncJob runs the job on two replicas for some hours.
func TestSyncJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src, dst, d := registrytest.NewStore(t), registrytest.NewStore(t), memory.New(nil)
		tagged(t, src, "team/app", "v1", "v2")
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var runners []*jobs.Runner
		for range 2 {
			job := replicate.SyncJob("sync-team", time.Hour, dst, src, []replicate.Rule{{Repositories: []string{"team/**"}}})
			r, err := jobs.New(d, &jobs.Options{Jobs: []jobs.Job{job}})
			require.NoError(t, err)
			runners = append(runners, r)
			go func() { _ = r.Run(ctx) }()
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		require.Equal(t, []string{"v1", "v2"}, tagsOf(t, dst, "team/app"))
		tagged(t, src, "team/app", "v3")
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		require.Equal(t, []string{"v1", "v2", "v3"}, tagsOf(t, dst, "team/app"))
		states, err := runners[0].List(ctx)
		require.NoError(t, err)
		require.Len(t, states, 1)
		require.Empty(t, states[0].Error)
		var report replicate.SyncReport
		require.NoError(t, json.Unmarshal(states[0].Result, &report))
		require.Equal(t, 3, report.Copied+report.Unchanged)
		var progress replicate.SyncProgress
		require.NoError(t, json.Unmarshal(states[0].Progress, &progress), "%s", states[0].Progress)
		cancel()
		synctest.Wait()
	})
}

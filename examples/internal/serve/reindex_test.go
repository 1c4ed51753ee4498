package serve

import (
	"context"
	"iter"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/notification/outbox"
	"github.com/registrykit/registry/storage/memory"
)

// visible is a registry with these tags, each on a manifest of its own.
type visible []notification.Visible

func (v visible) Visible(context.Context, time.Time) iter.Seq2[notification.Visible, error] {
	return func(yield func(notification.Visible, error) bool) {
		for _, tag := range v {
			untagged := tag
			untagged.Tag = ""
			if !yield(untagged, nil) || !yield(tag, nil) {
				return
			}
		}
	}
}

// TestReindexAfterCrash checks that a change whose event was lost is announced soon after the next
// start, although the process was killed and started again within seconds.
func TestReindexAfterCrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := memory.New(nil)
		box, err := outbox.New(d, nil, nil)
		require.NoError(t, err)
		tag := func(name string) notification.Visible {
			return notification.Visible{Repository: "app", Tag: name, Time: time.Now(), Target: ocispec.Descriptor{
				MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString(name), Size: 7}}
		}
		src := visible{tag("v1"), tag("v2")}
		require.NoError(t, box.Notify(t.Context(), []notification.Event{{ID: notification.NewID(), Time: time.Now(),
			Action: notification.Push, Kind: notification.Manifest, Repository: "app", Target: &src[0].Target,
			Tags: []string{"v1"}}}))
		time.Sleep(time.Second) // the process is killed before it stores the event of v2, and started again

		find, err := (&events{reindex: time.Hour}).reindexer(d, box, src, slog.New(slog.DiscardHandler))
		require.NoError(t, err)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { find(ctx); close(ended) }()
		time.Sleep(2 * time.Minute)
		var tags []string
		for e, err := range box.Since(t.Context(), "", nil) {
			require.NoError(t, err)
			tags = append(tags, e.Event.Tags...)
		}
		require.Equal(t, []string{"v1", "v2"}, tags)
		stop()
		<-ended
	})
}

package registry_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/registrytest"
)

// TestPushBlobCleansUp: an upload is cancelled even if the context has ended, within a time limit.
func TestPushBlobCleansUp(t *testing.T) {
	cancelled := false
	b := registry.Intercept(registrytest.NewStore(t), func(ctx context.Context, op *registry.Op,
		next func(context.Context) error) error {
		if op.Kind == registry.OpCancel {
			cancelled = true
			end, ok := ctx.Deadline()
			require.True(t, ok)
			require.LessOrEqual(t, time.Until(end), 10*time.Second)
			require.NoError(t, ctx.Err())
		}
		return next(ctx)
	})
	ctx, cancel := context.WithCancel(t.Context())
	_, err := registry.PushBlob(ctx, b, "a", "", readerFunc(func([]byte) (int, error) {
		cancel()
		return 0, ctx.Err()
	}))
	require.ErrorIs(t, err, context.Canceled)
	require.True(t, cancelled)
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// TestLogHidesUploadIDs: the log does not contain the ID of an upload.
func TestLogHidesUploadIDs(t *testing.T) {
	var log bytes.Buffer
	fail := false
	_, c := newRegistry(t, &registry.Options{
		Logger: slog.New(slog.NewTextHandler(&log, nil)),
		Interceptors: []registry.Interceptor{func(ctx context.Context, _ *registry.Op,
			next func(context.Context) error) error {
			if fail {
				return errors.New("broken")
			}
			return next(ctx)
		}},
	})
	at := c.startUpload("a/b")
	fail = true
	c.refused(500, "UNKNOWN", "GET", at, nil)
	require.Contains(t, log.String(), "/v2/a/b/blobs/uploads/<id>")
	require.NotContains(t, log.String(), at)
}

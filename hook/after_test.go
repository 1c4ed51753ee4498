package hook_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/hook"
	"github.com/registrykit/registry/registrytest"
)

// TestAfterRunsAfterSuccessOnly checks that the function sees the result and cannot change it.
func TestAfterRunsAfterSuccessOnly(t *testing.T) {
	var seen []registry.Op
	after := hook.After(func(_ context.Context, op *registry.Op) {
		seen = append(seen, *op)
		op.Result = ocispec.Descriptor{}
	}, &hook.AfterOptions{Kinds: []registry.OpKind{registry.OpPutManifest, registry.OpTags}})
	b := registry.Intercept(registrytest.NewStore(t), after)
	image := push(b, "app", "v1", layer, nil)
	require.NotEmpty(t, image.Digest)
	_, err := b.PutManifest(t.Context(), "app", "", []byte("{"), nil)
	require.ErrorIs(t, err, registry.ErrManifestInvalid)
	require.Len(t, seen, 1)
	require.Equal(t, image, seen[0].Result)
	for tag, err := range b.Tags(t.Context(), "app", nil) {
		require.NoError(t, err)
		require.Equal(t, "v1", tag)
		require.Len(t, seen, 1) // the list has not ended
	}
	require.Len(t, seen, 2)
}

// TestAfterFailureIsContained checks every way to fail, in both modes. The operation succeeds.
func TestAfterFailureIsContained(t *testing.T) {
	for name, row := range map[string]struct {
		f    func(context.Context)
		want string
		wait time.Duration
	}{
		"panic":           {func(context.Context) { panic("oh") }, "panic: oh", 0},
		"exit":            {func(context.Context) { runtime.Goexit() }, "ended its goroutine", 0},
		"timeout":         {func(ctx context.Context) { <-ctx.Done() }, hook.ErrTimeout.Error(), 3 * time.Second},
		"ignores timeout": {func(context.Context) { time.Sleep(time.Hour) }, hook.ErrTimeout.Error(), 3 * time.Second},
	} {
		for _, background := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var running sync.WaitGroup
					failures := make(chan error, 2)
					after := hook.After(func(ctx context.Context, _ *registry.Op) { row.f(ctx) }, &hook.AfterOptions{
						Background: background, Running: &running, Timeout: 3 * time.Second,
						OnFailure: func(_ context.Context, _ *registry.Op, err error) { failures <- err; panic("callback") },
					})
					begin := time.Now()
					require.NoError(t, after(t.Context(), &registry.Op{}, func(context.Context) error { return nil }))
					if background {
						require.Zero(t, time.Since(begin))
					} else {
						require.Equal(t, row.wait, time.Since(begin))
					}
					require.ErrorContains(t, <-failures, row.want)
					require.Equal(t, row.wait, time.Since(begin))
					running.Wait()
					time.Sleep(2 * time.Hour)
					require.Empty(t, failures)
				})
			})
		}
	}
}

// TestAfterBackgroundIsBounded: while as many functions run as Concurrency allows, others are not
// called, and this is reported. Nobody waits.
func TestAfterBackgroundIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var running sync.WaitGroup
		var calls, busy atomic.Int64
		release := make(chan struct{})
		after := hook.After(func(context.Context, *registry.Op) { calls.Add(1); <-release }, &hook.AfterOptions{
			Background: true, Running: &running, Concurrency: 2,
			OnFailure: func(_ context.Context, _ *registry.Op, err error) {
				if errors.Is(err, hook.ErrBusy) {
					busy.Add(1)
				}
			},
		})
		begin := time.Now()
		for range 50 {
			require.NoError(t, after(t.Context(), &registry.Op{}, func(context.Context) error { return nil }))
		}
		require.Zero(t, time.Since(begin))
		close(release)
		running.Wait()
		require.Equal(t, []int64{2, 48}, []int64{calls.Load(), busy.Load()})
	})
}

// TestAfterContextOutlivesTheRequest: the function is not ended by a client that goes away.
func TestAfterContextOutlivesTheRequest(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var got error
	after := hook.After(func(ctx context.Context, _ *registry.Op) { got = ctx.Err() }, nil)
	require.NoError(t, after(ctx, &registry.Op{}, func(context.Context) error { cancel(); return nil }))
	require.NoError(t, got)
}

// TestHooksChangeNothing runs the kit of backends through hooks that allow everything.
func TestHooksChangeNothing(t *testing.T) {
	before := hook.Before(func(context.Context, *registry.Op) error { return nil }, &hook.BeforeOptions{AfterRead: true})
	var running sync.WaitGroup
	defer running.Wait()
	after := hook.After(func(context.Context, *registry.Op) {}, &hook.AfterOptions{Background: true, Running: &running})
	registrytest.TestBackend(t, func(t *testing.T) registry.Backend {
		return registry.Intercept(registrytest.NewStore(t), registry.Chain(before, after))
	}, nil)
}

func BenchmarkHooks(b *testing.B) {
	next := func(context.Context) error { return nil }
	before := hook.Before(func(context.Context, *registry.Op) error { return nil }, nil)
	after := hook.After(func(context.Context, *registry.Op) {}, nil)
	other := hook.Before(nil, &hook.BeforeOptions{Kinds: []registry.OpKind{registry.OpTags}})
	for name, h := range map[string]registry.Interceptor{"before": before, "after": after, "other kind": other} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			op := &registry.Op{Kind: registry.OpGetManifest}
			for b.Loop() {
				if err := h(b.Context(), op, next); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

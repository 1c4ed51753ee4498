package hook_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/hook"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/registrytest"
)

var errSecret = errors.New("cannot reach policy.internal")

// TestBeforeClientSeesTheReason checks what a client sees over HTTP.
func TestBeforeClientSeesTheReason(t *testing.T) {
	quota := registry.NewError("QUOTA", http.StatusPaymentRequired, "pay first")
	for name, row := range map[string]struct {
		err      error
		failOpen bool
		status   int
		body     string
	}{
		"allowed":                  {nil, false, 200, ""},
		"denied":                   {hook.Deny("come at noon"), false, 403, `"code":"DENIED","message":"come at noon"`},
		"denied fails open":        {hook.Deny("no"), true, 403, `"DENIED"`},
		"error of the host":        {quota.WithCause(errSecret), false, 402, `"code":"QUOTA","message":"pay first"`},
		"storage down":             {registry.ErrNoSpace.WithCause(errSecret), false, 507, `"code":"NO_SPACE"`},
		"storage down, fails open": {registry.ErrNoSpace.WithCause(errSecret), true, 200, ""},
		"wrapped":                  {errors.Join(errSecret, quota), false, 402, `"QUOTA"`},
		"undecided":                {errSecret, false, 503, `"message":"a policy of the registry could not be checked"`},
		"undecided and fails open": {errSecret, true, 200, ""},
	} {
		for _, afterRead := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				before := hook.Before(func(context.Context, *registry.Op) error { return row.err },
					&hook.BeforeOptions{FailOpen: row.failOpen, AfterRead: afterRead})
				s := registrytest.NewServer(t, &registry.Options{Interceptors: []registry.Interceptor{before}})
				push(s.Store, "app", "v1", layer, nil)
				res, err := http.Get(s.URL + "/v2/app/manifests/v1")
				require.NoError(t, err)
				body, err := io.ReadAll(res.Body)
				require.NoError(t, err)
				require.NoError(t, res.Body.Close())
				require.Equal(t, row.status, res.StatusCode)
				require.Contains(t, string(body), row.body)
				require.NotContains(t, string(body), "policy.internal")
				if row.status == 503 {
					require.NotEmpty(t, res.Header.Get("Retry-After"))
				}
			})
		}
	}
}

// TestBeforeFailureIsContained checks every way to fail, for both rules. The clock is fake.
func TestBeforeFailureIsContained(t *testing.T) {
	hang := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	for name, row := range map[string]struct {
		f    func(context.Context) error
		want string
	}{
		"error":                      {func(context.Context) error { return errSecret }, errSecret.Error()},
		"panic":                      {func(context.Context) error { panic("oh") }, "panic: oh"},
		"exit":                       {func(context.Context) error { runtime.Goexit(); return nil }, "ended its goroutine"},
		"timeout":                    {hang, hook.ErrTimeout.Error()},
		"timeout with another error": {func(ctx context.Context) error { _ = hang(ctx); return errSecret }, ""},
	} {
		for _, failOpen := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var failures []error
					before := hook.Before(func(ctx context.Context, _ *registry.Op) error { return row.f(ctx) },
						&hook.BeforeOptions{FailOpen: failOpen, OnFailure: func(_ context.Context, op *registry.Op, err error) {
							failures = append(failures, err)
							require.Equal(t, registry.OpTags, op.Kind)
							panic("the callback panics, too")
						}})
					called := false
					err := before(t.Context(), &registry.Op{Kind: registry.OpTags}, func(context.Context) error {
						called = true
						return nil
					})
					require.Equal(t, failOpen, called)
					require.Len(t, failures, 1)
					require.ErrorContains(t, failures[0], row.want)
					if failOpen {
						require.NoError(t, err)
						return
					}
					require.ErrorIs(t, err, registry.ErrUnavailable)
					require.ErrorContains(t, err, "before Tags")
				})
			})
		}
	}
}

// TestBeforeTimeoutIsTheDefault: a function that ignores its context holds up the operation for 10
// seconds. It may go on reading its op, while the operation sets the result.
func TestBeforeTimeoutIsTheDefault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release, ended := make(chan struct{}), make(chan digest.Digest)
		before := hook.Before(func(_ context.Context, op *registry.Op) error {
			<-release
			ended <- op.Result.Digest
			return nil
		}, &hook.BeforeOptions{FailOpen: true})
		begin := time.Now()
		op := &registry.Op{Kind: registry.OpGetManifest}
		require.NoError(t, before(t.Context(), op, func(context.Context) error {
			close(release)
			op.Result = ocispec.Descriptor{Digest: "sha256:1"}
			return nil
		}))
		require.Equal(t, 10*time.Second, time.Since(begin))
		require.Empty(t, <-ended)
	})
}

// TestBeforeHungFunctionsAreBounded: with functions that never return, the number of goroutines
// does not grow, and every operation ends after Timeout. When they return, the hook works again.
func TestBeforeHungFunctionsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var running, most atomic.Int64
		before := hook.Before(func(context.Context, *registry.Op) error {
			most.Store(max(most.Load(), running.Add(1)))
			defer running.Add(-1)
			<-release
			return nil
		}, &hook.BeforeOptions{Concurrency: 3, Timeout: time.Second})
		next := func(context.Context) error { return nil }
		const operations = 200
		results := make(chan error, operations)
		begin := time.Now()
		for range operations {
			go func() { results <- before(t.Context(), &registry.Op{}, next) }()
		}
		for range operations {
			require.ErrorIs(t, <-results, registry.ErrUnavailable)
		}
		require.Equal(t, time.Second, time.Since(begin))
		require.Equal(t, int64(3), running.Load())
		require.ErrorIs(t, before(t.Context(), &registry.Op{}, next), registry.ErrUnavailable)
		close(release)
		synctest.Wait()
		require.Zero(t, running.Load())
		require.NoError(t, before(t.Context(), &registry.Op{}, next))
		require.Equal(t, int64(3), most.Load())
	})
}

// TestBeforeCallerGoneIsNoFailure: the operation ends with the context of the caller, also if the
// hook fails open.
func TestBeforeCallerGoneIsNoFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		before := hook.Before(func(ctx context.Context, _ *registry.Op) error { <-ctx.Done(); return nil },
			&hook.BeforeOptions{FailOpen: true, OnFailure: func(context.Context, *registry.Op, error) {
				t.Error("reported as a failure")
			}})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		next := func(ctx context.Context) error { return ctx.Err() }
		for range 2 { // the context ends during the call, and has ended before
			require.ErrorIs(t, before(ctx, &registry.Op{}, next), context.DeadlineExceeded)
		}
	})
}

// TestBeforeAfterReadDecidesAboutTheResult: the function sees what the client would get, and the
// body of a refused blob is closed. Before other operations it is called first.
func TestBeforeAfterReadDecidesAboutTheResult(t *testing.T) {
	store := registrytest.NewStore(t)
	image := push(store, "app", "v1", layer, nil)
	blob := digest.FromString("{}")
	refused := digest.Digest("")
	var seen []digest.Digest
	before := hook.Before(func(_ context.Context, op *registry.Op) error {
		seen = append(seen, op.Result.Digest)
		if op.Result.Digest == refused {
			return hook.Deny("no")
		}
		return nil
	}, &hook.BeforeOptions{AfterRead: true})
	closed := 0
	b := registry.Intercept(countCloses{store, &closed}, before)
	read := func(want error) {
		t.Helper()
		seen = nil
		_, err := b.GetManifest(t.Context(), "app", reference.Ref{Tag: "v1"})
		require.ErrorIs(t, err, want)
		_, err = b.StatManifest(t.Context(), "app", reference.Ref{Tag: "v1"}, nil)
		require.ErrorIs(t, err, want)
		require.Equal(t, []digest.Digest{image.Digest, image.Digest}, seen)
	}
	read(nil)
	refused = image.Digest
	read(registry.ErrDenied)

	refused = blob
	_, err := b.OpenBlob(t.Context(), "app", blob, nil)
	require.ErrorIs(t, err, registry.ErrDenied)
	require.Equal(t, 1, closed)
	_, err = b.StatBlob(t.Context(), "app", blob, nil)
	require.ErrorIs(t, err, registry.ErrDenied)
	_, err = b.StatBlob(t.Context(), "app", digest.FromString("unknown"), nil)
	require.ErrorIs(t, err, registry.ErrBlobUnknown)

	refused = "" // the digest of an operation that is still to come
	require.ErrorIs(t, b.DeleteManifest(t.Context(), "app", reference.Ref{Tag: "v1"}, nil), registry.ErrDenied)
	_, err = store.StatManifest(t.Context(), "app", reference.Ref{Tag: "v1"}, nil)
	require.NoError(t, err)
}

// countCloses counts the bodies of blobs that are closed.
type countCloses struct {
	registry.Backend
	closed *int
}

func (c countCloses) OpenBlob(ctx context.Context, repo string, d digest.Digest,
	opts *registry.OpenOptions) (*registry.Blob, error) {
	b, err := c.Backend.OpenBlob(ctx, repo, d, opts)
	if err == nil {
		b.Body = countingBody{b.Body, c.closed}
	}
	return b, err
}

type countingBody struct {
	io.ReadSeekCloser
	closed *int
}

func (b countingBody) Close() error {
	*b.closed++
	return b.ReadSeekCloser.Close()
}

// TestBeforeKindsSelectsOperations: a push of a layer and a manifest is refused where the kind is
// selected, and nowhere else.
func TestBeforeKindsSelectsOperations(t *testing.T) {
	store := registrytest.NewStore(t)
	var kinds []registry.OpKind
	b := registry.Intercept(store, hook.Before(func(_ context.Context, op *registry.Op) error {
		kinds = append(kinds, op.Kind)
		return hook.Deny("frozen")
	}, &hook.BeforeOptions{Kinds: []registry.OpKind{registry.OpPutManifest, registry.OpCommit}}))
	push(store, "app", "v1", layer, nil)
	_, err := registry.PushBlob(t.Context(), b, "app", "", strings.NewReader("x"))
	require.ErrorIs(t, err, registry.ErrDenied)
	_, err = b.PutManifest(t.Context(), "app", "", []byte("{}"), nil)
	require.ErrorIs(t, err, registry.ErrDenied)
	_, err = b.GetManifest(t.Context(), "app", reference.Ref{Tag: "v1"})
	require.NoError(t, err)
	require.Equal(t, []registry.OpKind{registry.OpCommit, registry.OpPutManifest}, kinds)
}

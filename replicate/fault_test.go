package replicate_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/client"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/registrytest"
	"github.com/registrykit/registry/replicate"
)

const (
	layerSize = 3 << 20
	// overhead is an upper bound for the bytes of the requests and responses themselves.
	overhead = 64 << 10
)

// TestCopyGoesOnAfterCutsOfTheSource: each byte of the blob crosses the line once.
func TestCopyGoesOnAfterCutsOfTheSource(t *testing.T) {
	s := registrytest.NewServer(t, nil)
	image := registrytest.RandomImage(1, 1, layerSize)
	push(t, s.Store, "r", image, "v1")
	l := newLine(t, s.URL)
	l.cut(nil, []int64{1000, 1 << 20, 1<<20 + 5000, 2<<20 + 7, 5 << 19})
	for name, dst := range map[string]registry.Backend{"store": onDisk(t), "remote": first(remote(t))} {
		before := l.down.Load()
		res, err := replicate.Copy(t.Context(), dst, newClient(t, l.URL, nil), "r:v1", &replicate.Options{Retries: 5})
		require.NoError(t, err, name)
		requireImage(t, dst, "r", image)
		require.Equal(t, res.Progress.BytesTotal, res.Progress.Bytes)
		require.Less(t, l.down.Load()-before, int64(layerSize+overhead))
	}
	require.Zero(t, l.left())
}

func first[A, B any](a A, _ B) A { return a }

// TestCopyGoesOnAfterCutsOfTheDestination: what has reached the destination is not sent again.
func TestCopyGoesOnAfterCutsOfTheDestination(t *testing.T) {
	src := registrytest.NewStore(t)
	image := registrytest.RandomImage(1, 1, layerSize)
	push(t, src, "r", image, "v1")
	s := registrytest.NewServer(t, nil)
	l := newLine(t, s.URL)
	l.cut([]int64{1000, 1 << 20, 1<<20 + 5000, 2<<20 + 7, 5 << 19}, nil)
	dst := newClient(t, l.URL, nil)
	_, err := replicate.Copy(t.Context(), dst, src, "r:v1", &replicate.Options{Retries: 5})
	require.NoError(t, err)
	requireImage(t, s.Store, "r", image)
	require.Zero(t, l.left())
	require.Less(t, l.up.Load(), int64(layerSize+overhead))
}

// TestCopyGoesOnWhileEachConnectionBreaks: attempts that make progress do not count.
func TestCopyGoesOnWhileEachConnectionBreaks(t *testing.T) {
	s := registrytest.NewServer(t, nil)
	image := registrytest.RandomImage(1, 1, 2*layerSize)
	push(t, s.Store, "r", image, "v1")
	l := newLine(t, s.URL)
	l.every = 3 << 19
	dst := registrytest.NewStore(t)
	_, err := replicate.Copy(t.Context(), dst, newClient(t, l.URL, nil), "r:v1", &replicate.Options{Retries: 1})
	require.NoError(t, err)
	requireImage(t, dst, "r", image)
	require.Less(t, l.down.Load(), int64(2*layerSize+overhead))

	_, err = replicate.Copy(t.Context(), newClient(t, l.URL, nil), dst, "r:v1",
		&replicate.Options{Retries: 1, To: "other:v1"})
	require.NoError(t, err)
	requireImage(t, s.Store, "other", image)
}

// TestCopyResumesInAnotherProcess: the second copy knows the first one only by the files of its
// Resume.
func TestCopyResumesInAnotherProcess(t *testing.T) {
	image := registrytest.RandomImage(1, 1, layerSize)
	layer := digest.FromBytes(image.Blobs[1])
	for name, newDst := range map[string]func(t *testing.T) func() registry.Backend{
		"remote": func(t *testing.T) func() registry.Backend {
			s := registrytest.NewServer(t, nil)
			return func() registry.Backend {
				return newClient(t, s.URL, &client.Options{UploadKey: []byte("the key of this destination")})
			}
		},
		"store": func(t *testing.T) func() registry.Backend {
			s := onDisk(t)
			return func() registry.Backend { return s }
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := registrytest.NewServer(t, nil)
			push(t, s.Store, "r", image, "v1")
			l := newLine(t, s.URL)
			dir := filepath.Join(t.TempDir(), "state")
			open := newDst(t)

			ctx, cancel := context.WithCancel(t.Context())
			opts := &replicate.Options{Resume: replicate.FileResume(dir), Progress: func(p replicate.Progress) {
				if p.Copied > layerSize/2 {
					cancel()
				}
			}}
			dst := open()
			_, err := replicate.Copy(ctx, dst, newClient(t, l.URL, nil), "r:v1", opts)
			require.ErrorIs(t, err, context.Canceled)
			requireTag(t, dst, "r", "v1", "")
			id, err := opts.Resume.Load("r", layer)
			require.NoError(t, err)
			require.NotEmpty(t, id)

			before := l.down.Load()
			opts.Progress = nil
			dst = open()
			require.Eventually(t, func() bool { // the server has noticed the end of the first copy
				u, err := dst.ResumeUpload(t.Context(), "r", id, nil)
				return err == nil && u.Size() > layerSize/3
			}, time.Minute, 10*time.Millisecond)
			res, err := replicate.Copy(t.Context(), dst, newClient(t, l.URL, nil), "r:v1", opts)
			require.NoError(t, err)
			requireImage(t, dst, "r", image)
			require.Greater(t, res.Progress.Skipped, int64(layerSize/3))
			require.Equal(t, res.Progress.BytesTotal, res.Progress.Skipped+res.Progress.Copied)
			require.Less(t, l.down.Load()-before, res.Progress.Copied+overhead, "only the rest crosses the line")
			requireEmptyDir(t, dir)
		})
	}
}

func requireEmptyDir(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, entries)
}

// TestCopyResumesAnUploadOfOtherContent: the upload is begun again, once.
func TestCopyResumesAnUploadOfOtherContent(t *testing.T) {
	src, dst := registrytest.NewStore(t), registrytest.NewStore(t)
	image := registrytest.RandomImage(1, 1, layerSize)
	push(t, src, "r", image, "v1")
	layer := digest.FromBytes(image.Blobs[1])
	resume := replicate.FileResume(t.TempDir())
	for _, content := range []string{"something else", strings.Repeat("x", layerSize+1)} {
		u, err := dst.CreateUpload(t.Context(), "r", nil)
		require.NoError(t, err)
		_, err = u.Append(t.Context(), 0, -1, strings.NewReader(content))
		require.NoError(t, err)
		require.NoError(t, resume.Save("r", layer, u.ID()))
		_, err = replicate.Copy(t.Context(), dst, src, "r:v1", &replicate.Options{Resume: resume})
		require.NoError(t, err)
		requireImage(t, dst, "r", image)
		require.NoError(t, dst.DeleteRepository(t.Context(), "r", nil))
	}
	// An ID of another destination, or of an upload that has ended, counts as none.
	require.NoError(t, resume.Save("r", layer, "nonsense"))
	_, err := replicate.Copy(t.Context(), dst, src, "r:v1", &replicate.Options{Resume: resume})
	require.NoError(t, err)
}

// TestCopyRefusesWrongContent: what does not have its digest gets no tag.
func TestCopyRefusesWrongContent(t *testing.T) {
	s := registrytest.NewServer(t, nil)
	image := registrytest.RandomImage(1, 1, 1<<20)
	push(t, s.Store, "r", image, "v1")
	for name, change := range map[string]func(w http.ResponseWriter, content []byte){
		"other bytes": func(w http.ResponseWriter, content []byte) {
			content[len(content)/2] ^= 1
			_, _ = w.Write(content)
		},
		"fewer bytes": func(w http.ResponseWriter, content []byte) { _, _ = w.Write(content[:len(content)/2]) },
		"more bytes":  func(w http.ResponseWriter, content []byte) { _, _ = w.Write(append(content, 0)) },
	} {
		wrong := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !strings.Contains(r.URL.Path, "/blobs/") || r.Method != http.MethodGet {
				s.Registry.ServeHTTP(w, r)
				return
			}
			rec := httptest.NewRecorder()
			r.Header.Del("Range")
			s.Registry.ServeHTTP(rec, r)
			change(w, rec.Body.Bytes())
		}))
		for _, resume := range []replicate.Resume{nil, replicate.FileResume(t.TempDir())} {
			dst := registrytest.NewStore(t)
			_, err := replicate.Copy(t.Context(), dst, newClient(t, wrong.URL, nil), "r:v1",
				&replicate.Options{Retries: -1, Resume: resume})
			require.Error(t, err, name)
			requireTag(t, dst, "r", "v1", "")
		}
		wrong.Close()
	}
}

// TestCopySaysWhatIsMissing: the error names the blob and the manifest that needs it.
func TestCopySaysWhatIsMissing(t *testing.T) {
	for name, p := range pairs(t) {
		image := registrytest.RandomImage(1, 2, 1000)
		push(t, p.src, "r", image, "v1")
		layer := digest.FromBytes(image.Blobs[2])
		require.NoError(t, p.src.DeleteBlob(t.Context(), "r", layer, nil))
		_, err := replicate.Copy(t.Context(), p.dst, p.src, "r:v1", nil)
		require.ErrorIs(t, err, registry.ErrBlobUnknown, name)
		require.ErrorContains(t, err, string(layer))
		require.ErrorContains(t, err, string(image.Descriptor.Digest))
		requireTag(t, p.dst, "r", "v1", "")
	}
}

// failing returns a backend whose operations of a kind fail a number of times.
func failing(b registry.Backend, kind registry.OpKind, times int, err error) registry.Backend {
	var n atomic.Int64
	return registry.Intercept(b, func(ctx context.Context, op *registry.Op, next func(context.Context) error) error {
		if op.Kind == kind && n.Add(1) <= int64(times) {
			return err
		}
		return next(ctx)
	})
}

// TestCopyTriesAgain: temporary failures of each operation are tried again, and others are not.
func TestCopyTriesAgain(t *testing.T) {
	image := registrytest.RandomImage(1, 1, 100_000)
	for _, kind := range []registry.OpKind{
		registry.OpGetManifest, registry.OpOpenBlob, registry.OpStatBlob, registry.OpCreateUpload, registry.OpAppend,
		registry.OpCommit, registry.OpPutManifest, registry.OpMountBlob,
	} {
		for _, ofSource := range []bool{true, false} {
			synctest.Test(t, func(t *testing.T) {
				store, dst := registrytest.NewStore(t), registrytest.NewStore(t)
				push(t, store, "r", image, "v1")
				with := func(times int, err error) (replicate.Result, error) {
					var from, to registry.Backend = store, dst
					if ofSource {
						from = failing(from, kind, times, err)
					} else {
						to = failing(to, kind, times, err)
					}
					return replicate.Copy(t.Context(), to, from, "r:v1", nil)
				}
				began := time.Now()
				_, err := with(3, registry.ErrUnavailable)
				require.NoError(t, err, "%v of the source: %v", kind, ofSource)
				require.Less(t, time.Since(began), 10*time.Second)
				requireImage(t, dst, "r", image)
			})
		}
	}
}

// TestCopyWaitsAsToldTo: Retry-After is obeyed up to a limit.
func TestCopyWaitsAsToldTo(t *testing.T) {
	image := registrytest.RandomImage(1, 1, 1000)
	synctest.Test(t, func(t *testing.T) {
		src := registrytest.NewStore(t)
		push(t, src, "r", image, "v1")
		for wait, want := range map[time.Duration]error{
			2 * time.Minute: nil, time.Hour: registry.ErrTooManyRequests,
		} {
			began := time.Now()
			_, err := replicate.Copy(t.Context(), registrytest.NewStore(t),
				failing(src, registry.OpOpenBlob, 1, registry.ErrTooManyRequests.WithRetryAfter(wait)), "r:v1", nil)
			require.ErrorIs(t, err, want)
			if want == nil {
				require.GreaterOrEqual(t, time.Since(began), wait)
			} else {
				require.Zero(t, time.Since(began))
			}
		}
		opened := 0
		failing := registry.Intercept(src, func(ctx context.Context, op *registry.Op,
			next func(context.Context) error) error {
			if op.Kind == registry.OpOpenBlob {
				opened++
				return registry.ErrUnavailable
			}
			return next(ctx)
		})
		_, err := replicate.Copy(t.Context(), registrytest.NewStore(t), failing, "r:v1", &replicate.Options{Parallel: 1})
		require.ErrorIs(t, err, registry.ErrUnavailable)
		require.ErrorContains(t, err, "after 4 attempts")
		require.Equal(t, 4, opened)
	})
}

// TestCopyWithoutResumeLeavesNoUpload: without Resume, nothing can continue the upload.
func TestCopyWithoutResumeLeavesNoUpload(t *testing.T) {
	src, dst := registrytest.NewStore(t), registrytest.NewStore(t)
	push(t, src, "r", registrytest.RandomImage(1, 1, 4<<20), "v1")
	var id atomic.Value
	watched := registry.Intercept(dst, func(ctx context.Context, op *registry.Op, next func(context.Context) error) error {
		if op.Kind == registry.OpCancel {
			id.Store(op.UploadID)
		}
		return next(ctx)
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, err := replicate.Copy(ctx, watched, src, "r:v1", &replicate.Options{Progress: func(p replicate.Progress) {
		if p.Copied > 1<<20 {
			cancel()
		}
	}})
	require.ErrorIs(t, err, context.Canceled)
	require.NotNil(t, id.Load(), "the upload is cancelled")
	_, err = dst.ResumeUpload(t.Context(), "r", id.Load().(string), nil)
	require.ErrorIs(t, err, registry.ErrUploadUnknown)
	_, err = dst.GetManifest(t.Context(), "r", reference.Ref{Tag: "v1"})
	require.ErrorIs(t, err, registry.ErrManifestUnknown)
}

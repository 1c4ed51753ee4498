package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/registrytest"
	"github.com/registrykit/registry/replicate"
)

const programVariable = "REGISTRYKIT_TEST_COPY"

// TestMain lets the test program be the program, so that a test can kill it.
func TestMain(m *testing.M) {
	if os.Getenv(programVariable) != "" {
		main()
	}
	os.Exit(m.Run())
}

// call runs the program in this process.
func call(ctx context.Context, args ...string) (status int, out, errs string) {
	var o, e bytes.Buffer
	status = run(ctx, args, &o, &e)
	return status, o.String(), e.String()
}

func requireSame(t *testing.T, b registry.Backend, ref string, image *registrytest.Content) {
	t.Helper()
	repo, tag, _ := strings.Cut(ref, ":")
	m, err := b.GetManifest(t.Context(), repo, reference.Ref{Tag: tag})
	require.NoError(t, err)
	require.Equal(t, image.Descriptor.Digest, m.Descriptor.Digest)
	missing, err := replicate.Verify(t.Context(), b, ref, nil)
	require.NoError(t, err)
	require.Empty(t, missing)
}

func TestCopyBetweenRegistriesAndDirectories(t *testing.T) {
	a, b := registrytest.NewServer(t, nil), registrytest.NewServer(t, nil)
	dir := filepath.Join(t.TempDir(), "store")
	image := registrytest.RandomImage(1, 3, 100_000)
	require.NoError(t, image.Push(t.Context(), a.Store, "team/app", "v1"))

	status, out, errs := call(t.Context(), "-parallel", "2", a.URL+"/team/app:v1", b.URL+"/copy/app")
	require.Zero(t, status, errs)
	requireSame(t, b.Store, "copy/app:v1", image)
	require.Contains(t, out, string(image.Descriptor.Digest))
	require.Contains(t, errs, "4 of 4 blobs, 1 of 1 manifests")

	status, out, errs = call(t.Context(), a.Host+"/team/app:v1", "dir:"+dir+"//x:1", "-plain-http", "-quiet")
	require.Zero(t, status, errs)
	require.Empty(t, errs)
	require.Contains(t, out, "293.2 KiB copied, 0 B mounted, 0 B already there")

	// Within one directory, and from it.
	status, out, errs = call(t.Context(), "dir:"+dir+"//x:1", "dir:"+dir+"//y:2")
	require.Zero(t, status, errs)
	require.Contains(t, out, "0 B copied, 293.2 KiB mounted")
	status, _, errs = call(t.Context(), "dir:"+dir+"//y:2", b.URL+"/from/dir:3")
	require.Zero(t, status, errs)
	requireSame(t, b.Store, "from/dir:3", image)
}

func TestCopySync(t *testing.T) {
	a, b := registrytest.NewServer(t, nil), registrytest.NewServer(t, nil)
	image := registrytest.RandomImage(1, 1, 1000)
	for _, repo := range []string{"team/app", "team/web", "other"} {
		require.NoError(t, image.Push(t.Context(), a.Store, repo, "v1", "v2", "latest"))
	}
	args := []string{"-sync", "team/*", "-tag", "v*", "-newest", "1", "-plain-http", a.Host, b.URL + "/"}
	status, out, errs := call(t.Context(), append(args, "-dry-run")...)
	require.Zero(t, status, errs)
	require.Contains(t, out, "would copy team/app:v2")
	require.Contains(t, out, "dry run: 2 copied, 0 unchanged")
	status, out, errs = call(t.Context(), args...)
	require.Zero(t, status, errs)
	require.Contains(t, out, "copied team/app:v2")
	require.Contains(t, out, "copied team/web:v2")
	requireSame(t, b.Store, "team/web:v2", image)
	status, out, _ = call(t.Context(), args...)
	require.Zero(t, status)
	require.Contains(t, out, "0 copied, 2 unchanged, 0 deleted, 0 failed")
}

func TestCopySaysWhatIsWrong(t *testing.T) {
	s := registrytest.NewServer(t, nil)
	empty, storage := t.TempDir(), t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(storage, "objects"), 0o700))
	for _, row := range []struct {
		status int
		want   string
		args   []string
	}{
		{misused, "required", []string{"-plain-http", "a/b"}},
		{misused, "flag provided but not defined", []string{"-nonsense", "a/b", "c/d"}},
		{misused, "not an http", []string{"ftp://a/b", s.URL + "/b"}},
		{misused, "invalid repository name", []string{"http://127.0.0.1/A", s.URL + "/b"}},
		{misused, "no such file", []string{"dir:" + filepath.Join(t.TempDir(), "none") + "//a:b", s.URL + "/b"}},
		{misused, "the path of the directory is missing", []string{"dir://a:b", s.URL + "/b"}},
		{misused, "must not name a repository", []string{"-sync", "a", s.URL + "/a", s.URL}},
		{misused, "no storage of a registry is there", []string{"dir:" + empty + "//a:b", s.URL + "/b"}},
		{misused, "must name a repository", []string{"dir:" + storage, s.URL + "/a"}},
		{misused, "must name a repository", []string{s.URL, s.URL + "/a"}},
		{misused, "copy: http://127.0.0.1/a: it has a user", []string{"http://ann:hunter2@127.0.0.1/a", s.URL + "/a"}},
		{misused, "-dry-run is for -sync", []string{"-dry-run", s.URL + "/a:v1", s.URL + "/b"}},
		{misused, "-delete is for -sync", []string{s.URL + "/a:v1", s.URL + "/b", "-delete"}},
		{misused, "-parallel 0", []string{"-parallel", "0", s.URL + "/a:v1", s.URL + "/b"}},
		{misused, "-newest -1", []string{"-sync", "a", "-newest", "-1", s.URL, s.URL}},
		{failed, "platform", []string{"-platform", "linux", s.URL + "/a", s.URL + "/b"}},
		{failed, "MANIFEST_UNKNOWN", []string{s.URL + "/a:v1", s.URL + "/b"}},
	} {
		status, _, errs := call(t.Context(), row.args...)
		require.Equal(t, row.status, status, row.args)
		require.Contains(t, errs, row.want)
		require.NotContains(t, errs, "hunter2")
	}
	require.NoDirExists(t, filepath.Join(empty, "objects"), "a source is not written to")
}

// slowServer serves a registry. The first response with a large blob stops after some bytes.
type slowServer struct {
	url     string
	after   int64
	served  atomic.Int64 // bytes of blobs
	stop    sync.Once
	stopped chan struct{}
	full    atomic.Bool // no response stops
}

func newSlowServer(t *testing.T, s *registrytest.Server, after int64) *slowServer {
	t.Helper()
	slow := &slowServer{after: after, stopped: make(chan struct{})}
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/") {
			w = &slowWriter{ResponseWriter: w, s: slow, r: r}
		}
		s.Registry.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	slow.url = front.URL
	return slow
}

type slowWriter struct {
	http.ResponseWriter
	s *slowServer
	r *http.Request
}

func (w *slowWriter) Write(p []byte) (int, error) {
	if w.s.served.Add(int64(len(p))) > w.s.after && !w.s.full.Load() {
		_ = http.NewResponseController(w.ResponseWriter).Flush()
		w.s.stop.Do(func() { close(w.s.stopped) }) // the config may also come now
		<-w.r.Context().Done()                     // the program was killed
		return 0, w.r.Context().Err()
	}
	return w.ResponseWriter.Write(p)
}

// TestCopyGoesOnAfterKill kills the program in the middle of a layer.
func TestCopyGoesOnAfterKill(t *testing.T) {
	const layer, stop = 12 << 20, 8 << 20
	a, b := registrytest.NewServer(t, nil), registrytest.NewServer(t, nil)
	image := registrytest.RandomImage(1, 1, layer)
	require.NoError(t, image.Push(t.Context(), a.Store, "team/app", "v1"))
	slow, dst := newSlowServer(t, a, stop), newCountingServer(t, b)
	args := []string{"-resume", filepath.Join(t.TempDir(), "state"), slow.url + "/team/app:v1", dst.url + "/team/app:v1"}

	program, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), programVariable+"=1")
	require.NoError(t, cmd.Start())
	<-slow.stopped
	dst.requireReceived(t, stop)
	require.NoError(t, cmd.Process.Kill())
	_ = cmd.Wait()
	_, err = b.Store.GetManifest(t.Context(), "team/app", reference.Ref{Tag: "v1"})
	require.ErrorIs(t, err, registry.ErrManifestUnknown)

	slow.full.Store(true)
	slow.served.Store(0)
	status, out, errs := call(t.Context(), args...)
	require.Zero(t, status, errs)
	requireSame(t, b.Store, "team/app:v1", image)
	require.Less(t, slow.served.Load(), int64(layer-stop+2*inBuffers), "only the rest was read: %s", out)
}

// countingServer serves a registry, and counts the bytes of the uploads that it has received.
type countingServer struct {
	url      string
	received atomic.Int64
}

func newCountingServer(t *testing.T, s *registrytest.Server) *countingServer {
	t.Helper()
	c := &countingServer{}
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = &countingBody{r.Body, &c.received}
		s.Registry.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	c.url = front.URL
	return c
}

type countingBody struct {
	io.ReadCloser
	n *atomic.Int64
}

func (b *countingBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.n.Add(int64(n))
	return n, err
}

// requireReceived waits until all bytes but a few have arrived. Before that, some are in the buffers
// of connections.
func (c *countingServer) requireReceived(t *testing.T, n int64) {
	t.Helper()
	require.Eventually(t, func() bool { return c.received.Load() > n-inBuffers }, time.Minute, 5*time.Millisecond)
}

// inBuffers is an upper bound for the bytes that the program holds.
const inBuffers = 1 << 20

// TestCopyGoesOnAfterInterrupt interrupts the program in the middle of a layer.
func TestCopyGoesOnAfterInterrupt(t *testing.T) {
	const layer, stop = 12 << 20, 8 << 20
	a, b := registrytest.NewServer(t, nil), registrytest.NewServer(t, nil)
	image := registrytest.RandomImage(1, 1, layer)
	require.NoError(t, image.Push(t.Context(), a.Store, "team/app", "v1"))
	slow, dst := newSlowServer(t, a, stop), newCountingServer(t, b)
	args := []string{"-resume", filepath.Join(t.TempDir(), "state"), slow.url + "/team/app:v1", dst.url + "/team/app:v1"}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		defer cancel()
		<-slow.stopped
		for dst.received.Load() < stop-inBuffers && t.Context().Err() == nil {
			time.Sleep(5 * time.Millisecond)
		}
	}()
	status, _, errs := call(ctx, args...)
	require.Equal(t, interrupted, status)
	require.Contains(t, errs, "the same command goes on from here")
	slow.full.Store(true)
	slow.served.Store(0)
	status, _, errs = call(t.Context(), args...)
	require.Zero(t, status, errs)
	requireSame(t, b.Store, "team/app:v1", image)
	require.Less(t, slow.served.Load(), int64(layer-stop+2*inBuffers))
}

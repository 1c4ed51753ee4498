package upstream_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/internal/upstreamtest"
	"github.com/registrykit/registry/mirror/internal/upstream"
)

func TestNewErrors(t *testing.T) {
	for name, o := range map[string]upstream.Options{
		"no URL":    {},
		"no scheme": {URLs: []string{"example.com"}},
		"user":      {URLs: []string{"https://u:p@example.com"}},
		"malformed": {URLs: []string{"https://example.com", "http://%zz"}},
		"via":       {URLs: []string{"https://example.com"}, Via: "a b"},
		"injection": {URLs: []string{"https://example.com"}, Via: "a\r\nb"},
		"timeout":   {URLs: []string{"https://example.com"}, Timeout: -1},
		"requests":  {URLs: []string{"https://example.com"}, Requests: -1},
	} {
		_, err := upstream.New(o)
		require.Error(t, err, name)
		require.NotContains(t, err.Error(), "u:p", name)
	}
	_, err := upstream.New(upstream.Options{URLs: []string{"https://example.com/path"}})
	require.NoError(t, err)
}

// TestKindsOfFailures: the counters tell DNS, TLS and connections apart.
func TestKindsOfFailures(t *testing.T) {
	secure := upstreamtest.NewTLS(t)
	u := newUpstream(t, nil, secure)
	unavailable(t, stat(t.Context(), u, "r", "1"))
	unavailable(t, stat(t.Context(), u, "r", "1"))
	require.Equal(t, map[string]int64{"tls": 1}, u.Stats().Errors)

	u = newUpstream(t, func(o *upstream.Options) {
		o.Transport = &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", IsNotFound: true}}
		}}
	}, secure)
	unavailable(t, stat(t.Context(), u, "r", "1"))
	require.Equal(t, map[string]int64{"dns": 1}, u.Stats().Errors)

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	u = newUpstream(t, func(o *upstream.Options) { o.URLs = []string{"http://" + listener.Addr().String()} })
	unavailable(t, stat(t.Context(), u, "r", "1"))
	require.Equal(t, map[string]int64{"connect": 1}, u.Stats().Errors)
}

// TestHTTP2: several requests share a connection.
func TestHTTP2(t *testing.T) {
	s := upstreamtest.NewTLS(t)
	u := newUpstream(t, func(o *upstream.Options) { o.Transport = s.Client().Transport }, s)
	d := s.Blob("r", content(200_000, 1)).Digest
	_, _, err := fetch(t.Context(), u, "r", d, 0, "")
	require.NoError(t, err)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			_, b, err := fetch(t.Context(), u, "r", d, 0, "")
			require.NoError(t, err)
			require.Len(t, b, 200_000)
		})
	}
	wg.Wait()
	require.Equal(t, 1, s.Connections())
}

// TestNoDowngrade: a redirect from https to http is not followed.
func TestNoDowngrade(t *testing.T) {
	secure, plain := upstreamtest.NewTLS(t), upstreamtest.New(t)
	u := newUpstream(t, func(o *upstream.Options) { o.Transport = secure.Client().Transport }, secure)
	d := secure.Blob("r", []byte("x")).Digest
	plain.Blob("r", []byte("x"))
	secure.Break(blobs, upstreamtest.Redirect(plain.URL+"/storage/DIGEST"))
	_, _, err := fetch(t.Context(), u, "r", d, 0, "")
	unavailable(t, err)
	require.Zero(t, plain.Count("", ""))
	require.False(t, u.Stats().Down)
}

// TestBrokenConnection: a connection that breaks before the response is no failure if the next one
// holds. An idle connection may end at any time.
func TestBrokenConnection(t *testing.T) {
	s := upstreamtest.New(t)
	var breaks atomic.Int32
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if breaks.Add(-1) >= 0 {
			panic(http.ErrAbortHandler)
		}
		res, err := http.Head(s.URL + r.URL.Path)
		if err != nil {
			panic(err)
		}
		_ = res.Body.Close()
		for k, v := range res.Header {
			w.Header()[k] = v
		}
		w.WriteHeader(res.StatusCode)
	}))
	defer proxy.Close()
	s.Image("r", "1")
	u := newUpstream(t, func(o *upstream.Options) { o.URLs = []string{proxy.URL} })
	breaks.Store(1)
	require.NoError(t, stat(t.Context(), u, "r", "1"))
	require.Empty(t, u.Stats().Errors)
	breaks.Store(100)
	unavailable(t, stat(t.Context(), u, "r", "1"))
	require.Equal(t, map[string]int64{"connect": 1}, u.Stats().Errors)
	unavailable(t, stat(t.Context(), u, "r", "1"))
	require.Equal(t, map[string]int64{"connect": 1}, u.Stats().Errors)
}

// TestCallerLeaves: a caller who leaves says nothing about the upstream, at any point.
func TestCallerLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u, s := inMemory(t, 1, nil)
		s[0].Image("r", "1")
		d := s[0].Blob("r", content(1000, 1)).Digest
		for _, fault := range []upstreamtest.Fault{upstreamtest.HangHeader(), upstreamtest.HangBody(10)} {
			repair := s[0].Break(all, fault)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			_, err := u.GetManifest(ctx, "r", ref("1"))
			require.ErrorIs(t, err, context.DeadlineExceeded)
			cancel()
			ctx, cancel = context.WithCancel(t.Context())
			time.AfterFunc(time.Second, cancel)
			_, _, err = fetch(ctx, u, "r", d, 0, "")
			require.ErrorIs(t, err, context.Canceled)
			repair()
		}
		require.NoError(t, stat(t.Context(), u, "r", "1"))
		require.Empty(t, u.Stats().Errors)
		require.False(t, u.Stats().Down)
	})
}

// TestWaitingForASlot: what happens to the URL meanwhile ends the wait.
func TestWaitingForASlot(t *testing.T) {
	for name, test := range map[string]struct {
		fault upstreamtest.Fault
		want  error
	}{
		"429": {upstreamtest.Status(429), nil},
		"503": {upstreamtest.Status(503), nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				u, s := inMemory(t, 1, func(o *upstream.Options) { o.Requests = 1 })
				s[0].Image("r", "1")
				s[0].Break(all, upstreamtest.Delay(5*time.Second))
				s[0].Break(all, test.fault)
				var wg sync.WaitGroup
				for range 10 {
					wg.Go(func() { require.Error(t, stat(t.Context(), u, "r", "1")) })
				}
				wg.Wait()
				require.Equal(t, 1, s[0].Count("", ""))
			})
		})
	}
}

// TestSlotsComeBack: every way in which a request ends gives its slot back.
func TestSlotsComeBack(t *testing.T) {
	s := upstreamtest.New(t)
	u := newUpstream(t, func(o *upstream.Options) { o.Requests = 1; o.Rest = 1 }, s)
	d := s.Blob("r", content(100_000, 1)).Digest
	s.Image("r", "1")
	for range 3 {
		for _, fault := range []upstreamtest.Fault{
			upstreamtest.Status(404), upstreamtest.Status(401), upstreamtest.Status(500), upstreamtest.Cut(10),
			upstreamtest.Flip(3), upstreamtest.Gzip(), upstreamtest.Redirect("/storage/DIGEST"),
			upstreamtest.Redirect("/loop"), upstreamtest.NoRanges(), upstreamtest.Short(1), upstreamtest.Long(1),
		} {
			repair := s.Break(upstreamtest.Match{Kind: upstreamtest.Blob}, fault)
			also := s.Break(manifests, fault)
			_ = stat(t.Context(), u, "r", "1")
			_, _ = u.GetManifest(t.Context(), "r", ref("1"))
			_, _, _ = fetch(t.Context(), u, "r", d, 10, "")
			if res, err := u.Blobs("r").FetchRange(t.Context(), d, 0, 10); err == nil {
				_, _ = io.ReadAll(res.Body)
				ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
				_, _, err := fetch(ctx, u, "r", d, 10, "") // the slot is free at the end of a body
				require.NotErrorIs(t, err, context.DeadlineExceeded)
				cancel()
				require.NoError(t, res.Body.Close())
				require.NoError(t, res.Body.Close())
			}
			_, _, _ = u.Tags(t.Context(), "r", "", 1)
			repair()
			also()
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for errors.Is(stat(ctx, u, "r", "1"), context.DeadlineExceeded) {
		t.Fatal("a slot is lost")
	}
}

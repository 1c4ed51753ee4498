package upstream_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/upstreamtest"
	"github.com/registrykit/registry/mirror/internal/upstream"
)

// TestAnswersAreFinal: the next URL is asked only if the first one gives no answer.
func TestAnswersAreFinal(t *testing.T) {
	for status, want := range map[int]error{
		404: registry.ErrManifestUnknown, 410: registry.ErrManifestUnknown, 401: upstream.ErrRefused,
		403: upstream.ErrRefused, 429: registry.ErrTooManyRequests,
	} {
		first, second := upstreamtest.New(t), upstreamtest.New(t)
		u := newUpstream(t, nil, first, second)
		second.Image("r", "1")
		first.Break(all, upstreamtest.Status(status))
		require.ErrorIs(t, stat(t.Context(), u, "r", "1"), want, "%d", status)
		require.Zero(t, second.Count("", ""), "%d", status)
		require.False(t, u.Stats().Down)
	}
}

// TestOnlyTheFirstURLKnowsWhatIsMissing: while the first URL gives no answer, a 404 of the second one
// does not mean that something does not exist.
func TestOnlyTheFirstURLKnowsWhatIsMissing(t *testing.T) {
	first, second := upstreamtest.New(t), upstreamtest.New(t)
	u := newUpstream(t, nil, first, second)
	first.Image("r", "1")
	first.Break(all, upstreamtest.Status(503))
	require.ErrorIs(t, stat(t.Context(), u, "r", "1"), registry.ErrUnavailable)
	require.Equal(t, 1, second.Count("HEAD", upstreamtest.Manifest))
	first.Repair()
	require.Eventually(t, func() bool { return stat(t.Context(), u, "r", "1") == nil }, time.Minute, 100*time.Millisecond)
}

func TestRefusedWraps(t *testing.T) {
	s := upstreamtest.New(t)
	u := newUpstream(t, nil, s)
	s.Break(all, upstreamtest.Status(401))
	require.ErrorIs(t, stat(t.Context(), u, "r", "1"), registry.ErrUnauthorized)
	s.Repair()
	s.Break(all, upstreamtest.Status(403))
	require.ErrorIs(t, stat(t.Context(), u, "r", "1"), registry.ErrDenied)
	require.Equal(t, map[string]int64{"401": 1, "403": 1}, u.Stats().Errors)
}

// TestNextURL: the second URL answers if the first one does not, and the first one is left alone.
func TestNextURL(t *testing.T) {
	for name, test := range map[string]struct {
		fault upstreamtest.Fault
		kind  string
		rests bool
	}{
		"500":        {upstreamtest.Status(500), "5xx", false},
		"503":        {upstreamtest.Status(503), "5xx", true},
		"504":        {upstreamtest.Status(504), "5xx", true},
		"hang":       {upstreamtest.HangHeader(), "timeout", true},
		"redirect":   {upstreamtest.Redirect("ftp://example.com/"), "redirect", false},
		"bad status": {upstreamtest.Status(418), "other", false},
		"down":       {nil, "connect", true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				u, s := inMemory(t, 2, nil)
				s[0].Image("r", "1")
				s[1].Image("r", "1")
				if test.fault == nil {
					s[0].SetDown(true)
				} else {
					s[0].Break(all, test.fault)
				}
				require.NoError(t, stat(t.Context(), u, "r", "1"))
				require.Equal(t, map[string]int64{test.kind: 1}, u.Stats().Errors)
				require.False(t, u.Stats().Down)
				require.NoError(t, stat(t.Context(), u, "r", "1"))
				if test.rests {
					require.Equal(t, map[string]int64{test.kind: 1}, u.Stats().Errors)
				}
				require.Equal(t, 2, s[1].Count("HEAD", upstreamtest.Manifest))
				s[0].SetDown(false)
				s[0].Repair()
				s[0].Forget()
				time.Sleep(time.Minute)
				require.NoError(t, stat(t.Context(), u, "r", "1"))
				require.Equal(t, 1, s[0].Count("HEAD", upstreamtest.Manifest))
			})
		})
	}
}

// TestRest: while the only URL rests, requests fail at once, without a connection.
func TestRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u, s := inMemory(t, 1, nil)
		s[0].Image("r", "1")
		repair := s[0].Break(all, upstreamtest.Status(503))
		rest := upstream.DefaultRest
		for range 6 {
			start, n := time.Now(), s[0].Count("", "")
			unavailable(t, stat(t.Context(), u, "r", "1"))
			require.Equal(t, n+1, s[0].Count("", ""))
			require.True(t, u.Stats().Down)
			time.Sleep(rest - time.Millisecond)
			e := unavailable(t, stat(t.Context(), u, "r", "1"))
			require.LessOrEqual(t, e.RetryAfter(), 21*time.Second)
			require.Equal(t, n+1, s[0].Count("", ""), "too early, after %v", time.Since(start))
			time.Sleep(rest/3 + 2*time.Millisecond) // the jitter
			rest = min(2*rest, 45*time.Second)
		}
		repair()
		require.NoError(t, stat(t.Context(), u, "r", "1"))
		require.False(t, u.Stats().Down)
		// After an answer, the rest is short again.
		s[0].Break(upstreamtest.Match{Times: 1}, upstreamtest.Status(503))
		unavailable(t, stat(t.Context(), u, "r", "1"))
		time.Sleep(7 * time.Second)
		require.NoError(t, stat(t.Context(), u, "r", "1"))
	})
}

// TestRetryAfterOf503: the upstream may ask for a longer rest, up to a minute.
func TestRetryAfterOf503(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u, s := inMemory(t, 1, nil)
		s[0].Image("r", "1")
		s[0].Break(upstreamtest.Match{Times: 1}, upstreamtest.Status(503, "Retry-After", "3600"))
		e := unavailable(t, stat(t.Context(), u, "r", "1"))
		require.Equal(t, time.Minute, e.RetryAfter())
		time.Sleep(time.Minute)
		require.NoError(t, stat(t.Context(), u, "r", "1"))
	})
}

// TestOneProbe: after the rest, one request finds out whether the upstream responds again.
func TestOneProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u, s := inMemory(t, 1, nil)
		s[0].Image("r", "1")
		repair := s[0].Break(all, upstreamtest.Status(503))
		unavailable(t, stat(t.Context(), u, "r", "1"))
		repair()
		time.Sleep(7 * time.Second)

		// The probing request hangs: one is sent, and the others are refused within a second.
		s[0].Forget()
		repair = s[0].Break(all, upstreamtest.HangHeader())
		var wg sync.WaitGroup
		start, took := time.Now(), make([]time.Duration, 50)
		for i := range took {
			wg.Go(func() {
				unavailable(t, stat(t.Context(), u, "r", "1"))
				took[i] = time.Since(start)
			})
		}
		wg.Wait()
		slow := 0
		for _, d := range took {
			if d > time.Second {
				require.Equal(t, upstream.DefaultTimeout, d)
				slow++
			}
		}
		require.Equal(t, 1, slow)
		require.Equal(t, 1, s[0].Count("", ""))
		repair()
		time.Sleep(20 * time.Second)

		// The probing request is answered: the others wait for that, and succeed.
		s[0].Forget()
		s[0].Break(upstreamtest.Match{Times: 1}, upstreamtest.Delay(time.Second/2))
		for range 50 {
			wg.Go(func() { require.NoError(t, stat(t.Context(), u, "r", "1")) })
		}
		time.Sleep(time.Second / 4)
		synctest.Wait()
		require.Equal(t, 1, s[0].Count("", ""))
		wg.Wait()
		require.Equal(t, 50, s[0].Count("", ""))
	})
}

// TestProbeThatIsGivenUp: a caller who leaves does not keep others from probing.
func TestProbeThatIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u, s := inMemory(t, 1, nil)
		s[0].Image("r", "1")
		s[0].Break(upstreamtest.Match{Times: 1}, upstreamtest.Status(503))
		s[0].Break(upstreamtest.Match{Times: 1, Skip: 1}, upstreamtest.HangHeader())
		unavailable(t, stat(t.Context(), u, "r", "1"))
		time.Sleep(7 * time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, stat(ctx, u, "r", "1"), context.DeadlineExceeded)
		require.NoError(t, stat(t.Context(), u, "r", "1"))
		require.Equal(t, map[string]int64{"5xx": 1}, u.Stats().Errors)
	})
}

// TestHalfDead: an upstream that accepts requests and says nothing costs one timeout once.
func TestHalfDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u, s := inMemory(t, 1, nil)
		s[0].Image("r", "1")
		s[0].Break(all, upstreamtest.HangHeader())
		start := time.Now()
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() {
				time.Sleep(time.Duration(i) * time.Second / 12) // within the first timeout
				unavailable(t, stat(t.Context(), u, "r", "1"))
				require.Equal(t, upstream.DefaultTimeout, time.Since(start))
			})
		}
		wg.Wait()
		unavailable(t, stat(t.Context(), u, "r", "1"))
		require.Equal(t, upstream.DefaultTimeout, time.Since(start))
		require.Equal(t, int64(1), u.Stats().Errors["timeout"])
	})
}

// TestOneSlowPath: a request without an answer does not make the URL rest if others are answered.
func TestOneSlowPath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u, s := inMemory(t, 1, nil)
		s[0].Image("r", "1")
		s[0].Break(upstreamtest.Match{Repository: "slow"}, upstreamtest.HangHeader())
		done := make(chan error)
		go func() { done <- stat(t.Context(), u, "slow", "1") }()
		time.Sleep(5 * time.Second)
		require.NoError(t, stat(t.Context(), u, "r", "1"))
		unavailable(t, <-done)
		require.NoError(t, stat(t.Context(), u, "r", "1"))
		require.False(t, u.Stats().Down)
	})
}

// TestThree500: one path that fails does not make the URL rest, and several do.
func TestThree500(t *testing.T) {
	s := upstreamtest.New(t)
	u := newUpstream(t, nil, s)
	s.Image("r", "1")
	s.Break(upstreamtest.Match{Repository: "bad"}, upstreamtest.Status(500))
	for range 5 {
		unavailable(t, stat(t.Context(), u, "bad", "1"))
		require.NoError(t, stat(t.Context(), u, "r", "1"))
	}
	for range 5 {
		unavailable(t, stat(t.Context(), u, "bad", "1"))
	}
	require.True(t, u.Stats().Down)
	require.Equal(t, 5+3, int(u.Stats().Errors["5xx"]))
}

// TestTooManyRequests: after a 429, nothing is sent until Retry-After.
func TestTooManyRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u, s := inMemory(t, 2, nil)
		s[0].Image("r", "1")
		for _, test := range []struct {
			value string
			want  time.Duration
		}{
			{"7", 7 * time.Second},
			{time.Now().Add(20 * time.Second).UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT"), 13 * time.Second},
			{"", 30 * time.Second}, {"soon", 30 * time.Second}, {"-5", 30 * time.Second},
			{"86400", time.Hour}, {"99999999999999999999", time.Hour},
		} {
			s[0].Break(upstreamtest.Match{Times: 1}, upstreamtest.Status(429, "Retry-After", test.value))
			n := s[0].Count("", "")
			for range 3 {
				err := stat(t.Context(), u, "r", "1")
				require.ErrorIs(t, err, registry.ErrTooManyRequests)
				var e *registry.Error
				require.ErrorAs(t, err, &e)
				require.Equal(t, test.want, e.RetryAfter(), test.value)
			}
			require.Equal(t, time.Now().Add(test.want), u.Stats().Until)
			time.Sleep(test.want - time.Second)
			require.ErrorIs(t, stat(t.Context(), u.Through("1.1 x"), "r", "1"), registry.ErrTooManyRequests)
			require.Equal(t, n+1, s[0].Count("", ""))
			time.Sleep(time.Second)
			require.NoError(t, stat(t.Context(), u, "r", "1"))
			require.Zero(t, u.Stats().Until)
		}
		require.Zero(t, s[1].Count("", ""))
		require.Equal(t, map[string]int64{"429": 7}, u.Stats().Errors)
	})
}

// TestShorterRetryAfter: of several responses with 429, the longest time counts.
func TestShorterRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u, s := inMemory(t, 1, nil)
		s[0].Break(upstreamtest.Match{Ref: "1"}, upstreamtest.Status(429, "Retry-After", "100"))
		s[0].Break(upstreamtest.Match{Ref: "2"}, upstreamtest.Status(429, "Retry-After", "5"))
		s[0].Break(upstreamtest.Match{Ref: "2"}, upstreamtest.Delay(time.Second))
		var wg sync.WaitGroup
		wg.Go(func() { require.ErrorIs(t, stat(t.Context(), u, "r", "2"), registry.ErrTooManyRequests) })
		synctest.Wait() // the request is sent
		require.ErrorIs(t, stat(t.Context(), u, "r", "1"), registry.ErrTooManyRequests)
		wg.Wait()
		require.Equal(t, 2, s[0].Count("", ""))
		require.Equal(t, 99*time.Second, time.Until(u.Stats().Until))
	})
}

func TestRateLimit(t *testing.T) {
	s := upstreamtest.New(t)
	u := newUpstream(t, nil, s)
	s.Image("r", "1")
	s.Break(upstreamtest.Match{Times: 1}, upstreamtest.RateLimit(100, 77))
	require.NoError(t, stat(t.Context(), u, "r", "1"))
	require.Equal(t, []int64{100, 77}, []int64{u.Stats().Limit, u.Stats().Remaining})
	require.NoError(t, stat(t.Context(), u, "r", "1"))
	require.Equal(t, int64(77), u.Stats().Remaining)
	s.Break(all, upstreamtest.Header("Ratelimit-Remaining", "x"))
	require.NoError(t, stat(t.Context(), u, "r", "1"))
	require.Equal(t, int64(77), u.Stats().Remaining)
}

// TestRequests: no more than Options.Requests requests are in progress, bodies included.
func TestRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u, s := inMemory(t, 1, func(o *upstream.Options) { o.Requests = 2 })
		d := s[0].Blob("r", content(100_000, 1)).Digest
		src := u.Blobs("r")
		first, err := src.Fetch(t.Context(), d, 0, "")
		require.NoError(t, err)
		_, err = src.Fetch(t.Context(), d, 0, "")
		require.NoError(t, err)
		// The third one waits, as long as its context allows.
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err = src.Fetch(ctx, d, 0, "")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 2, s[0].Count("", ""))
		// It goes on when a body is closed.
		done := make(chan error)
		go func() {
			res, err := src.Fetch(t.Context(), d, 0, "")
			if err == nil {
				err = res.Body.Close()
			}
			done <- err
		}()
		time.Sleep(time.Hour)
		require.Equal(t, 2, s[0].Count("", ""))
		require.NoError(t, first.Body.Close())
		require.NoError(t, <-done)
		require.False(t, u.Stats().Down)
	})
}

// TestManifestsDoNotWaitForBlobs: bodies of blobs cannot take all slots.
func TestManifestsDoNotWaitForBlobs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u, s := inMemory(t, 1, func(o *upstream.Options) { o.Requests = 8 })
		s[0].Image("r", "1")
		d := s[0].Blob("r", content(100_000, 1)).Digest
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if res, err := u.Blobs("r").Fetch(ctx, d, 0, ""); err == nil {
					<-ctx.Done() // nobody reads the body
					_ = res.Body.Close()
				}
			})
		}
		synctest.Wait()
		require.Equal(t, 7, s[0].Count("GET", upstreamtest.Blob))
		require.NoError(t, stat(t.Context(), u, "r", "1"))
		cancel()
		wg.Wait()
	})
}

// TestLoopsAreDueToTheRequest: an upstream that refuses requests because of their Via header, which
// clients send, does not rest.
func TestLoopsAreDueToTheRequest(t *testing.T) {
	s := upstreamtest.New(t)
	u := newUpstream(t, nil, s)
	s.Image("r", "1")
	s.Break(upstreamtest.Match{Times: 5}, upstreamtest.Status(508))
	for range 5 {
		require.ErrorIs(t, stat(t.Context(), u, "r", "1"), registry.ErrUnavailable)
	}
	require.NoError(t, stat(t.Context(), u, "r", "1"))
}

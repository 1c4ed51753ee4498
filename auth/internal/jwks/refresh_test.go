package jwks_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth/internal/jwks"
)

// TestKeysAreReadOnceAndAgain reads keys when they are needed, and again before MaxAge without delaying a caller.
func TestKeysAreReadOnceAndAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newECDSA(t, "a")
		issuer := &source{content: document(t, a), delay: time.Second}
		set := issuer.keys(t, jwks.Options{})
		require.Zero(t, issuer.requests.Load(), "New makes no request")
		token := a.token(t, "alice", nil)
		accepts(t, set, token)
		time.Sleep(40 * time.Minute)
		accepts(t, set, token)
		require.EqualValues(t, 1, issuer.requests.Load())

		time.Sleep(10 * time.Minute) // three quarters of MaxAge are over
		before := time.Now()
		accepts(t, set, token)
		require.Zero(t, time.Since(before))
		synctest.Wait()
		require.EqualValues(t, 2, issuer.requests.Load())
		time.Sleep(30 * time.Minute)
		accepts(t, set, token)
		require.EqualValues(t, 2, issuer.requests.Load())

		time.Sleep(5 * time.Hour) // a removed key counts no more, without another token in between
		issuer.set(document(t, newECDSA(t, "b")))
		refuses(t, set, token)
	})
}

// TestRotationIsFoundByTheKid accepts a new key at once, whatever its kid was.
func TestRotationIsFoundByTheKid(t *testing.T) {
	for name, kids := range map[string][2]string{
		"another kid": {"a", "b"}, "the same kid": {"a", "a"}, "no kid": {"", ""}, "kid dropped": {"a", ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b := newECDSA(t, kids[0]), newECDSA(t, kids[1])
				issuer := &source{content: document(t, a)}
				set := issuer.keys(t, jwks.Options{})
				accepts(t, set, a.token(t, "alice", nil))
				time.Sleep(time.Minute)
				issuer.set(document(t, b))
				accepts(t, set, b.token(t, "alice", nil))
				refuses(t, set, a.token(t, "alice", nil))
			})
		})
	}
}

// TestInventedKidsCauseNoLoad sends tokens of keys that do not exist for ten minutes. Valid tokens are not delayed.
func TestInventedKidsCauseNoLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, other := newECDSA(t, "a"), newECDSA(t, "invented")
		issuer := &source{content: document(t, a), delay: 2 * time.Second}
		set := issuer.keys(t, jwks.Options{})
		good, bad := a.token(t, "alice", nil), other.token(t, "mallory", nil)
		accepts(t, set, good)
		const during = 10 * time.Minute
		end := time.Now().Add(during)
		var callers sync.WaitGroup
		for range 10 {
			callers.Go(func() {
				for time.Now().Before(end) {
					refuses(t, set, bad)
					time.Sleep(500 * time.Millisecond)
				}
			})
		}
		for time.Now().Before(end) {
			before := time.Now()
			accepts(t, set, good)
			require.Zero(t, time.Since(before))
			time.Sleep(time.Second)
		}
		callers.Wait()
		require.LessOrEqual(t, issuer.requests.Load(), int64(during/jwks.DefaultMinInterval)+1)
		require.Greater(t, issuer.requests.Load(), int64(40), "the test must ask")
	})
}

// TestManyCallersWaitForOneRequest starts with 100 callers at once.
func TestManyCallersWaitForOneRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newECDSA(t, "a")
		issuer := &source{content: document(t, a), delay: 3 * time.Second}
		set := issuer.keys(t, jwks.Options{})
		token := a.token(t, "alice", nil)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { // a caller who gives up does not end the request of the others
			_, err := set.VerifySignature(ctx, token)
			require.ErrorIs(t, err, context.Canceled)
		}()
		synctest.Wait()
		var callers sync.WaitGroup
		for range 100 {
			callers.Go(func() { accepts(t, set, token) })
		}
		time.Sleep(time.Second)
		cancel()
		callers.Wait()
		require.EqualValues(t, 1, issuer.requests.Load())
	})
}

// TestKeysStayInUseWhileTheSourceIsDown uses old keys for MaxStale, without delay, and recovers.
func TestKeysStayInUseWhileTheSourceIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newECDSA(t, "a"), newECDSA(t, "b")
		issuer := &source{content: document(t, a)}
		set := issuer.keys(t, jwks.Options{})
		token := a.token(t, "alice", nil)
		accepts(t, set, token)
		issuer.delay = time.Hour // it hangs: an attempt ends after ten seconds
		slow := 0
		for range 23 * 60 {
			time.Sleep(time.Minute)
			before := time.Now()
			accepts(t, set, token)
			if time.Since(before) > 0 {
				slow++
			}
			require.LessOrEqual(t, time.Since(before), 10*time.Second)
		}
		require.LessOrEqual(t, slow, 1, "a source that hangs delays at most one caller")
		for range 3 { // whether it waits or not
			_, err := set.VerifySignature(t.Context(), b.token(t, "bob", nil))
			require.Error(t, err)
			require.NotErrorIs(t, err, jwks.ErrSignature, "the issuer may have a new key")
		}
		refuses(t, set, signer{"a", b.method, b.private}.token(t, "mallory", nil))

		time.Sleep(2 * time.Hour)
		_, err := set.VerifySignature(t.Context(), token)
		require.Error(t, err)
		require.NotErrorIs(t, err, jwks.ErrSignature, "it is not known whether the token is valid")

		issuer.delay = 0
		issuer.set(document(t, a, b))
		time.Sleep(jwks.DefaultMinInterval)
		accepts(t, set, token)
		accepts(t, set, b.token(t, "bob", nil))
	})
}

// TestSourceDownFromTheStart fails quickly between the attempts.
func TestSourceDownFromTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newECDSA(t, "a")
		down := errors.New("down")
		issuer := &source{err: down}
		set := issuer.keys(t, jwks.Options{})
		token := a.token(t, "alice", nil)
		for range 100 {
			_, err := set.VerifySignature(t.Context(), token)
			require.ErrorIs(t, err, down)
		}
		require.EqualValues(t, 1, issuer.requests.Load())
		issuer.set(document(t, a))
		time.Sleep(jwks.DefaultMinInterval)
		accepts(t, set, token)
		ok, err := set.Has(t.Context(), jwks.Thumbprint{})
		require.NoError(t, err)
		require.False(t, ok)
	})
}

// TestCacheControl shortens MaxAge, and never below MinInterval.
func TestCacheControl(t *testing.T) {
	for _, test := range []struct {
		header http.Header
		want   time.Duration
	}{
		{http.Header{}, time.Hour},
		{http.Header{"Cache-Control": {"public, Max-Age=600, must-revalidate"}}, 10 * time.Minute},
		{http.Header{"Cache-Control": {"max-age=600"}, "Age": {"300"}}, 5 * time.Minute},
		{http.Header{"Cache-Control": {"max-age=600"}, "Age": {"900"}}, 10 * time.Second},
		{http.Header{"Cache-Control": {"max-age=86400"}}, time.Hour},
		{http.Header{"Cache-Control": {"max-age=99999999999999999999"}}, time.Hour},
		{http.Header{"Cache-Control": {"max-age=-1"}}, time.Hour},
		{http.Header{"Cache-Control": {"no-store"}}, 10 * time.Second},
		{http.Header{"Cache-Control": {"max-age=600", "no-cache"}}, 10 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			a := newECDSA(t, "a")
			token := a.token(t, "alice", nil)
			issuer := &source{content: document(t, a), header: test.header}
			set := issuer.keys(t, jwks.Options{})
			accepts(t, set, token)
			time.Sleep(test.want*3/4 - time.Second)
			accepts(t, set, token)
			synctest.Wait()
			require.EqualValues(t, 1, issuer.requests.Load(), test.header)
			time.Sleep(test.want/4 + time.Second)
			accepts(t, set, token)
			synctest.Wait()
			require.EqualValues(t, 2, issuer.requests.Load(), test.header)
		})
	}
}

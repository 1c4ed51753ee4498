package login_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/client"
	"github.com/registrykit/registry/client/login"
)

// TestTokenRenewedBeforeEnd checks when tokens are renewed.
func TestTokenRenewedBeforeEnd(t *testing.T) {
	for name, a := range map[string]struct {
		more     map[string]any
		age, end time.Duration // of the token, when it arrives; of its lifetime after that
	}{
		"default":     {nil, 0, time.Minute},
		"expires_in":  {map[string]any{"expires_in": 300}, 0, 300 * time.Second},
		"issued long": {map[string]any{"expires_in": 300}, 100 * time.Second, 200 * time.Second},
		"short":       {map[string]any{"expires_in": 2}, 0, 2 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake()
				skew := -1000 * time.Hour // the clock of the service is behind
				f.service = func(w http.ResponseWriter, _ *http.Request) {
					now := time.Now().Add(skew)
					w.Header().Set("Date", now.UTC().Format(http.TimeFormat))
					more := map[string]any{"issued_at": now.Add(-a.age).UTC().Format(time.RFC3339)}
					for k, v := range a.more {
						more[k] = v
					}
					f.issue(w, more)
				}
				get := f.connect(t, ann)
				require.ErrorIs(t, get("a"), registry.ErrBlobUnknown)
				f.take()
				time.Sleep(a.end * 79 / 100) // at most a fifth before the end
				require.ErrorIs(t, get("a"), registry.ErrBlobUnknown)
				require.Equal(t, []string{"ok"}, f.take())
				time.Sleep(a.end * 12 / 100) // at least a tenth
				require.ErrorIs(t, get("a"), registry.ErrBlobUnknown)
				require.Equal(t, []string{getA, "ok"}, f.take())
			})
		})
	}
}

// TestRenewalFails checks that a token is used until its end if it cannot be renewed.
func TestRenewalFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		get := f.connect(t, ann)
		require.ErrorIs(t, get("a"), registry.ErrBlobUnknown)
		f.take()
		f.service = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }
		time.Sleep(55 * time.Second)
		for range 10 {
			require.ErrorIs(t, get("a"), registry.ErrBlobUnknown)
		}
		require.Len(t, f.take(), 11, "one failed renewal")
		time.Sleep(6 * time.Second)
		require.ErrorIs(t, get("a"), registry.ErrUnavailable)
	})
}

// TestRenewalStopsNobody checks that requests use a valid token while it is renewed, and that
// requests without a token wait for one request.
func TestRenewalStopsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.valid = func(a string) bool { return strings.HasPrefix(a, "Bearer T0KEN") }
		get := f.connect(t, ann)
		require.ErrorIs(t, get("a"), registry.ErrBlobUnknown)
		f.take()
		time.Sleep(55 * time.Second)
		began := time.Now()
		f.service = func(w http.ResponseWriter, _ *http.Request) {
			f.mu.Unlock()
			time.Sleep(3 * time.Second)
			f.mu.Lock()
			f.issue(w, nil)
		}
		var wg sync.WaitGroup
		wg.Go(func() { require.ErrorIs(t, get("a"), registry.ErrBlobUnknown) })
		synctest.Wait()
		require.ErrorIs(t, get("a"), registry.ErrBlobUnknown)
		require.Equal(t, began, time.Now())
		for range 10 {
			wg.Go(func() { require.ErrorIs(t, get("b"), registry.ErrBlobUnknown) })
		}
		wg.Wait()
		n := 0
		for _, s := range f.take() {
			if strings.HasPrefix(s, "GET /token") {
				n++
			}
		}
		require.Equal(t, 2, n)
	})
}

// TestCallerGivesUp checks that the end of one caller's context does not fail the others who wait
// for the same token.
func TestCallerGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		calls := 0
		transport := f.transport()
		slow := hosts{"auth.test": func(w http.ResponseWriter, r *http.Request) {
			if calls++; calls == 1 {
				<-r.Context().Done()
				return
			}
			transport["auth.test"](w, r)
		}}
		l, err := login.New("https://reg.test", &login.Options{Source: ann, Realms: []string{"auth.test"},
			Transport: slow})
		require.NoError(t, err)
		c, err := client.New("https://reg.test", &client.Options{HTTPClient: &http.Client{Transport: transport},
			Authorize: l.Authorize, Challenge: l.Challenge})
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			_, err := c.Fetch(ctx, "a", digest.FromString("x"), nil)
			require.ErrorIs(t, err, context.Canceled)
		})
		synctest.Wait()
		wg.Go(func() {
			_, err := c.Fetch(t.Context(), "a", digest.FromString("x"), nil)
			require.ErrorIs(t, err, registry.ErrBlobUnknown)
		})
		waiting, stop := context.WithCancel(t.Context())
		wg.Go(func() {
			_, err := c.Fetch(waiting, "a", digest.FromString("x"), nil)
			require.ErrorIs(t, err, context.Canceled)
		})
		synctest.Wait()
		stop()
		synctest.Wait()
		cancel()
		wg.Wait()
		require.Equal(t, 2, calls)
	})
}

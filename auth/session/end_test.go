package session_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/auth/session"
	"github.com/registrykit/registry/storage/driver/drivertest"
	"github.com/registrykit/registry/storage/memory"
)

func TestIdleAndAbsoluteEnd(t *testing.T) {
	d := memory.New(nil)
	s := newSite(t, d, nil, &session.Options{Idle: time.Hour, Absolute: 10 * time.Hour})
	ann := s.user(t, "ann")
	used, unused := s.issue(t, session.Login{Account: ann}), s.start(t, session.Login{Account: ann})
	for range 12 {
		require.Equal(t, "ann", s.name(t, used))
		s.now.advance(45 * time.Minute)
	}
	require.Empty(t, s.name(t, unused), "idle for nine hours")
	require.Equal(t, "ann", s.name(t, used))
	s.now.advance(30 * time.Minute)
	require.Equal(t, "ann", s.name(t, used))
	s.now.advance(31 * time.Minute)
	require.Empty(t, s.name(t, used), "ten hours")
	require.Len(t, keys(t, d), 2)
	var left int
	for _, err := range s.sessions.List(t.Context(), ann, "") {
		require.NoError(t, err)
		left++
	}
	require.Zero(t, left)
	require.NoError(t, s.sessions.Sweep(t.Context()))
	require.Empty(t, keys(t, d))
}

// TestLastUseIsWrittenSeldom: many requests cost few writes.
func TestLastUseIsWrittenSeldom(t *testing.T) {
	f := drivertest.NewFaulty(memory.New(nil), nil)
	s := newSite(t, f, nil, nil)
	ann := s.user(t, "ann")
	r := s.issue(t, session.Login{Account: ann})
	before := f.Writes()
	for range 100 {
		require.Equal(t, "ann", s.name(t, r))
		s.now.advance(6 * time.Second) // ten minutes
	}
	require.LessOrEqual(t, f.Writes()-before, 2)
	for one, err := range s.sessions.List(t.Context(), ann, "") {
		require.NoError(t, err)
		require.Less(t, s.now.now().Sub(one.LastUsed), 6*time.Minute)
	}
}

// TestEndsOnAllReplicas: within Refresh, another replica refuses a session that was ended, and one
// of a user who was disabled, removed, or has another password.
func TestEndsOnAllReplicas(t *testing.T) {
	for what, end := range map[string]func(t *testing.T, s *site, ann accounts.ID, r *http.Request){
		"logout": func(t *testing.T, s *site, _ accounts.ID, r *http.Request) {
			w := httptest.NewRecorder()
			ended, err := s.sessions.End(w, r)
			require.NoError(t, err)
			require.NotNil(t, ended)
			require.Equal(t, -1, w.Result().Cookies()[0].MaxAge)
		},
		"revoked": func(t *testing.T, s *site, ann accounts.ID, _ *http.Request) {
			n, err := s.sessions.RevokeAll(t.Context(), ann, "")
			require.NoError(t, err)
			require.Equal(t, 1, n)
		},
		"disabled": func(t *testing.T, s *site, ann accounts.ID, _ *http.Request) {
			_, err := s.people.Disable(t.Context(), accounts.Actor{}, ann)
			require.NoError(t, err)
		},
		"removed": func(t *testing.T, s *site, ann accounts.ID, _ *http.Request) {
			require.NoError(t, s.people.Remove(t.Context(), accounts.Actor{}, ann))
		},
		"another password": func(t *testing.T, s *site, ann accounts.ID, _ *http.Request) {
			require.NoError(t, s.people.SetPassword(t.Context(), accounts.Actor{}, ann, password))
		},
	} {
		d, c := memory.New(nil), &clock{}
		one, two := newSite(t, d, c, nil), newSite(t, d, c, nil)
		ann := one.user(t, "ann")
		r := one.start(t, session.Login{Account: ann})
		require.Equal(t, "ann", one.name(t, r))
		require.Equal(t, "ann", two.name(t, r))
		end(t, one, ann, r)
		require.Empty(t, one.name(t, r), what)
		c.advance(session.DefaultRefresh)
		time.Sleep(time.Millisecond) // the Refresh of the accounts
		require.Empty(t, two.name(t, r), what)
	}
}

// TestEnabledAgain: a session that was used while its user was disabled does not work again. One
// that began after that works.
func TestEnabledAgain(t *testing.T) {
	s := newSite(t, memory.New(nil), nil, nil)
	ann := s.user(t, "ann")
	r := s.issue(t, session.Login{Account: ann})
	_, err := s.people.Disable(t.Context(), accounts.Actor{}, ann)
	require.NoError(t, err)
	require.Empty(t, s.name(t, r))
	_, _, err = s.sessions.Issue(httptest.NewRequest(http.MethodPost, "/", nil), session.Login{Account: ann})
	require.ErrorIs(t, err, auth.ErrCredentials)
	_, err = s.people.Enable(t.Context(), accounts.Actor{}, ann)
	require.NoError(t, err)
	require.Empty(t, s.name(t, r))
	require.Equal(t, "ann", s.name(t, s.issue(t, session.Login{Account: ann})))
}

// TestListAndEndCostTheirNumber: they read the sessions of one user only.
func TestListAndEndCostTheirNumber(t *testing.T) {
	f := drivertest.NewFaulty(memory.New(nil), nil)
	s := newSite(t, f, nil, nil)
	ann := s.user(t, "ann")
	for i := range 50 {
		s.issue(t, session.Login{Account: s.user(t, fmt.Sprint("other", i))})
	}
	var ids []string
	for range 3 {
		r := s.issue(t, session.Login{Account: ann})
		identity, err := s.who.Authenticate(r)
		require.NoError(t, err)
		ids = append(ids, identity.Claims[session.Claim].(string))
	}
	slices.Sort(ids)
	before := f.Count("")
	var listed []string
	for one, err := range s.sessions.List(t.Context(), ann, "") {
		require.NoError(t, err)
		listed = append(listed, one.ID)
	}
	require.Equal(t, ids, listed)
	require.LessOrEqual(t, f.Count("")-before, 4)
	for one, err := range s.sessions.List(t.Context(), ann, ids[0]) {
		require.NoError(t, err)
		require.Equal(t, ids[1], one.ID)
		break
	}
	before = f.Count("")
	n, err := s.sessions.RevokeAll(t.Context(), ann, ids[1])
	require.NoError(t, err)
	require.Equal(t, 2, n)
	require.LessOrEqual(t, f.Count("")-before, 10)
	require.NoError(t, s.sessions.Revoke(t.Context(), ann, ids[1]))
	require.ErrorIs(t, s.sessions.Revoke(t.Context(), ann, ids[1]), session.ErrUnknown)
	for _, id := range []string{"", "x", "../../x", strings.Repeat("a", 26)} {
		_, err := s.sessions.Get(t.Context(), ann, id)
		require.ErrorIs(t, err, session.ErrUnknown)
		_, err = s.sessions.Get(t.Context(), accounts.ID(id), ids[0])
		require.ErrorIs(t, err, session.ErrUnknown)
	}
}

// TestMaxSessions: logins without end do not fill the storage. The sessions that are used stay.
func TestMaxSessions(t *testing.T) {
	d := memory.New(nil)
	s := newSite(t, d, nil, nil)
	ann := s.user(t, "ann")
	first := s.issue(t, session.Login{Account: ann})
	second := s.issue(t, session.Login{Account: ann})
	s.now.advance(time.Hour)
	require.Equal(t, "ann", s.name(t, first))
	for range session.MaxSessions - 1 {
		s.issue(t, session.Login{Account: ann})
	}
	require.Len(t, keys(t, d), session.MaxSessions)
	require.Equal(t, "ann", s.name(t, first))
	require.Empty(t, s.name(t, second))
}

// TestManyAtOnce: sessions begin, are used and end at the same time at two replicas.
func TestManyAtOnce(t *testing.T) {
	d, c := memory.New(nil), &clock{}
	sites := []*site{newSite(t, d, c, nil), newSite(t, d, c, nil)}
	ann := sites[0].user(t, "ann")
	var group sync.WaitGroup
	for i := range 16 {
		group.Go(func() {
			s := sites[i%2]
			for range 10 {
				r := s.issue(t, session.Login{Account: ann})
				c.advance(time.Minute)
				if s.name(t, r) != "ann" || sites[(i+1)%2].name(t, r) != "ann" {
					t.Error("a session does not count")
				}
				if _, err := s.sessions.End(httptest.NewRecorder(), r); err != nil {
					t.Error(err)
				}
				if s.name(t, r) != "" {
					t.Error("an ended session counts")
				}
			}
		})
	}
	group.Wait()
	require.Empty(t, keys(t, d), "no use brings a session back that has ended")
}

// TestEndDuringARead: a session that ends while a request reads it is not remembered as valid.
func TestEndDuringARead(t *testing.T) {
	var during func()
	f := drivertest.NewFaulty(memory.New(nil), &drivertest.FaultyOptions{
		After: func(_ context.Context, c drivertest.Call, err error) error {
			if hook := during; c.Op == "Open" && strings.HasPrefix(c.Key, "g/s/") && hook != nil {
				during = nil
				hook()
			}
			return err
		}})
	s := newSite(t, f, nil, nil)
	ann := s.user(t, "ann")
	r := s.issue(t, session.Login{Account: ann})
	during = func() {
		n, err := s.sessions.RevokeAll(t.Context(), ann, "")
		require.NoError(t, err)
		require.Equal(t, 1, n)
	}
	require.Equal(t, "ann", s.name(t, r), "the request began before")
	require.Nil(t, during)
	require.Empty(t, s.name(t, r))
}

func TestRun(t *testing.T) {
	s := newSite(t, memory.New(nil), nil, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, s.sessions.Run(ctx), context.Canceled)
}

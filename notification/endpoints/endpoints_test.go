package endpoints_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/notification/endpoints"
	"github.com/registrykit/registry/notification/webhook"
	"github.com/registrykit/registry/storage/memory"
)

// TestLife creates, reads, lists, changes and removes endpoints.
func TestLife(t *testing.T) {
	p, err := endpoints.New(memory.New(nil), nil)
	require.NoError(t, err)
	scope := endpoints.Scope{Repository: "acme/app"}
	s := endpoints.Settings{Name: "CI", URL: "https://ci.example/hook?key=sesame", Authorization: "Bearer sesame",
		Tags: []string{"v*"}}
	e, secret, err := p.Create(t.Context(), "ann", scope, s)
	require.NoError(t, err)
	require.NoError(t, webhook.CheckSecret(secret))
	require.Equal(t, "cncf", e.Format)
	require.Equal(t, "ann", e.CreatedBy)
	read, err := p.Get(t.Context(), e.ID)
	require.NoError(t, err)
	require.Equal(t, e, read)
	text := fmt.Sprintf("%v %+v %#v", e, e, e)
	b, err := json.Marshal(e)
	require.NoError(t, err)
	require.NotContains(t, text+string(b), "sesame")
	require.NotContains(t, text+string(b), secret.Value())

	changed, err := p.Update(t.Context(), "bob", e.ID, func(e *endpoints.Endpoint) error {
		e.Name, e.Disabled = "build", &endpoints.Disabled{Cause: endpoints.Operator}
		return nil
	})
	require.NoError(t, err)
	require.Equal(t, "build", changed.Name)
	require.Equal(t, s.Authorization, changed.Authorization)
	require.Equal(t, "bob", changed.ChangedBy)
	require.Equal(t, "ann", changed.CreatedBy)
	require.Equal(t, "bob", changed.Disabled.By)
	no := errors.New("no")
	_, err = p.Update(t.Context(), "bob", e.ID, func(*endpoints.Endpoint) error { return no })
	require.Equal(t, no, err)
	require.Equal(t, no, p.Remove(t.Context(), e.ID, func(endpoints.Endpoint) error { return no }))

	other, _, err := p.Create(t.Context(), "ann", endpoints.Scope{Namespace: "acme"}, s)
	require.NoError(t, err)
	require.Equal(t, []endpoints.ID{e.ID}, list(t, p, scope))
	require.Equal(t, []endpoints.ID{other.ID}, list(t, p, endpoints.Scope{Namespace: "acme"}))
	require.Empty(t, list(t, p, endpoints.Scope{}))
	n := 0
	for _, err := range p.All(t.Context(), "") {
		require.NoError(t, err)
		n++
	}
	require.Equal(t, 2, n)
	require.NoError(t, p.Remove(t.Context(), e.ID, nil))
	require.ErrorIs(t, p.Remove(t.Context(), e.ID, nil), endpoints.ErrUnknown)
	_, err = p.Get(t.Context(), e.ID)
	require.ErrorIs(t, err, endpoints.ErrUnknown)
	require.Empty(t, list(t, p, scope))
}

func list(t *testing.T, p *endpoints.Endpoints, s endpoints.Scope) (ids []endpoints.ID) {
	t.Helper()
	for e, err := range p.List(t.Context(), s, "") {
		require.NoError(t, err)
		ids = append(ids, e.ID)
	}
	return ids
}

// TestInvalid: settings that cannot work are refused, and the error does not show secrets.
func TestInvalid(t *testing.T) {
	p, err := endpoints.New(memory.New(nil), nil)
	require.NoError(t, err)
	for name, change := range map[string]func(*endpoints.Settings){
		"no name":     func(s *endpoints.Settings) { s.Name = "" },
		"long name":   func(s *endpoints.Settings) { s.Name = strings.Repeat("x", 101) },
		"control":     func(s *endpoints.Settings) { s.Name = "a\nb" },
		"no URL":      func(s *endpoints.Settings) { s.URL = "" },
		"scheme":      func(s *endpoints.Settings) { s.URL = "file:///etc/sesame" },
		"credentials": func(s *endpoints.Settings) { s.URL = "https://ann:sesame@ci.example/" },
		"fragment":    func(s *endpoints.Settings) { s.URL = "https://ci.example/#sesame" },
		"long URL": func(s *endpoints.Settings) {
			s.URL = auth.Secret("https://ci.example/" + strings.Repeat("x", 2048))
		},
		"format":        func(s *endpoints.Settings) { s.Format = "xml" },
		"action":        func(s *endpoints.Settings) { s.Actions = []notification.Action{"explode"} },
		"exception":     func(s *endpoints.Settings) { s.Actions = []notification.Action{"!push"} },
		"pull":          func(s *endpoints.Settings) { s.Actions = []notification.Action{notification.Pull} },
		"kind":          func(s *endpoints.Settings) { s.Kinds = []notification.Kind{"chart"} },
		"pattern":       func(s *endpoints.Settings) { s.Tags = []string{"[a"} },
		"patterns":      func(s *endpoints.Settings) { s.Tags = make([]string, 51) },
		"authorization": func(s *endpoints.Settings) { s.Authorization = "Bearer sesame\r\nX: y" },
	} {
		t.Run(name, func(t *testing.T) {
			s := endpoints.Settings{Name: "CI", URL: "https://ci.example/"}
			change(&s)
			_, _, err := p.Create(t.Context(), "ann", endpoints.Scope{Namespace: "acme"}, s)
			require.ErrorIs(t, err, endpoints.ErrInvalid)
			require.NotContains(t, err.Error(), "sesame")
		})
	}
	_, _, err = p.Create(t.Context(), "ann", endpoints.Scope{Namespace: "a/b"}, endpoints.Settings{})
	require.ErrorIs(t, err, endpoints.ErrInvalid)
	for _, o := range []endpoints.Options{{MaxTotal: -1}, {Refresh: time.Minute}, {Lease: time.Millisecond},
		{GiveUp: -1}, {ExternalURL: "x"}, {Webhook: webhook.Options{Authorization: "x"}},
		{Webhook: webhook.Options{Timeout: -1}}} {
		_, err := endpoints.New(memory.New(nil), &o)
		require.Error(t, err)
	}
	_, err = endpoints.New(nil, nil)
	require.Error(t, err)
}

// TestLimits: endpoints that are created at the same time do not exceed the limits.
func TestLimits(t *testing.T) {
	d := memory.New(nil)
	p, err := endpoints.New(d, &endpoints.Options{MaxPerScope: 3, MaxPerNamespace: 5, MaxTotal: 6})
	require.NoError(t, err)
	create := func(s endpoints.Scope) error {
		_, _, err := p.Create(context.Background(), "ann", s, endpoints.Settings{Name: "x", URL: "https://x.example/"})
		return err
	}
	var group sync.WaitGroup
	for range 30 {
		group.Go(func() {
			if err := create(endpoints.Scope{Repository: "acme/app"}); err != nil && !errors.Is(err, endpoints.ErrLimit) {
				t.Error(err)
			}
		})
	}
	group.Wait()
	require.LessOrEqual(t, len(keys(t, d, "d/e/")), 3)
	for len(keys(t, d, "d/e/")) < 3 {
		require.NoError(t, create(endpoints.Scope{Repository: "acme/app"}))
	}
	require.ErrorIs(t, create(endpoints.Scope{Repository: "acme/app"}), endpoints.ErrLimit)
	require.NoError(t, create(endpoints.Scope{Repository: "acme/other"}))
	require.NoError(t, create(endpoints.Scope{Namespace: "acme"}))
	require.ErrorIs(t, create(endpoints.Scope{Repository: "acme/third"}), endpoints.ErrLimit)
	require.NoError(t, create(endpoints.Scope{Namespace: "bob"}))
	require.ErrorIs(t, create(endpoints.Scope{}), endpoints.ErrLimit)
	require.Len(t, keys(t, d, "d/e/"), 6)
}

// TestScopes: each scope gets its own events, and what concerns others is left out.
func TestScopes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newReceivers()
		p := start(t, memory.New(nil), n, nil)
		scopes := map[string]string{"all": "registry", "ns": "namespace:acme", "repo": "repository:acme/app",
			"single": "repository:alpine", "own": "namespace:alpine"}
		for host, scope := range scopes {
			p.create(t, scope, host, func(s *endpoints.Settings) { s.Kinds = []notification.Kind{"manifest", "blob"} })
			p.create(t, scope, host+"-any", nil)
		}
		at := time.Now()
		mount := notification.Event{ID: notification.NewID(), Time: at, Action: notification.Mount, Kind: notification.Blob,
			Repository: "acme/app", From: "secret/project"}
		within := mount
		within.ID, within.From = notification.NewID(), "acme/base"
		account := notification.Event{ID: notification.NewID(), Time: at, Action: notification.Account,
			Repository: "acme/app", Account: &notification.AccountChange{Change: "repository.update"}}
		quota := notification.Event{ID: notification.NewID(), Time: at, Action: notification.Quota,
			Limit: &notification.Limit{Prefix: "acme"}}
		gap := notification.Event{ID: notification.NewID(), Time: at, Action: notification.Missing,
			Gap: &notification.Gap{Stream: "s", Events: 7}}
		early := push("acme/app", "v0")
		early.Time = at.Add(-2 * time.Minute)
		app, other, foreign, alpine := push("acme/app", "v1"), push("acme/x/y", "v1"), push("acmeco/app", "v1"),
			push("alpine", "v1")
		p.send(t, early, app, other, foreign, alpine, mount, within, account, quota, gap)
		synctest.Wait()

		require.Equal(t, []string{app.ID, other.ID, foreign.ID, alpine.ID, mount.ID, within.ID, gap.ID}, n.ids("all"))
		require.Equal(t, []string{app.ID, other.ID, foreign.ID, alpine.ID, account.ID, quota.ID, gap.ID}, n.ids("all-any"))
		require.Equal(t, []string{app.ID, other.ID, mount.ID, within.ID, gap.ID}, n.ids("ns"))
		require.Equal(t, []string{app.ID, other.ID, gap.ID}, n.ids("ns-any"))
		require.Equal(t, []string{app.ID, mount.ID, within.ID, gap.ID}, n.ids("repo"))
		require.Equal(t, []string{app.ID, gap.ID}, n.ids("repo-any"))
		require.Equal(t, []string{alpine.ID, gap.ID}, n.ids("single"))
		require.Equal(t, []string{alpine.ID, gap.ID}, n.ids("own"))
		require.Equal(t, "secret/project", n.at("all")[4].From)
		require.Equal(t, int64(7), n.at("all")[6].Gap.Events)
		require.Empty(t, n.at("ns")[2].From)
		require.Equal(t, "acme/base", n.at("ns")[3].From)
		require.Empty(t, n.at("repo")[2].From)
		require.Nil(t, n.at("ns")[4].Gap)
	})
}

// TestPatterns: an endpoint gets the tags that it selects.
func TestPatterns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newReceivers()
		p := start(t, memory.New(nil), n, nil)
		p.create(t, "namespace:acme", "ci", func(s *endpoints.Settings) {
			s.Repositories, s.Tags = []string{"acme/**", "!acme/tmp"}, []string{"v*"}
			s.Actions = []notification.Action{notification.Push}
		})
		both := push("acme/app", "v1")
		both.Tags = []string{"v1", "latest"}
		moved := push("acme/app", "v1")
		moved.Action, moved.Kind = notification.Move, notification.Tag
		p.send(t, both, moved, push("acme/app", "latest"), push("acme/tmp", "v1"))
		synctest.Wait()
		require.Len(t, n.at("ci"), 1)
		require.Equal(t, []string{"v1"}, n.at("ci")[0].Tags)
	})
}

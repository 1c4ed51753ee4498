package sse_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/rules"
	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/notification/sse"
)

// policy has callers with different rights.
const policy = `
rules:
  - {who: {user: root}, repositories: "**", actions: "*"}
  - {who: everyone, repositories: public, actions: pull, tags: "secret-*", effect: deny}
  - {who: everyone, repositories: public, actions: pull}
  - {who: {user: ann}, repositories: "ann/**", actions: [pull, push]}
  - {who: {user: bob}, repositories: "ann/app", actions: pull, tags: "v*"}
`

func parse(t testing.TB, text string) auth.Authorizer {
	t.Helper()
	r, err := rules.Parse([]byte(text))
	require.NoError(t, err)
	return r
}

// tagOnly lets carl pull one tag, and nothing that has no tag.
type tagOnly struct{ auth.Authorizer }

func (a tagOnly) Authorize(ctx context.Context, who auth.Identity, accesses []auth.Access) error {
	if who.Name != "carl" {
		return a.Authorizer.Authorize(ctx, who, accesses)
	}
	for _, access := range accesses {
		if access != (auth.Access{Type: auth.TypeRepository, Name: "ann/app", Action: auth.Pull, Tag: "v1"}) {
			return auth.ErrDenied
		}
	}
	return nil
}

// TestStreamFiltersByRights: each caller gets exactly what it may see.
func TestStreamFiltersByRights(t *testing.T) {
	target := &ocispec.Descriptor{Digest: digest.FromString("x"), Size: 1}
	event := func(repo string, action notification.Action, kind notification.Kind, tags ...string) notification.Event {
		return notification.Event{ID: notification.NewID(), Action: action, Kind: kind, Repository: repo, Target: target,
			Tags: tags, Actor: "ann", Instance: "one", Request: &notification.Request{Method: "PUT"}}
	}
	move := event("ann/app", notification.Move, notification.Tag, "v1")
	move.Previous = digest.FromString("before")
	mount := event("public", notification.Mount, notification.Blob)
	mount.From = "ann/app"
	gap := notification.Event{ID: notification.NewID(), Action: notification.Missing, Instance: "one",
		Gap: &notification.Gap{Stream: "S", Events: 3}}
	events := []notification.Event{
		event("public", notification.Push, notification.Manifest, "v1", "secret-1"),
		event("public", notification.Push, notification.Manifest, "secret-2"),
		event("public", notification.Delete, notification.Tag, "secret-3"),
		mount,
		event("ann/app", notification.Push, notification.Blob),
		event("ann/app", notification.Push, notification.Manifest, "v1", "latest"),
		event("ann/app", notification.Push, notification.Manifest, "latest"),
		move,
		event("ann/app", notification.Delete, notification.Repository),
		event("hidden", notification.Push, notification.Manifest, "v1"),
		{ID: notification.NewID(), Action: "quota", Actor: "root"},
		{ID: notification.NewID(), Action: notification.Account, Actor: "root",
			Account: &notification.AccountChange{Change: "user.disable", Name: "ann"}},
		{ID: notification.NewID(), Action: notification.Account, Actor: "root", Repository: "public",
			Account: &notification.AccountChange{Change: "repository.visibility", Name: "public"}},
		gap,
	}
	type seen struct {
		n      int // of events
		tags   []string
		writer bool // sees Actor and Request
	}
	base := []seen{{0, []string{"v1"}, false}, {1, nil, false}, {3, nil, false}}
	gone := seen{13, nil, false}
	for user, want := range map[string][]seen{
		"":     append(slices.Clip(base), gone),
		"carl": {{5, []string{"v1"}, false}, {7, []string{"v1"}, false}, gone},
		"bob": append(slices.Clip(base), []seen{{4, nil, false}, {5, []string{"v1"}, false}, {6, nil, false},
			{7, []string{"v1"}, false}, {8, nil, false}, gone}...),
		"ann": append(slices.Clip(base), []seen{{4, nil, true}, {5, []string{"v1", "latest"}, true},
			{6, []string{"latest"}, true}, {7, []string{"v1"}, true}, {8, nil, true}, gone}...),
		"root": {{0, []string{"v1", "secret-1"}, true}, {1, []string{"secret-2"}, true}, {2, []string{"secret-3"}, true},
			{3, nil, true}, {4, nil, true}, {5, []string{"v1", "latest"}, true}, {6, []string{"latest"}, true},
			{7, []string{"v1"}, true}, {8, nil, true}, {9, []string{"v1"}, true}, {10, nil, true}, {13, nil, true}},
	} {
		t.Run("user "+user, func(t *testing.T) {
			h, server := newServer(t, &sse.Options{
				Authenticator: users(t, "ann", "bob", "carl", "root"), Authorizer: tagOnly{parse(t, policy)},
			})
			s := open(t, server, "", user, "")
			notify(t, h, events...)
			for _, w := range want {
				m, ok := s.next()
				require.True(t, ok)
				got, sent := m.event(t), events[w.n]
				require.Equal(t, sent.ID, got.ID, "expected event %d", w.n)
				require.Equal(t, w.tags, got.Tags)
				require.Equal(t, sent.Target, got.Target)
				if sent.Repository != "" {
					require.Equal(t, w.writer, got.Actor == "ann" && got.Instance == "one" && got.Request != nil)
					require.Equal(t, !w.writer, got.Actor == "" && got.Instance == "" && got.Request == nil)
				}
				require.Equal(t, w.writer && w.n == 7, got.Previous != "")
				require.Equal(t, w.n == 3 && user != "", got.From != "")
				require.Equal(t, w.n == 13 && user == "root", got.Gap != nil)
			}
		})
	}
}

// TestStreamAsksForCredentials: wrong credentials are refused, and no credentials are if anonymous
// callers see nothing.
func TestStreamAsksForCredentials(t *testing.T) {
	private := parse(t, `rules: [{who: authenticated, repositories: "**", actions: pull}]`)
	_, closed := newServer(t, &sse.Options{Authenticator: users(t, "ann"), Authorizer: private})
	_, public := newServer(t, &sse.Options{Authenticator: users(t, "ann"), Authorizer: parse(t, policy)})
	res, _ := get(t, closed, "", "", "")
	require.Equal(t, http.StatusUnauthorized, res.StatusCode)
	require.Contains(t, res.Header.Get("WWW-Authenticate"), "Basic")
	require.Equal(t, "no-store", res.Header.Get("Cache-Control"))
	res, _ = get(t, public, "", "eve", "")
	require.Equal(t, http.StatusUnauthorized, res.StatusCode)
	open(t, closed, "", "ann", "")
	open(t, public, "", "", "")

	for want, err := range map[int]error{
		http.StatusTooManyRequests:     &auth.LimitError{RetryAfter: 1500 * time.Millisecond},
		http.StatusInternalServerError: errors.New("the directory is down"),
	} {
		_, failing := newServer(t, &sse.Options{Authenticator: auth.AuthenticatorFunc(
			func(*http.Request) (auth.Identity, error) { return auth.Identity{}, err })})
		res, _ = get(t, failing, "", "", "")
		require.Equal(t, want, res.StatusCode)
		if want == http.StatusTooManyRequests {
			require.Equal(t, "2", res.Header.Get("Retry-After"))
		}
	}
}

// scopes records what a challenge asks for.
type scopes struct {
	auth.Authenticator
	asked *[]auth.Access
}

func (s scopes) Challenge(_ *http.Request, accesses []auth.Access) string {
	*s.asked = accesses
	return `Bearer realm="x"`
}

// TestStreamChallengeNamesRepositories: a client that asks for a repository learns the scope that it
// needs.
func TestStreamChallengeNamesRepositories(t *testing.T) {
	var asked []auth.Access
	_, server := newServer(t, &sse.Options{Authenticator: scopes{users(t, "ann"), &asked},
		Authorizer: parse(t, `rules: [{who: authenticated, repositories: "**", actions: pull}]`)})
	res, _ := get(t, server, "repository=a/b&repository=c/**", "", "")
	require.Equal(t, http.StatusUnauthorized, res.StatusCode)
	require.Equal(t, []auth.Access{{Type: "repository", Name: "a/b", Action: auth.Pull}}, asked)
	res, _ = get(t, server, "", "", "")
	require.Equal(t, http.StatusUnauthorized, res.StatusCode)
	require.Equal(t, []auth.Access{{Type: "registry", Name: "catalog", Action: auth.All}}, asked)
}

// TestStreamRightRevoked: a right that is revoked while a stream is open ends soon.
func TestStreamRightRevoked(t *testing.T) {
	var revoked atomic.Bool
	rule := parse(t, policy)
	h, server := newServer(t, &sse.Options{Authenticator: users(t, "ann"), Recheck: 50 * time.Millisecond,
		Authorizer: auth.AuthorizerFunc(func(ctx context.Context, who auth.Identity, accesses []auth.Access) error {
			if revoked.Load() && accesses[0].Name == "ann/app" {
				return auth.ErrDenied
			}
			return rule.Authorize(ctx, who, accesses)
		})})
	s := open(t, server, "", "ann", "")
	sent := notify(t, h, push("ann/app", 2)...)
	require.Equal(t, ids(sent), ids(s.take(2)))
	revoked.Store(true)
	require.Eventually(t, func() bool { // a decision from before counts for a while
		sent := append(push("ann/app", 1), push("public", 1)...)
		notify(t, h, sent...)
		got := s.take(1)
		if got[0].ID == sent[1].ID {
			return true
		}
		require.Equal(t, sent[1].ID, s.take(1)[0].ID)
		return false
	}, 10*time.Second, 10*time.Millisecond)
}

// TestStreamCredentialsRevoked: a stream ends soon after its credentials, or those who decide, are no
// longer there. The client resumes at the event that it has not got.
func TestStreamCredentialsRevoked(t *testing.T) {
	broken := errors.New("the directory is down")
	for name, failure := range map[string]error{"wrong": auth.ErrCredentials, "unknown": broken} {
		t.Run(name, func(t *testing.T) {
			var revoked atomic.Bool
			known := users(t, "ann")
			h, server := newServer(t, &sse.Options{Recheck: time.Millisecond, Heartbeat: 10 * time.Millisecond,
				Authenticator: auth.AuthenticatorFunc(func(r *http.Request) (auth.Identity, error) {
					if revoked.Load() {
						return auth.Identity{}, failure
					}
					return known.Authenticate(r)
				})})
			s := open(t, server, "", "ann", "")
			sent := notify(t, h, push("a", 1)...)
			require.Equal(t, ids(sent), ids(s.take(1)))
			revoked.Store(true)
			s.ends()
		})
	}
	t.Run("authorizer", func(t *testing.T) {
		var down atomic.Bool
		h, server := newServer(t, &sse.Options{Recheck: time.Millisecond,
			Authorizer: auth.AuthorizerFunc(func(context.Context, auth.Identity, []auth.Access) error {
				if down.Load() {
					return broken
				}
				return nil
			})})
		s := open(t, server, "", "", "")
		notify(t, h, push("a", 1)...)
		s.take(1)
		down.Store(true)
		var sent []notification.Event
		for ok := true; ok; { // a decision from before counts for a while
			sent = notify(t, h, push("a", 1)...)
			_, ok = s.next()
		}
		down.Store(false)
		s = open(t, server, "", "", s.last)
		require.Equal(t, ids(sent), ids(s.take(1)))
	})
}

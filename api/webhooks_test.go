package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/api"
	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/notification/endpoints"
	"github.com/registrykit/registry/notification/webhook"
)

// withWebhooks adds webhooks to a site. Receivers are on loopback.
func withWebhooks(t *testing.T, hooks **endpoints.Endpoints) func(*site, *api.Options) {
	t.Helper()
	return func(s *site, o *api.Options) {
		var err error
		*hooks, err = endpoints.New(s.driver, &endpoints.Options{Owner: accounts.OwnerOf(s.people),
			Webhook: webhook.Options{AllowPrivate: true, Timeout: 5 * time.Second}})
		require.NoError(t, err)
		o.Webhooks = *hooks
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error)
		go func() { ended <- (*hooks).Run(ctx) }()
		t.Cleanup(func() {
			cancel()
			<-ended
		})
	}
}

// inbox is a receiver of events in the format json.
type inbox struct {
	*httptest.Server
	mu     sync.Mutex
	status int
	events []notification.Event
}

func newInbox(t *testing.T) *inbox {
	t.Helper()
	i := &inbox{status: 200}
	i.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var m struct{ Events []notification.Event }
		err := json.NewDecoder(r.Body).Decode(&m)
		i.mu.Lock()
		defer i.mu.Unlock()
		if err != nil || i.status != 200 {
			http.Error(w, "not now", i.status)
			return
		}
		i.events = append(i.events, m.Events...)
	}))
	t.Cleanup(i.Close)
	return i
}

func (i *inbox) answer(status int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.status = status
}

func (i *inbox) got() []notification.Event {
	i.mu.Lock()
	defer i.mu.Unlock()
	return append([]notification.Event{}, i.events...)
}

// TestWebhooks: a user creates, changes, tests, replays and removes a webhook.
func TestWebhooks(t *testing.T) {
	var hooks *endpoints.Endpoints
	s, in := newSite(t, withWebhooks(t, &hooks)), newInbox(t)
	require.Equal(t, s.api.Routes(), s.check.Operations())
	scope := "/v1/webhooks?scope=" + url.QueryEscape("repository:acme/app")
	var made types.WebhookWithSecret
	a := s.do(t, "ann", "POST", scope, types.NewWebhook{Name: "CI", URL: in.URL + "/hook?key=sesame", Format: "json",
		Actions: []string{"push", "delete"}, Tags: []string{"v*"}, Authorization: "Bearer sesame-token"}).
		want(201).into(&made)
	require.NoError(t, webhook.CheckSecret(auth.Secret(made.Secret)))
	require.Equal(t, "repository:acme/app", made.Webhook.Scope)
	require.Equal(t, "ann", made.Webhook.CreatedBy)
	require.True(t, made.Webhook.Authorized)
	one := "/v1/webhooks/" + made.Webhook.ID
	require.Equal(t, "/api"+one, a.header.Get("Location"))
	require.NotContains(t, string(a.body), "sesame-token")

	var read types.Webhook
	b := s.do(t, "ann", "GET", one, nil).want(200).into(&read)
	require.Equal(t, made.Webhook, read)
	require.Equal(t, a.header.Get("ETag"), b.header.Get("ETag"))
	require.NotContains(t, string(b.body), made.Secret)
	s.do(t, "ann", "PATCH", one, `{"name":"build"}`).fails(428, "PRECONDITION_REQUIRED")
	s.do(t, "ann", "PATCH", one, `{"name":"build"}`, `If-Match: "x"`).fails(412, "PRECONDITION_FAILED")
	s.do(t, "ann", "PATCH", one, `{}`, b.ifMatch()).fails(400, "INVALID")
	s.do(t, "ann", "PATCH", one, `{"nam":"build"}`, b.ifMatch()).fails(400, "INVALID")
	s.do(t, "ann", "PATCH", one, `{"url":"ftp://x/"}`, b.ifMatch()).fails(400, "INVALID")
	b = s.do(t, "ann", "PATCH", one, `{"name":"build","tags":[]}`, b.ifMatch()).want(200).into(&read)
	require.Equal(t, "build", read.Name)
	require.Empty(t, read.Tags)
	require.Equal(t, b.header.Get("ETag"), s.do(t, "ann", "GET", one, nil).header.Get("ETag"))

	var d types.WebhookDelivery
	s.do(t, "ann", "POST", one+"/test", nil).want(200).into(&d)
	require.Equal(t, "delivered", d.State)
	require.True(t, d.Test)
	require.Equal(t, "acme/app", in.got()[0].Repository)
	var event notification.Event
	require.NoError(t, json.Unmarshal(d.Event, &event))
	require.Equal(t, "ann", event.Actor)

	e := pushed("acme/app", "v1")
	require.NoError(t, hooks.Notify(t.Context(), []notification.Event{e}))
	require.Eventually(t, func() bool { return len(in.got()) == 2 }, 10*time.Second, 5*time.Millisecond)
	delivery := one + "/deliveries/" + e.ID
	require.Eventually(t, func() bool { return s.do(t, "ann", "GET", delivery, nil).status == 200 }, 10*time.Second,
		5*time.Millisecond)
	in.answer(500)
	s.do(t, "ann", "POST", delivery+"/replay", nil).want(200).into(&d)
	require.Equal(t, "dead", d.State)
	require.Equal(t, 500, d.Status)
	require.Equal(t, "not now", d.Response)
	require.Equal(t, 2, d.Attempts)
	var list types.WebhookDeliveryList
	s.do(t, "ann", "GET", one+"/deliveries?state=dead", nil).want(200).into(&list)
	require.Len(t, list.Items, 1)
	require.Equal(t, e.ID, list.Items[0].ID)
	require.Empty(t, list.Items[0].Event)
	s.do(t, "ann", "GET", one+"/deliveries?state=alive", nil).fails(400, "INVALID")
	page := s.do(t, "ann", "GET", one+"/deliveries?limit=1", nil).want(200).into(&list)
	require.Equal(t, e.ID, list.Items[0].ID)
	s.do(t, "ann", "GET", page.next(), nil).want(200).into(&list)
	require.Len(t, list.Items, 1)
	require.True(t, list.Items[0].Test)
	in.answer(200)
	s.do(t, "ann", "POST", delivery+"/replay", nil).want(200).into(&d)
	require.Equal(t, "delivered", d.State)
	s.do(t, "ann", "POST", one+"/deliveries/"+notification.NewID()+"/replay", nil).fails(404, "NOT_FOUND")
	s.do(t, "ann", "GET", one+"/deliveries/x", nil).fails(404, "NOT_FOUND")

	var rotated types.WebhookWithSecret
	s.do(t, "ann", "POST", one+"/rotate", `{"keepSeconds":60}`).want(200).into(&rotated)
	require.NotEqual(t, made.Secret, rotated.Secret)
	require.NotZero(t, rotated.Webhook.PreviousSecretUntil)
	s.do(t, "ann", "POST", one+"/rotate", `{"keepSeconds":-1}`).fails(400, "INVALID")
	s.do(t, "ann", "POST", one+"/rotate", `{}`).want(200)
	b = s.do(t, "ann", "GET", one, nil).want(200)
	b = s.do(t, "ann", "PATCH", one, `{"enabled":false}`, b.ifMatch()).want(200).into(&read)
	require.Equal(t, "operator", read.Disabled.Cause)
	require.Equal(t, "ann", read.Disabled.By)
	b = s.do(t, "ann", "PATCH", one, `{"enabled":true,"authorization":""}`, b.ifMatch()).want(200)
	s.do(t, "ann", "DELETE", one, nil).fails(428, "PRECONDITION_REQUIRED")
	s.do(t, "ann", "DELETE", one, nil, b.ifMatch()).want(204)
	s.do(t, "ann", "GET", one, nil).fails(404, "NOT_FOUND")
	s.do(t, "ann", "GET", one+"/deliveries", nil).fails(404, "NOT_FOUND")
}

func pushed(repository, tag string) notification.Event {
	return notification.Event{ID: notification.NewID(), Time: time.Now(), Action: notification.Push,
		Kind: notification.Manifest, Repository: repository, Tags: []string{tag}}
}

// TestWebhookScopes: who may manage a scope is decided before the webhook is looked up.
func TestWebhookScopes(t *testing.T) {
	var hooks *endpoints.Endpoints
	s := newSite(t, withWebhooks(t, &hooks))
	body := types.NewWebhook{Name: "CI", URL: "https://ci.example/"}
	for scope, allowed := range map[string][]string{
		"registry":            {"boss"},
		"namespace:acme":      {"boss", "ann"},
		"namespace:bob":       {"boss", "bob"},
		"repository:acme/app": {"boss", "ann"},
		"repository:bob/app":  {"boss", "bob"},
		"repository:alpine":   {"boss"},
	} {
		path := "/v1/webhooks?scope=" + url.QueryEscape(scope)
		var made types.WebhookWithSecret
		s.do(t, "boss", "POST", path, body).want(201).into(&made)
		missing := made.Webhook.ID[:len(made.Webhook.ID)-16] + strings.Repeat("a", 16)
		for _, user := range []string{"boss", "ann", "bob", ""} {
			may := false
			for _, u := range allowed {
				may = may || u == user
			}
			denied, code := 403, "DENIED"
			if user == "" {
				denied, code = 401, "UNAUTHORIZED"
			}
			for _, id := range []string{made.Webhook.ID, missing} {
				one := "/v1/webhooks/" + id
				for _, r := range []string{"GET " + one, "PATCH " + one, "DELETE " + one, "POST " + one + "/rotate",
					"POST " + one + "/test", "GET " + one + "/deliveries", "GET " + one + "/deliveries/x",
					"POST " + one + "/deliveries/x/replay", "GET " + path, "POST " + path} {
					if may {
						continue
					}
					method, at, _ := strings.Cut(r, " ")
					s.do(t, user, method, at, nil).fails(denied, code)
				}
				if may && id == missing {
					s.do(t, user, "GET", one, nil).fails(404, "NOT_FOUND")
				}
			}
			if may {
				var list types.WebhookList
				s.do(t, user, "GET", path, nil).want(200).into(&list)
				require.Equal(t, []types.Webhook{made.Webhook}, list.Items)
			}
		}
	}
	s.do(t, "ann", "GET", "/v1/webhooks", nil).fails(403, "DENIED")
	seen, path := 0, "/v1/webhooks?limit=2"
	for path != "" {
		var list types.WebhookList
		path = s.do(t, "boss", "GET", path, nil).want(200).into(&list).next()
		seen += len(list.Items)
		require.LessOrEqual(t, len(list.Items), 2)
	}
	require.Equal(t, 6, seen)
	for _, bad := range []string{"", "namespace:", "namespace:a/b", "repository:A", "repository:..", "x"} {
		s.do(t, "boss", "GET", "/v1/webhooks?scope="+url.QueryEscape(bad), nil).fails(400, "INVALID")
		s.do(t, "boss", "POST", "/v1/webhooks?scope="+url.QueryEscape(bad), body).fails(400, "INVALID")
	}
	s.do(t, "boss", "POST", "/v1/webhooks", body).fails(400, "INVALID")
	s.do(t, "boss", "GET", "/v1/webhooks/x", nil).fails(400, "INVALID")
	s.do(t, "boss", "GET", "/v1/webhooks?scope=registry&scope=namespace%3Aacme", nil).fails(400, "INVALID")
}

// TestWebhooksOfNames: webhooks stay when their repository is deleted and when their creator is removed or the account
// of their namespace renamed. They end when the namespace is released.
func TestWebhooksOfNames(t *testing.T) {
	var hooks *endpoints.Endpoints
	s, in := newSite(t, withWebhooks(t, &hooks)), newInbox(t)
	var made types.WebhookWithSecret
	s.do(t, "bob", "POST", "/v1/webhooks?scope=repository%3Abob%2Fapp",
		types.NewWebhook{Name: "CI", URL: in.URL, Format: "json"}).want(201).into(&made)
	one := "/v1/webhooks/" + made.Webhook.ID
	announce := func(e notification.Event, want int) {
		t.Helper()
		require.NoError(t, hooks.Notify(t.Context(), []notification.Event{e}))
		require.Eventually(t, func() bool { return len(in.got()) == want }, 10*time.Second, 5*time.Millisecond)
	}
	announce(pushed("bob/app", "v1"), 1)
	gone := pushed("bob/app", "")
	gone.Action, gone.Kind, gone.Tags = notification.Delete, notification.Repository, nil
	announce(gone, 2)
	announce(pushed("bob/app", "v2"), 3)

	bob, err := s.people.Lookup(t.Context(), "bob")
	require.NoError(t, err)
	_, err = s.people.Rename(t.Context(), accounts.Actor{}, bob.ID, "robert")
	require.NoError(t, err)
	announce(pushed("bob/app", "v3"), 4) // the repository keeps its name
	s.do(t, "robert", "GET", one, nil).want(200)
	_, err = s.people.Release(t.Context(), accounts.Actor{}, bob.ID, "bob")
	require.NoError(t, err)
	require.NoError(t, hooks.Notify(t.Context(), []notification.Event{pushed("bob/app", "v4")}))
	s.do(t, "boss", "GET", one, nil).fails(404, "NOT_FOUND")

	// The creator loses the rights, and the webhook goes on.
	s.do(t, "ann", "POST", "/v1/webhooks?scope=namespace%3Aacme",
		types.NewWebhook{Name: "CI", URL: in.URL, Format: "json"}).want(201).into(&made)
	acme, err := s.people.Lookup(t.Context(), "acme")
	require.NoError(t, err)
	ann, err := s.people.Lookup(t.Context(), "ann")
	require.NoError(t, err)
	robert, err := s.people.Lookup(t.Context(), "robert")
	require.NoError(t, err)
	require.NoError(t, s.people.AddOwner(t.Context(), accounts.Actor{}, acme.ID, robert.ID))
	require.NoError(t, s.people.RemoveOwner(t.Context(), accounts.Actor{}, acme.ID, ann.ID))
	s.do(t, "ann", "GET", "/v1/webhooks/"+made.Webhook.ID, nil).fails(403, "DENIED")
	s.do(t, "robert", "GET", "/v1/webhooks/"+made.Webhook.ID, nil).want(200)
	announce(pushed("acme/app", "v1"), 5)
	require.Equal(t, "acme/app", in.got()[4].Repository)
}

// TestWebhookOfPush: a push over HTTP reaches a webhook.
func TestWebhookOfPush(t *testing.T) {
	var hooks *endpoints.Endpoints
	s, in := newSite(t, withWebhooks(t, &hooks)), newInbox(t)
	s.do(t, "ann", "POST", "/v1/webhooks?scope=namespace%3Aacme",
		types.NewWebhook{Name: "CI", URL: in.URL, Format: "json"}).want(201)
	reg, err := registry.New(s.store, &registry.Options{Sink: hooks})
	require.NoError(t, err)
	content := `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`
	for _, repository := range []string{"acme/app", "bob/app"} {
		r := httptest.NewRequest("PUT", "/v2/"+repository+"/manifests/v1", strings.NewReader(content))
		r.Header.Set("Content-Type", "application/vnd.oci.image.index.v1+json")
		w := httptest.NewRecorder()
		reg.ServeHTTP(w, r)
		require.Equal(t, 201, w.Code, w.Body)
	}
	require.Eventually(t, func() bool { return len(in.got()) == 1 }, 10*time.Second, 5*time.Millisecond)
	require.Equal(t, "acme/app", in.got()[0].Repository)
	require.Equal(t, digest.FromString(content), in.got()[0].Target.Digest)
	require.Equal(t, fmt.Sprint([]string{"v1"}), fmt.Sprint(in.got()[0].Tags))
}

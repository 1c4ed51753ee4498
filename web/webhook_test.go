package web_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/api"
	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/notification/endpoints"
	"github.com/registrykit/registry/notification/webhook"
	"github.com/registrykit/registry/web"
)

// receiver is a receiver of webhooks. It answers with status, and with a hostile text.
type receiver struct {
	*httptest.Server
	status atomic.Int64
	got    atomic.Int64
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{}
	r.status.Store(http.StatusOK)
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		r.got.Add(1)
		w.WriteHeader(int(r.status.Load()))
		_, _ = io.WriteString(w, hostile[0])
	}))
	t.Cleanup(r.Close)
	return r
}

// newWebhookSite is newSite with webhooks, whose receivers are on loopback.
func newWebhookSite(t *testing.T) *site {
	t.Helper()
	return newSite(t, func(s *site, manage *api.Options, _ *web.Options) {
		hooks, err := endpoints.New(s.driver, &endpoints.Options{Owner: accounts.OwnerOf(s.people), MaxPerScope: 3,
			Webhook: webhook.Options{AllowPrivate: true, Timeout: 5 * time.Second}})
		require.NoError(t, err)
		manage.Webhooks = hooks
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error)
		go func() { ended <- hooks.Run(ctx) }()
		t.Cleanup(func() {
			cancel()
			<-ended
		})
	})
}

// createWebhook creates a webhook by the page, and returns its page.
func (s *site) createWebhook(t *testing.T, as, scope, name, target string) (path string, made *response) {
	t.Helper()
	form := s.get(t, as, "/webhooks/-/new?scope="+scope).shows(t, http.StatusOK, "New webhook")
	made = s.submit(t, as, form, "main form", "name", name, "url", target)
	made.shows(t, http.StatusOK, "Webhook created")
	link, _ := made.doc.Find(".crumbs a").Attr("href")
	return strings.TrimPrefix(link, "/ui"), made
}

// TestWebhooks: owners create, test, change and delete webhooks of their scopes.
func TestWebhooks(t *testing.T) {
	s, to := newWebhookSite(t), newReceiver(t)
	s.get(t, "", "/webhooks").shows(t, http.StatusUnauthorized)
	s.get(t, "bob", "/webhooks").shows(t, http.StatusOK, "all repositories of bob").lacks(t, "acme")
	s.get(t, "bob", "/users/bob").shows(t, http.StatusOK, "Webhooks")
	s.get(t, "ann", "/organisations/acme").shows(t, http.StatusOK, "Webhooks")
	s.get(t, "ann", "/webhooks").shows(t, http.StatusOK, "all repositories of ann", "all repositories of acme")
	s.get(t, "boss", "/webhooks").shows(t, http.StatusOK, "There are no webhooks yet.", "Create a webhook")
	for _, scope := range []string{"namespace:acme", "repository:acme/app", "registry"} {
		s.get(t, "bob", "/webhooks?scope="+scope).shows(t, http.StatusNotFound)
		s.get(t, "bob", "/webhooks/-/new?scope="+scope).shows(t, http.StatusNotFound)
		s.post(t, "bob", "/webhooks/-/new", "scope", scope, "name", "mine", "url", to.URL).shows(t, http.StatusForbidden)
	}
	form := s.get(t, "ann", "/webhooks/-/new?scope=namespace:acme").shows(t, http.StatusOK, "all repositories of acme")
	form.lacks(t, "changes of accounts")
	wrong := map[string]string{"url": "ftp://example.com", "repositories": "a\n[b", "tags": "[", "name": ""}
	for field, value := range wrong {
		bad := s.submit(t, "ann", form, "main form", "name", "ci", "url", to.URL, "authorization", "Bearer hidden",
			field, value)
		bad.wrong(t, http.StatusBadRequest, field, "")
		bad.lacks(t, "Bearer hidden")
	}
	s.submit(t, "ann", form, "main form", "name", "ci", "url", to.URL, "actions", "pull").
		shows(t, http.StatusBadRequest, "does not store the events of pulls")

	path, made := s.createWebhook(t, "ann", "namespace:acme", hostile[0], to.URL+"/hook?token=x")
	secret := made.doc.Find(".pull code").First().Text()
	require.Regexp(t, "^whsec_", secret)
	require.NotContains(t, path, secret)
	require.Equal(t, "no-store", made.Header.Get("Cache-Control"))
	s.get(t, "ann", "/webhooks?scope=namespace:acme").shows(t, http.StatusOK, hostile[0]).lacks(t, "token=x", secret)
	s.get(t, "boss", "/webhooks").shows(t, http.StatusOK, hostile[0], "all repositories of acme")
	hook := s.get(t, "ann", path).shows(t, http.StatusOK, "Nothing was sent yet.", "all but pulls").lacks(t, secret)
	s.get(t, "bob", path).shows(t, http.StatusNotFound)
	s.get(t, "bob", path+"/settings").shows(t, http.StatusNotFound)

	settings := s.get(t, "ann", path+"/settings").shows(t, http.StatusOK, "Change the webhook")
	changed := s.submit(t, "ann", settings, "main form", "name", "build", "actions", "push", "authorization", "Bearer abc")
	s.follow(t, "ann", changed).shows(t, http.StatusOK, "The webhook was changed.", "build", "is sent").lacks(t, "abc")
	s.submit(t, "ann", settings, "main form", "name", "late").shows(t, http.StatusPreconditionFailed)
	settings = s.get(t, "ann", path+"/settings").lacks(t, "abc")
	require.Equal(t, 1, settings.doc.Find(`[name="actions"][value="push"][checked]`).Length())
	s.submit(t, "ann", settings, "main form", "url", "https://other.example/").
		wrong(t, http.StatusBadRequest, "authorization", "Type the authorization again")
	s.submit(t, "ann", hook, `form[action$="/disable"]`).shows(t, http.StatusPreconditionFailed)
	disabled := s.follow(t, "ann", s.submit(t, "ann", s.get(t, "ann", path), `form[action$="/disable"]`))
	disabled.shows(t, http.StatusOK, "The webhook was disabled.", "Enable")
	s.follow(t, "ann", s.submit(t, "ann", disabled, `form[action$="/enable"]`)).shows(t, http.StatusOK, "was enabled")

	rotate := s.get(t, "ann", path+"/rotate").shows(t, http.StatusOK, "Make a new secret")
	next := s.submit(t, "ann", rotate, "main form", "keep", "3600").shows(t, http.StatusOK, "New secret")
	require.NotEqual(t, secret, next.doc.Find(".pull code").First().Text())
	s.post(t, "ann", path+"/rotate", "keep", "x").shows(t, http.StatusBadRequest)
	remove := s.get(t, "ann", path+"/delete").shows(t, http.StatusOK, "Delete the webhook build")
	s.follow(t, "ann", s.submit(t, "ann", remove, "main form")).shows(t, http.StatusOK, "The webhook was deleted.")
	s.get(t, "ann", path).shows(t, http.StatusNotFound)
}

// TestDeliveries: a test shows what the receiver answers, and an event can be sent again.
func TestDeliveries(t *testing.T) {
	s, to := newWebhookSite(t), newReceiver(t)
	path, _ := s.createWebhook(t, "ann", "repository:acme/app", "ci", to.URL)
	to.status.Store(http.StatusTeapot)
	tested := s.submit(t, "ann", s.get(t, "ann", path), `form[action$="/test"]`)
	failed := s.follow(t, "ann", tested).shows(t, http.StatusOK, "The test event was sent.", "given up", "418", hostile[0])
	s.get(t, "ann", path).shows(t, http.StatusOK, "given up", "418")
	to.status.Store(http.StatusOK)
	s.follow(t, "ann", s.submit(t, "ann", failed, "#replay")).shows(t, http.StatusOK, "was sent again", "delivered", "200")
	s.get(t, "ann", path+"?state=dead").shows(t, http.StatusOK, "No delivery was given up.")
	s.get(t, "bob", strings.TrimPrefix(failed.Request.URL.Path, "/ui")).shows(t, http.StatusNotFound)
	s.get(t, "ann", path+"/deliveries/none").shows(t, http.StatusNotFound)
	require.EqualValues(t, 2, to.got.Load())
}

// TestManyWebhooks: a scope has a maximum of webhooks.
func TestManyWebhooks(t *testing.T) {
	s := newWebhookSite(t)
	for _, name := range []string{"a", "b", "c"} {
		s.createWebhook(t, "bob", "namespace:bob", name, "https://ci.example/")
	}
	form := s.get(t, "bob", "/webhooks/-/new?scope=namespace:bob")
	s.submit(t, "bob", form, "main form", "name", "d", "url", "https://ci.example/").
		shows(t, http.StatusConflict, "At most 3 webhooks are possible.")
}

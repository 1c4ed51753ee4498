package hub

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/notification/webhook"
)

// receiver receives webhooks, and verifies their signatures.
type receiver struct {
	*httptest.Server
	mu       sync.Mutex
	verifier *webhook.Verifier
	events   []string
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.verifier == nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		body, err := r.verifier.Read(req)
		if err != nil {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		r.events = append(r.events, string(body))
	}))
	t.Cleanup(r.Close)
	return r
}

// has reports whether an event with a text has arrived.
func (r *receiver) has(text string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.events {
		if strings.Contains(e, text) {
			return true
		}
	}
	return false
}

// last returns the last event and the number of all.
func (r *receiver) last() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.events) == 0 {
		return "none"
	}
	return fmt.Sprintf("%s of %d", r.events[len(r.events)-1], len(r.events))
}

// webhook makes a webhook for the repository, which gets a signed event of a push, although a replica is killed.
func (w *walker) webhook(t *testing.T) {
	var made struct {
		Webhook struct{ ID string }
		Secret  string
	}
	w.want(t, 201, w.bob, "POST", "/api/v1/webhooks?scope="+url.QueryEscape("repository:bob/app"),
		fmt.Sprintf(`{"name":"deploy","url":%q,"actions":["push"]}`, w.receiver.URL)).into(t, &made)
	verifier, err := webhook.NewVerifier([]auth.Secret{auth.Secret(made.Secret)}, nil)
	require.NoError(t, err)
	w.receiver.mu.Lock()
	w.receiver.verifier = verifier
	w.receiver.mu.Unlock()
	w.secrets = append(w.secrets, made.Secret)
	w.want(t, 200, w.bob, "POST", "/api/v1/webhooks/"+made.Webhook.ID+"/test", "")
	time.Sleep(within) // all replicas know the webhook
	w.disturb(t, func() { w.push(t, "bob/app") })
	acknowledged := w.pushTags(t)
	eventually(t, time.Minute, func() error {
		for _, tag := range append(acknowledged, "latest") {
			if !w.receiver.has(fmt.Sprintf(`"tag":%q`, tag)) {
				return missing("no event of the tag %s has arrived; the last: %s", tag, w.receiver.last())
			}
		}
		return nil
	})
	eventually(t, 30*time.Second, func() error {
		var list struct {
			Items []struct{ State, Repository string }
		}
		w.want(t, 200, w.bob, "GET", "/api/v1/webhooks/"+made.Webhook.ID+"/deliveries", "").into(t, &list)
		for _, d := range list.Items {
			if d.State == "delivered" && d.Repository == "bob/app" {
				return nil
			}
		}
		return missing("the delivery is not listed: %v", list)
	})
}

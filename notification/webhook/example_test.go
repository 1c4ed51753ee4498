package webhook_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/notification/format"
	"github.com/registrykit/registry/notification/webhook"
)

// A sink that signs requests. In a program, an outbox or a queue is before it.
func ExampleNew() {
	secret := webhook.NewSecret()
	receiver := httptest.NewServer(newReceiverOf(secret))
	defer receiver.Close()

	sink, err := webhook.New(receiver.URL+"/hook", &webhook.Options{
		Format:       format.JSON(),
		Secrets:      []auth.Secret{secret},
		AllowPrivate: true, // the receiver of this example is on loopback
		Observe: func(a webhook.Attempt) {
			fmt.Println("attempt:", a.Status, len(a.Events), "event")
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	event := notification.Event{
		ID: notification.NewID(), Action: notification.Push, Kind: notification.Manifest, Repository: "ann/app",
		Tags: []string{"v1"},
	}
	for range 2 { // the second time, as if the response had been lost
		if err := sink.Notify(context.Background(), []notification.Event{event}); err != nil {
			fmt.Println(err)
		}
	}
	// Output:
	// received: push ann/app [v1]
	// attempt: 200 1 event
	// received before
	// attempt: 200 1 event
}

// newReceiverOf returns a receiver: it verifies the signature, and drops duplicates by the ID.
func newReceiverOf(secret auth.Secret) http.Handler {
	verifier, err := webhook.NewVerifier([]auth.Secret{secret}, nil)
	if err != nil {
		panic(err)
	}
	seen := make(map[string]bool) // a real receiver keeps it in its database
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := verifier.Read(r)
		if err != nil {
			http.Error(w, "not accepted", http.StatusUnauthorized)
			return
		}
		var got struct{ Events []notification.Event }
		if err := json.Unmarshal(body, &got); err != nil {
			http.Error(w, "not JSON", http.StatusBadRequest)
			return
		}
		for _, e := range got.Events {
			if seen[e.ID] {
				fmt.Println("received before")
				continue
			}
			seen[e.ID] = true
			fmt.Println("received:", e.Action, e.Repository, e.Tags)
		}
	})
}

// A receiver that knows the public key only: it cannot sign itself. The second secret is for the
// time in which the sender changes its key.
func ExampleVerifier() {
	private, public, err := webhook.NewKeyPair()
	if err != nil {
		fmt.Println(err)
		return
	}
	verifier, err := webhook.NewVerifier([]auth.Secret{auth.Secret(public), webhook.NewSecret()}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := verifier.Read(r)
		switch {
		case err == nil:
			fmt.Println("accepted")
		case errors.Is(err, webhook.ErrSignature), errors.Is(err, webhook.ErrTimestamp):
			fmt.Println("refused:", err)
			w.WriteHeader(http.StatusUnauthorized)
		default:
			w.WriteHeader(http.StatusBadRequest)
		}
	}))
	defer receiver.Close()
	for _, secrets := range [][]auth.Secret{{private}, nil} {
		sink, err := webhook.New(receiver.URL, &webhook.Options{Secrets: secrets, AllowPrivate: true})
		if err != nil {
			fmt.Println(err)
			return
		}
		_ = sink.Notify(context.Background(), []notification.Event{{
			ID: notification.NewID(), Action: notification.Delete, Kind: notification.Repository, Repository: "ann/app",
		}})
	}
	// Output:
	// accepted
	// refused: webhook: no valid signature
}

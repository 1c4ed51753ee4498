package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/notification/webhook"
)

// receiver receives webhooks in the format JSON.
type receiver struct {
	url    string
	server *http.Server
	verify *webhook.Verifier
	out    io.Writer

	up      atomic.Bool // false: the receiver answers 503
	refusal atomic.Bool // it has answered 503

	mu   sync.Mutex
	seen map[string]notification.Event // by ID
}

// startReceiver starts a receiver that is down at first. It prints what it receives.
func startReceiver(secret auth.Secret, out io.Writer) (*receiver, error) {
	verify, err := webhook.NewVerifier([]auth.Secret{secret}, nil)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &receiver{url: "http://" + listener.Addr().String() + "/events", verify: verify, out: out,
		seen: map[string]notification.Event{}}
	r.server = newServer(r)
	go func() { _ = r.server.Serve(listener) }()
	return r, nil
}

// ServeHTTP handles one request. It answers 2xx only after the events are handled: from then on,
// the sender does not send them again.
func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if !r.up.Load() {
		r.refusal.Store(true)
		http.Error(w, "the receiver is down", http.StatusServiceUnavailable)
		return
	}
	body, err := r.verify.Read(req)
	if err != nil {
		http.Error(w, err.Error(), http.StatusUnauthorized)
		return
	}
	var message struct {
		Events []notification.Event `json:"events"`
	}
	if err := json.Unmarshal(body, &message); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range message.Events {
		if _, twice := r.seen[e.ID]; twice {
			continue // an earlier answer was lost
		}
		r.seen[e.ID] = e
		fmt.Fprintln(r.out, "  received, with a valid signature:", describe(e))
	}
}

// refused waits until the receiver has refused a request.
func (r *receiver) refused(ctx context.Context) error { return until(ctx, r.refusal.Load) }

// wait waits until the receiver has an event about a kind of content.
func (r *receiver) wait(ctx context.Context, kind notification.Kind) error {
	return until(ctx, func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, e := range r.seen {
			if e.Kind == kind {
				return true
			}
		}
		return false
	})
}

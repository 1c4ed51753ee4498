package sse_test

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/registrykit/registry/auth/rules"
	"github.com/registrykit/registry/auth/static"
	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/notification/outbox"
	"github.com/registrykit/registry/notification/sse"
	"github.com/registrykit/registry/storage/memory"
)

// The Handler is a Sink of the registry and has a path of its own. The caller may pull from the
// repositories below apps only, and gets their events.
func ExampleNew() {
	users, err := static.New(map[string]static.User{"ann": {Secret: "0123456789"}}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	policy, err := rules.Parse([]byte(`rules: [{who: {user: ann}, repositories: "apps/**", actions: pull}]`))
	if err != nil {
		fmt.Println(err)
		return
	}
	events, err := sse.New(&sse.Options{Authenticator: users, Authorizer: policy}) // the same as for the registry
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := http.NewServeMux()
	mux.Handle("/events", events)
	server := httptest.NewServer(mux)
	server.Config.RegisterOnShutdown(events.Close)
	defer server.Close()
	defer events.Close()

	req, err := http.NewRequest(http.MethodGet, server.URL+"/events?action=push", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	req.SetBasicAuth("ann", "0123456789")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer res.Body.Close()

	// registry.New(backend, &registry.Options{Sink: events}) calls Notify for each operation.
	err = events.Notify(context.Background(), []notification.Event{
		{ID: "1", Action: notification.Push, Repository: "other/app", Tags: []string{"v1"}},
		{ID: "2", Action: notification.Push, Repository: "apps/web", Tags: []string{"v2"}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for lines := bufio.NewScanner(res.Body); lines.Scan(); {
		fmt.Println(lines.Text())
		if strings.HasPrefix(lines.Text(), "data:") {
			return
		}
	}
	// Output:
	// retry: 3000
	//
	// id: 2
	// data: {"id":"2","time":"0001-01-01T00:00:00Z","action":"push","repository":"apps/web","tags":["v2"]}
}

// On several replicas, the events of all of them come from the outbox. It is then the Sink of the
// registry.
func ExampleOptions_source() {
	store := memory.New(nil) // the storage that the replicas share
	log, err := outbox.New(store, nil, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	events, err := sse.New(&sse.Options{Source: log})
	if err != nil {
		fmt.Println(err)
		return
	}
	http.NewServeMux().Handle("/events", events)
}

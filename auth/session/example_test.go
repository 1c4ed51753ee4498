package session_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/auth/session"
	"github.com/registrykit/registry/storage/memory"
)

// A host with a login of its own begins a session, and identifies the caller of later requests.
func ExampleSessions_Start() {
	storage := memory.New(nil)
	people, err := accounts.New(storage, nil)
	if err != nil {
		panic(err)
	}
	sessions, err := session.New(storage, people, nil)
	if err != nil {
		panic(err)
	}
	callers := sessions.Authenticator(nil)
	http.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
		user, err := people.Lookup(r.Context(), "ann") // after a check of who sent the request
		if err == nil {
			_, err = sessions.Start(w, r, session.Login{Account: user.ID})
		}
		if err != nil {
			http.Error(w, "try again", http.StatusServiceUnavailable)
		}
	})

	r := httptest.NewRequest(http.MethodPost, "/login", nil)
	if _, err := people.CreateUser(r.Context(), accounts.Actor{}, "ann", "", nil); err != nil {
		panic(err)
	}
	w := httptest.NewRecorder()
	http.DefaultServeMux.ServeHTTP(w, r)
	next := httptest.NewRequest(http.MethodGet, "/", nil)
	next.AddCookie(w.Result().Cookies()[0])
	caller, err := callers.Authenticate(next)
	fmt.Println(caller.Name, err)
	// Output: ann <nil>
}

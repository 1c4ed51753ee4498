package main

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"net/http"
	"slices"
	"sync"
)

// app stands for a program that knows its users: it has sessions by cookie, and keys for what is no
// browser.
type app struct {
	users []string

	mu       sync.Mutex
	sessions map[string]string            // by cookie, the user
	keys     map[string][sha256.Size]byte // by user, the hash of a random key
}

func newApp(users ...string) *app {
	return &app{users: users, sessions: make(map[string]string), keys: make(map[string][sha256.Size]byte)}
}

// login begins a session. A real program would want more than a name.
func (a *app) login(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	name := r.PostFormValue("name")
	if !slices.Contains(a.users, name) {
		http.Error(w, "no such user", http.StatusForbidden)
		return
	}
	session := rand.Text()
	a.mu.Lock()
	a.sessions[session] = name
	a.mu.Unlock()
	http.SetCookie(w, &http.Cookie{
		Name: "session", Value: session, Path: "/key", Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode,
	})
}

// newKey makes a new key for the user of the session, in place of an older one.
func (a *app) newKey(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	cookie, err := r.Cookie("session")
	if err != nil {
		http.Error(w, "no session", http.StatusUnauthorized)
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	name, ok := a.sessions[cookie.Value]
	if !ok {
		http.Error(w, "no session", http.StatusUnauthorized)
		return
	}
	key := rand.Text()
	a.keys[name] = sha256.Sum256([]byte(key)) // it is random: a fast hash is as good as a slow one
	fmt.Fprintln(w, key)
}

// hasKey reports whether key is that of the user.
func (a *app) hasKey(name, key string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	want, ok := a.keys[name]
	got := sha256.Sum256([]byte(key))
	return subtle.ConstantTimeCompare(want[:], got[:]) == 1 && ok
}

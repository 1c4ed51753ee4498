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

// app stands for a program with users. Browsers have sessions by cookie, and other clients use
// keys.
type app struct {
	users []string

	mu       sync.Mutex
	sessions map[string]string            // user by cookie
	keys     map[string][sha256.Size]byte // hash of a random key by user
}

func newApp(users ...string) *app {
	return &app{users: users, sessions: make(map[string]string), keys: make(map[string][sha256.Size]byte)}
}

// login starts a session. A real program would require more than a name.
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

// newKey replaces the key of the session's user and returns the new one.
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
	a.keys[name] = sha256.Sum256([]byte(key)) // the key is random, so a fast hash is enough
	fmt.Fprintln(w, key)
}

// hasKey reports whether key is the current key of the user.
func (a *app) hasKey(name, key string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	want, ok := a.keys[name]
	got := sha256.Sum256([]byte(key))
	return subtle.ConstantTimeCompare(want[:], got[:]) == 1 && ok
}

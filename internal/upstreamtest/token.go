package upstreamtest

import (
	"crypto/rand"
	"net/http"
	"strings"
)

// RequireLogin makes the server demand a bearer token of its own token service, at /token. allow
// decides whether a user may pull from a repository; anonymous callers have no username. It is
// called while the server is locked and must not call the server. nil ends that.
func (s *Server) RequireLogin(allow func(username, password, repo string) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.login = allow
}

// Revoke makes all tokens so far invalid.
func (s *Server) Revoke() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens = map[string]string{}
}

// authorized reports whether a request may be answered. Otherwise it fills in the challenge. The
// caller holds s.mu.
func (s *Server) authorized(r Request, reply *Reply) bool {
	if s.login == nil || r.Kind == Storage {
		return true
	}
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	if repo, ok := s.tokens[token]; ok && token != "" && (repo == r.Repository || r.Kind == Base) {
		return true
	}
	challenge := `Bearer realm="` + s.URL + `/token",service="upstreamtest"`
	if r.Repository != "" {
		challenge += `,scope="repository:` + r.Repository + `:pull"`
	}
	Status(http.StatusUnauthorized, "Www-Authenticate", challenge)(reply)
	return false
}

// grant answers a request for a token. The caller holds s.mu.
func (s *Server) grant(reply *Reply) {
	req := reply.Request
	username, password, _ := req.BasicAuth()
	scope := req.URL.Query().Get("scope")
	if req.Method == http.MethodPost {
		_ = req.ParseForm()
		username, password = req.PostForm.Get("username"), req.PostForm.Get("password")
		scope = req.PostForm.Get("scope")
	}
	repo := ""
	if parts := strings.Split(scope, ":"); len(parts) == 3 && parts[0] == "repository" {
		repo = parts[1]
	}
	if s.login == nil || !s.login(username, password, repo) {
		Status(http.StatusUnauthorized)(reply)
		return
	}
	token := rand.Text()
	s.tokens[token] = repo
	reply.Header.Set("Content-Type", "application/json")
	reply.Content = encode(map[string]any{"token": token, "access_token": token, "expires_in": 300})
}

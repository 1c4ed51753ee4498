package token

import (
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/internal/wire"
)

// refusal is a response without a token.
type refusal struct {
	status  int
	code    string // of the distribution spec
	oauth   string // of RFC 6749, section 5.2
	message string
	after   time.Duration // Retry-After, or 0
}

// badRequest is the refusal of a request that no client should send.
func badRequest(message string) *refusal {
	return &refusal{status: http.StatusBadRequest, code: "UNSUPPORTED", oauth: "invalid_request", message: message}
}

// errorBody is the body of a refused POST. Clients written for OAuth 2 read the first two fields.
// docker, podman and oras read the errors, as in every response of a registry.
type errorBody struct {
	Error       string              `json:"error"`
	Description string              `json:"error_description"`
	Errors      []map[string]string `json:"errors"`
}

// refuse sends a refusal. A 401 has the challenge of the Authenticator.
func (s *Service) refuse(w http.ResponseWriter, r *http.Request, x *refusal) {
	h := w.Header()
	if x.after > 0 {
		h.Set("Retry-After", strconv.FormatInt(int64(math.Ceil(x.after.Seconds())), 10))
	}
	if x.status == http.StatusUnauthorized {
		if challenge := s.users.Challenge(r, nil); challenge != "" {
			h.Set("WWW-Authenticate", challenge)
		}
	}
	if r.Method != http.MethodPost {
		wire.Refuse(w, r, x.status, x.code, x.message)
		return
	}
	h.Set("Cache-Control", "no-store")
	wire.Bound(w, r)
	writeJSON(w, x.status, errorBody{x.oauth, x.message, []map[string]string{{"code": x.code, "message": x.message}}})
}

// refuseMethod sends a 405.
func refuseMethod(w http.ResponseWriter, r *http.Request, allow string) {
	w.Header().Set("Allow", allow)
	wire.Refuse(w, r, http.StatusMethodNotAllowed, "UNSUPPORTED", "allowed methods: "+allow)
}

// refusalOf returns the refusal for an error. It reports an error that is no fault of the client.
func (s *Service) refusalOf(r *http.Request, err error) *refusal {
	var limit *auth.LimitError
	var unavailable *auth.UnavailableError
	switch {
	case errors.Is(err, auth.ErrCredentials):
		return &refusal{http.StatusUnauthorized, "UNAUTHORIZED", "invalid_grant", "invalid credentials", 0}
	case errors.As(err, &limit):
		return &refusal{http.StatusTooManyRequests, "TOOMANYREQUESTS", "temporarily_unavailable",
			"too many failed logins", limit.RetryAfter}
	case errors.Is(err, errTooLong):
		return badRequest("the token would be too long")
	case errors.As(err, &unavailable):
		s.report(r.Context(), err)
		return &refusal{http.StatusServiceUnavailable, "UNAVAILABLE", "temporarily_unavailable", "not available now",
			unavailable.RetryAfter}
	}
	s.report(r.Context(), err)
	return &refusal{http.StatusInternalServerError, "UNKNOWN", "server_error", "internal error", 0}
}

// writeJSON sends a body of strings and numbers, which cannot fail to be encoded.
func writeJSON(w http.ResponseWriter, status int, body any) {
	content, _ := json.Marshal(body)
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(content)))
	w.WriteHeader(status)
	_, _ = w.Write(content)
}

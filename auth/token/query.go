package token

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/registrykit/registry/auth/internal/scope"
)

const (
	// maxForm is the maximum size of a form, in bytes: 512 scopes with long names, and credentials.
	maxForm = 512 << 10
	// formTimeout is how long a client may take to send a form.
	formTimeout = 5 * time.Second
	// maxClient is the maximum length of the name of a client that is stored with a refresh token.
	maxClient = 64
)

// query is a request for a token, by GET or by POST.
type query struct {
	r *http.Request
	// login is the request with the credentials as a header, for the Authenticator. It is nil if
	// refresh is set.
	login *http.Request
	// refresh is the refresh token of the grant refresh_token.
	refresh string
	scopes  []scope.Scope
	offline bool   // whether the client asks for a refresh token
	client  string // client_id
}

// fromURL reads the query string of a GET.
func (s *Service) fromURL(r *http.Request) (*query, *refusal) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, badRequest("invalid query string")
	}
	q := &query{r: r, login: r, offline: values.Get("offline_token") == "true"}
	return q, s.common(q, values)
}

// fromForm reads the form of a POST.
func (s *Service) fromForm(w http.ResponseWriter, r *http.Request) (*query, *refusal) {
	form, refused := readForm(w, r, "grant_type", "username", "password", "refresh_token", "client_id", "access_type")
	if refused != nil {
		return nil, refused
	}
	q := &query{r: r, offline: form.Get("access_type") == "offline"}
	switch form.Get("grant_type") {
	case "password":
		if !form.Has("username") || !form.Has("password") {
			return nil, badRequest("username or password is missing")
		}
		q.login = withBasic(r, form.Get("username"), form.Get("password"))
	case "refresh_token":
		if s.opts.Refresh == nil {
			return nil, &refusal{http.StatusNotFound, "UNSUPPORTED", "unsupported_grant_type",
				"this registry has no refresh tokens: log in again", 0}
		}
		if q.refresh = form.Get("refresh_token"); q.refresh == "" {
			return nil, badRequest("refresh_token is missing")
		}
	case "":
		return nil, badRequest("grant_type is missing")
	default:
		return nil, &refusal{http.StatusBadRequest, "UNSUPPORTED", "unsupported_grant_type",
			"grant_type must be password or refresh_token", 0}
	}
	return q, s.common(q, form)
}

// withBasic returns a request that differs from r in its credentials and has no body. A name with a
// colon would be another name and password in the header. So it becomes a header that is malformed,
// which an Authenticator refuses like any wrong credentials.
func withBasic(r *http.Request, name, password string) *http.Request {
	login := r.Clone(r.Context())
	login.Body, login.ContentLength = http.NoBody, 0
	login.Form, login.PostForm = nil, nil
	if login.SetBasicAuth(name, password); strings.Contains(name, ":") {
		login.Header.Set("Authorization", "Basic :")
	}
	return login
}

// common reads the parameters that GET and POST have in common.
func (s *Service) common(q *query, values url.Values) *refusal {
	if services := values["service"]; len(services) > 1 || len(services) == 1 && services[0] != s.opts.Service {
		return badRequest("the service is not that of this registry")
	}
	var err error
	if q.scopes, err = scope.Parse(values["scope"]); err != nil {
		return &refusal{http.StatusBadRequest, "UNSUPPORTED", "invalid_scope", "malformed scope", 0}
	}
	client := values.Get("client_id")
	if len(client) <= maxClient && !strings.ContainsFunc(client, func(c rune) bool { return c < ' ' || c > '~' }) {
		q.client = client
	}
	return nil
}

// readForm reads the form of a POST. The parameters once must not be repeated (RFC 6749, section
// 3.2). Credentials in a header are refused, because it would be unclear which ones count.
func readForm(w http.ResponseWriter, r *http.Request, once ...string) (url.Values, *refusal) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil ||
		kind != "application/x-www-form-urlencoded" {
		return nil, badRequest("the Content-Type must be application/x-www-form-urlencoded")
	}
	if len(r.Header["Authorization"]) > 0 {
		return nil, badRequest("a form and an Authorization header exclude each other")
	}
	deadline := http.NewResponseController(w).SetReadDeadline
	_ = deadline(time.Now().Add(formTimeout)) // it fails for a ResponseWriter without deadlines
	content, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxForm))
	if err != nil {
		if errors.As(err, new(*http.MaxBytesError)) {
			return nil, badRequest("the form is too long")
		}
		r.Body = http.NoBody // otherwise the refusal waits for the rest once more
		return nil, badRequest("the form is incomplete")
	}
	_ = deadline(time.Time{}) // otherwise it would end the context of a login that takes longer
	form, err := url.ParseQuery(string(content))
	if err != nil {
		return nil, badRequest("malformed form")
	}
	if i := slices.IndexFunc(once, func(name string) bool { return len(form[name]) > 1 }); i >= 0 {
		return nil, badRequest(once[i] + " is repeated")
	}
	return form, nil
}

package login

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/retryafter"
	"github.com/registrykit/registry/internal/strictjson"
)

const (
	// maxResponse is the maximum size of the response of a token service, in bytes.
	maxResponse = 1 << 20
	// maxToken is the maximum size of a token, in bytes.
	maxToken = 64 << 10
	// defaultLife is the lifetime of a token whose service does not state it.
	defaultLife = 60 * time.Second
	// maxLife is the maximum time for which a token is kept.
	maxLife = 24 * time.Hour
	// maxRetryAfter is the maximum time to wait that an error has.
	maxRetryAfter = 24 * time.Hour
	// clientID identifies this client to OAuth2 services.
	clientID = "registrykit"
)

// request asks the token service for a token. With an identity token it tries OAuth2 first.
//
// Errors: those of Authorize, but for those of the Source.
func (l *Login) request(ctx context.Context, key tokenKey, c Credentials) (*token, error) {
	if c.IdentityToken != "" && !l.withoutPost(key.realm) {
		t, status, err := l.post(ctx, key, c)
		if status != http.StatusNotFound && status != http.StatusMethodNotAllowed {
			return t, err
		}
		l.mu.Lock()
		l.noPost = key.realm
		l.mu.Unlock()
	}
	return l.get(ctx, key, c)
}

func (l *Login) withoutPost(realm string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.noPost == realm
}

// get asks for a token as distribution's token specification has it.
func (l *Login) get(ctx context.Context, key tokenKey, c Credentials) (*token, error) {
	u, err := url.Parse(key.realm)
	if err != nil {
		return nil, errors.New("login: malformed realm")
	}
	username, password, authenticated := c.basic()
	q := u.Query()
	if key.service != "" {
		q.Set("service", key.service)
	}
	for scope := range strings.FieldsSeq(key.scopes) {
		q.Add("scope", scope)
	}
	if authenticated && username != tokenUser {
		q.Set("account", username)
	}
	u.RawQuery = q.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, errors.New("login: malformed realm")
	}
	if authenticated {
		if strings.Contains(username, ":") {
			return nil, errors.New("login: a username with a colon cannot be sent")
		}
		req.SetBasicAuth(username, password)
	}
	t, _, err := l.send(req, c)
	return t, err
}

// post asks for a token with a refresh token (RFC 6749, section 6). It also returns the status of
// the response, or 0.
func (l *Login) post(ctx context.Context, key tokenKey, c Credentials) (*token, int, error) {
	form := url.Values{
		"grant_type": {"refresh_token"}, "refresh_token": {c.IdentityToken.Value()}, "client_id": {clientID},
		"service": {key.service},
	}
	if key.scopes != "" {
		form.Set("scope", key.scopes)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, key.realm, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, 0, errors.New("login: malformed realm")
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return l.send(req, c)
}

// send sends a request to the token service. It follows no redirect. It returns the token and the
// status of the response.
func (l *Login) send(req *http.Request, c Credentials) (*token, int, error) {
	caller := req.Context()
	ctx, cancel := context.WithTimeout(caller, tokenTimeout)
	defer cancel()
	req = req.WithContext(ctx)
	req.Header.Set("User-Agent", clientID)
	req.Header.Set("Accept", "application/json")
	start := time.Now()
	res, err := l.http.Do(req)
	if err != nil {
		return nil, 0, broken(caller, req, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxResponse+1))
	switch {
	case err != nil:
		return nil, 0, broken(caller, req, err)
	case len(body) > maxResponse:
		return nil, 0, failed(req, "the response is too large")
	case res.StatusCode/100 != 2:
		return nil, res.StatusCode, refused(req, res)
	}
	t, err := parseToken(body, res.Header, c, start)
	if err != nil {
		return nil, res.StatusCode, failed(req, err.Error())
	}
	return t, res.StatusCode, nil
}

// refused returns the error for a response without a token.
func refused(req *http.Request, res *http.Response) error {
	kind := registry.ErrUnavailable
	switch res.StatusCode {
	case http.StatusUnauthorized:
		kind = registry.ErrUnauthorized
	case http.StatusBadRequest: // invalid_grant (RFC 6749, section 5.2)
		if req.Method == http.MethodPost {
			kind = registry.ErrUnauthorized
		}
	case http.StatusForbidden:
		kind = registry.ErrDenied
	case http.StatusTooManyRequests:
		kind = registry.ErrTooManyRequests
	}
	e := kind.WithCause(fmt.Errorf("login: %s: status %d", shown(req), res.StatusCode))
	if wait, _ := retryafter.Parse(res.Header.Get("Retry-After"), time.Now()); wait > 0 {
		e = e.WithRetryAfter(min(wait, maxRetryAfter))
	}
	return e
}

// failed returns the error for a response that cannot be used.
func failed(req *http.Request, problem string) error {
	return registry.ErrUnavailable.WithCause(fmt.Errorf("login: %s: %s", shown(req), problem))
}

// shown returns a request for messages, without its query.
func shown(req *http.Request) string {
	return req.Method + " " + req.URL.Scheme + "://" + req.URL.Host + req.URL.EscapedPath()
}

// broken returns the error for a request that failed in transit.
//
// Errors: that of ctx; registry.ErrUnavailable.
func broken(ctx context.Context, req *http.Request, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err // without the URL
	}
	return registry.ErrUnavailable.WithCause(&exchangeError{request: shown(req), err: err})
}

// exchangeError is the failure of a request to a token service.
type exchangeError struct {
	request string
	err     error
}

// Error returns the request, and the text of the error if it cannot contain what the service sent.
func (e *exchangeError) Error() string {
	text := "the exchange failed"
	var op *net.OpError
	var certificate *tls.CertificateVerificationError
	var authority x509.UnknownAuthorityError
	switch {
	case errors.As(e.err, &op), errors.As(e.err, &certificate), errors.As(e.err, &authority),
		errors.Is(e.err, context.DeadlineExceeded), errors.Is(e.err, io.EOF), errors.Is(e.err, io.ErrUnexpectedEOF):
		text = e.err.Error()
	}
	return "login: " + e.request + ": " + text
}

// Unwrap returns the error of the transport.
func (e *exchangeError) Unwrap() error { return e.err }

// parseToken reads the response of a token service to a request that was sent at start.
func parseToken(body []byte, h http.Header, c Credentials, start time.Time) (*token, error) {
	var value, access, issued string
	life := defaultLife
	r, err := strictjson.NewReader(body)
	if err == nil {
		_, err = r.Object([]string{"token", "access_token", "expires_in", "issued_at"}, func(key string) (err error) {
			switch key {
			case "token":
				value, err = r.Text()
			case "access_token":
				access, err = r.Text()
			case "expires_in":
				life = seconds(r.Skip())
			case "issued_at":
				issued = text(r.Skip())
			}
			return err
		})
	}
	if value == "" {
		value = access
	}
	switch {
	case err != nil:
		return nil, errors.New("the response is malformed")
	case value == "":
		return nil, errors.New("the response has no token")
	case len(value) > maxToken:
		return nil, errors.New("the token is too long")
	case strings.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r > '~' }):
		return nil, errors.New("the token has invalid characters")
	}
	if old := age(issued, h); old < life { // otherwise its times are nonsense
		life -= old
	}
	return newToken(value, c, start, life), nil
}

// seconds returns the duration of a JSON number, or of a string with a number, in seconds.
func seconds(value []byte) time.Duration {
	n, err := strconv.ParseFloat(strings.Trim(string(value), `"`), 64)
	if err != nil || !(n > 0) {
		return defaultLife
	}
	return time.Duration(min(n, maxLife.Seconds()) * float64(time.Second))
}

// text returns a JSON string, or "" for another value.
func text(value []byte) (s string) {
	_ = json.Unmarshal(value, &s)
	return s
}

// age returns how long ago a token was issued. Both times are those of the clock of the service,
// because the clock of this machine may differ.
func age(issued string, h http.Header) time.Duration {
	at, err := time.Parse(time.RFC3339, issued)
	now, derr := http.ParseTime(h.Get("Date"))
	if err != nil || derr != nil {
		return 0
	}
	return max(now.Sub(at), 0)
}

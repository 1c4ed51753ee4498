package signin

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/auth/internal/limit"
)

// attemptCookie is the name of the cookies that bind attempts to a browser. Its last character is a
// digit: a browser can have four attempts at the same time, in several tabs.
const attemptCookie = "__Host-registry-signin-"

// linkAge is the maximum age of a session that links a person. A link lasts, also after a change of the password, so a
// session that was stolen or left open must not be enough for one.
const linkAge = 15 * time.Minute

// attempt is a sign-in whose user is at the provider. It is sealed in a cookie.
type attempt struct {
	Provider string `json:"p"`
	State    string `json:"s"`
	Nonce    string `json:"n"`
	Verifier string `json:"v"` // PKCE
	Return   string `json:"r"`
	Expires  int64  `json:"e"` // seconds since 1970
	// Link is the account to link, or "" for a sign-in.
	Link accounts.ID `json:"l,omitempty"`
}

// cookieOf returns the name of the cookie of an attempt with a state.
func cookieOf(state string) string {
	sum := sha256.Sum256([]byte(state))
	return attemptCookie + strconv.Itoa(int(sum[0]%4))
}

// start sends a browser to a provider to sign in.
func (h *Handler) start(w http.ResponseWriter, r *http.Request, p *provider) error {
	query, err := parseQuery(r.URL.RawQuery)
	if err != nil {
		return err
	}
	path, err := h.returnPath(query.Get("return"))
	if err != nil {
		return err
	}
	to, err := h.begin(w, r, p, attempt{Return: path})
	if err != nil {
		return withForm(err, "", path)
	}
	redirect(w, to)
	return nil
}

// link sends a signed-in browser to a provider. The person who signs in there is then linked to the
// user.
func (h *Handler) link(w http.ResponseWriter, r *http.Request, p *provider) error {
	form, err := url.Values{}, error(nil)
	if r.ContentLength != 0 {
		if form, err = readForm(w, r); err != nil {
			return err
		}
	}
	path, err := h.returnPath(form.Get("return"))
	if err != nil {
		return err
	}
	account, err := h.current(r)
	if err != nil {
		return withForm(err, "", path)
	}
	s, err := h.sessions.Current(r)
	if err != nil || s == nil || h.now().Sub(s.Created) > linkAge {
		err = errSignedOut.WithMessage("sign in again, and then link the account").WithCause(err)
		return withForm(err, account.Name, path)
	}
	to, err := h.begin(w, r, p, attempt{Return: path, Link: account.ID})
	if err != nil {
		return withForm(err, "", path)
	}
	return sendAway(w, to)
}

// current returns the user who is signed in in a browser.
//
// Errors: errSignedOut; *auth.UnavailableError.
func (h *Handler) current(r *http.Request) (*accounts.Account, error) {
	identity, err := h.sessions.Authenticator(nil).Authenticate(r)
	if err != nil {
		return nil, err
	}
	id, _ := identity.Claims[accounts.AccountClaim].(string)
	if s, err := h.sessions.Current(r); err != nil || s == nil || !s.Browser || id == "" {
		return nil, errSignedOut.WithCause(err)
	}
	return h.activeUser(r.Context(), accounts.ID(id))
}

// begin gives a browser the cookie of an attempt, and returns the URL of the authorization endpoint to
// which it goes.
func (h *Handler) begin(w http.ResponseWriter, r *http.Request, p *provider, a attempt) (to string, err error) {
	d, err := p.document(r.Context())
	if err != nil {
		return "", err
	}
	a.Provider, a.State, a.Nonce, a.Verifier = p.Name, rand.Text(), rand.Text(), oauth2.GenerateVerifier()
	a.Expires = h.now().Add(attemptLife).Unix()
	sealed, err := h.seal.seal(forAttempt, a)
	if err != nil {
		return "", err
	}
	params := []oauth2.AuthCodeOption{oidc.Nonce(a.Nonce), oauth2.S256ChallengeOption(a.Verifier)}
	for _, name := range slices.Sorted(maps.Keys(p.Parameters)) {
		params = append(params, oauth2.SetAuthURLParam(name, p.Parameters[name]))
	}
	setCookie(w, cookieOf(a.State), sealed, int(attemptLife/time.Second))
	return p.config(d).AuthCodeURL(a.State, params...), nil
}

// setCookie sets a cookie or, with a negative age, removes it. SameSite=Lax lets the browser send
// it when the provider sends it back.
func setCookie(w http.ResponseWriter, name, value string, age int) {
	http.SetCookie(w, &http.Cookie{Name: name, Value: value, Path: "/", MaxAge: age, Secure: true, HttpOnly: true,
		SameSite: http.SameSiteLaxMode})
}

// callback signs in the person whom a provider sends back with a code.
func (h *Handler) callback(w http.ResponseWriter, r *http.Request, p *provider) error {
	query, err := parseQuery(r.URL.RawQuery)
	if err != nil {
		return err
	}
	a, err := h.attempt(r, p, query.Get("state"))
	if err != nil {
		return err
	}
	setCookie(w, cookieOf(a.State), "", -1)
	return withForm(h.finish(w, r, p, a, query), "", a.Return)
}

// finish signs in or links the person of an attempt.
func (h *Handler) finish(w http.ResponseWriter, r *http.Request, p *provider, a attempt, query url.Values) error {
	found, err := h.exchange(r, p, a, query)
	if err != nil {
		h.audit(r, nil, err)
		return err
	}
	if a.Link != "" {
		return h.finishLink(w, r, found, a)
	}
	account, login, err := h.enter(r, found)
	if err != nil {
		h.audit(r, account, err)
		return err
	}
	return h.signIn(w, r, account, login, target{path: a.Return, navigation: true})
}

// attempt returns the attempt with a state that this browser has begun.
//
// Errors: errAttempt.
func (h *Handler) attempt(r *http.Request, p *provider, state string) (attempt, error) {
	var a attempt
	cookies := r.CookiesNamed(cookieOf(state))
	if state == "" || len(cookies) != 1 || h.seal.open(forAttempt, cookies[0].Value, &a) != nil {
		return attempt{}, errAttempt
	}
	if subtle.ConstantTimeCompare([]byte(a.State), []byte(state)) != 1 || a.Provider != p.Name ||
		h.now().Unix() >= a.Expires {
		return attempt{}, errAttempt
	}
	return a, nil
}

// exchange exchanges the code of a callback for an ID token, and verifies it. Failures of one
// network are limited, because each makes a request to the provider.
//
// Errors: errToken, errCode, errDenied, errPerson, errGroups, errTooMany, errProvider.
func (h *Handler) exchange(r *http.Request, p *provider, a attempt, query url.Values) (*person, error) {
	d, err := p.document(r.Context())
	if err != nil {
		return nil, err
	}
	// RFC 9207: the code must come from the provider that the user was sent to.
	if iss := query.Get("iss"); iss != p.Issuer && (iss != "" || d.SendsIss) {
		return nil, errToken.WithCause(fmt.Errorf("the parameter iss is %.100q", iss))
	}
	switch code := query.Get("error"); code {
	case "":
	case "access_denied":
		return nil, errDenied
	case "server_error", "temporarily_unavailable":
		return nil, unreachable(fmt.Errorf("the provider returned %s", code))
	default:
		return nil, errDenied.WithCause(fmt.Errorf("the provider returned the error %.60q", code))
	}
	if query.Get("code") == "" {
		return nil, errInvalid.WithMessage("the parameter code is missing")
	}
	done, err := h.limited(r, h.attempts)
	if err != nil {
		return nil, err
	}
	token, err := p.config(d).Exchange(p.context(r.Context()), query.Get("code"), oauth2.VerifierOption(a.Verifier))
	if err != nil {
		return nil, tokenError(err)
	}
	found, err := p.identify(r.Context(), d, token, a.Nonce)
	if err == nil {
		err = found.permitted()
	}
	if err == nil {
		done()
	}
	return found, err
}

// limited counts an attempt of a network. The caller calls done if it succeeds.
//
// Errors: errTooMany.
func (h *Handler) limited(r *http.Request, attempts *limit.Limiter) (done func(), err error) {
	network, err := limit.Address(r, h.opts.TrustedProxies).MarshalText()
	if err != nil {
		return nil, err
	}
	key := limit.Key(sha256.Sum256(network))
	if wait := attempts.Begin(key); wait > 0 {
		return nil, errTooMany.WithRetryAfter(wait)
	}
	return func() { attempts.Undo(key) }, nil
}

// finishLink links a person to the user who has begun the attempt and is still signed in.
//
// Errors: errSignedOut, errLinked; those of the accounts.
func (h *Handler) finishLink(w http.ResponseWriter, r *http.Request, found *person, a attempt) error {
	account, err := h.current(r)
	if err != nil {
		return err
	}
	if account.ID != a.Link {
		return errSignedOut.WithMessage("another user is signed in now: begin again")
	}
	by := accounts.Actor{Name: account.Name, Reason: "link at " + found.provider.Name}
	err = h.people.Link(r.Context(), by, found.key(), account.ID)
	switch {
	case errors.Is(err, accounts.ErrTaken):
		return errLinked.WithCause(err)
	case errors.Is(err, accounts.ErrLimit):
		return errLinked.WithMessage("the account has too many links").WithCause(err)
	case err != nil && !errors.Is(err, accounts.ErrNotified):
		return err
	}
	redirect(w, a.Return)
	return nil
}

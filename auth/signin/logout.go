package signin

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/auth/session"
)

// logoutWait is the maximum time that a logout waits for a provider. The session has ended before.
const logoutWait = 2 * time.Second

// logout ends the session of a request. A browser can then also sign out at the provider (OpenID
// Connect RP-Initiated Logout 1.0). A form may say to which local path the browser goes otherwise.
func (h *Handler) logout(w http.ResponseWriter, r *http.Request) error {
	form, err := url.Values{}, error(nil)
	if r.ContentLength != 0 && isType(r, formType) {
		if form, err = readForm(w, r); err != nil {
			return err
		}
	}
	path, err := h.returnPath(form.Get("return"))
	if err != nil {
		return err
	}
	s, err := h.sessions.End(w, r)
	if errors.Is(err, auth.ErrCredentials) {
		err = nil // it has ended already
	}
	if err != nil {
		return err
	}
	out := types.SignedOut{}
	if s != nil && s.Browser && s.Provider != nil {
		out.Redirect = h.endSession(r.Context(), s.Provider)
	}
	if wantsJSON(r) {
		return sendJSON(w, out)
	}
	if out.Redirect != "" {
		return sendAway(w, out.Redirect)
	}
	redirect(w, path)
	return nil
}

// endSession returns the URL at which a browser signs out at the provider, or "" if there is none
// or the provider is down.
func (h *Handler) endSession(ctx context.Context, from *session.Provider) string {
	p, ok := h.providers[from.Name]
	if !ok || p.Issuer != from.Issuer {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, logoutWait)
	defer cancel()
	d, err := p.document(ctx)
	if err != nil || d.EndSession == "" {
		return ""
	}
	u, err := url.Parse(d.EndSession)
	if err != nil {
		return ""
	}
	query := u.Query()
	query.Set("client_id", p.ClientID)
	var idToken string
	if h.seal.open(forHint, string(from.Hint), &idToken) == nil {
		query.Set("id_token_hint", idToken)
	}
	if p.PostLogoutURL != "" {
		query.Set("post_logout_redirect_uri", p.PostLogoutURL)
	}
	u.RawQuery = query.Encode()
	return u.String()
}

// backChannel ends the sessions that a logout token of a provider names: those with its sid or,
// without one, those of its subject. Sessions that began after the token was issued stay, so a
// token that is sent again ends nothing new.
func (h *Handler) backChannel(w http.ResponseWriter, r *http.Request, p *provider) error {
	r.Header.Set("Accept", jsonType)
	form, err := readForm(w, r)
	if err != nil {
		return err
	}
	token, err := p.verifyLogout(r.Context(), form.Get("logout_token"))
	if errors.Is(err, errToken) {
		return errInvalid.WithMessage("the logout token is not valid").WithCause(err)
	}
	if err != nil {
		return err
	}
	until := token.issued.Add(time.Second + p.Leeway)
	ends := func(s *session.Session) bool {
		return s.Provider != nil && s.Provider.Issuer == p.Issuer && !s.Created.After(until) &&
			(token.Subject == "" || s.Provider.Subject == token.Subject)
	}
	if token.SID != "" {
		_, err = h.sessions.RevokeSID(r.Context(), p.Issuer, token.SID, ends)
	} else {
		var id accounts.ID
		id, err = h.people.Linked(r.Context(), accounts.Person{Issuer: p.Issuer, Subject: token.Subject})
		if err == nil {
			_, err = h.sessions.RevokeIf(r.Context(), id, ends)
		}
		if errors.Is(err, accounts.ErrUnknown) {
			err = nil // nobody has signed in
		}
	}
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

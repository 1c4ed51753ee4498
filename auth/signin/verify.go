package signin

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/registrykit/registry/auth/internal/jwks"
)

// person is somebody at a provider, as an ID token describes them.
type person struct {
	provider *provider
	subject  string
	sid      string
	idToken  string
	claims   map[string]any
}

// verified is a payload whose signature was verified. Package oidc would lose the reason of a
// failure.
type verified []byte

// VerifySignature implements [oidc.KeySet].
func (v verified) VerifySignature(context.Context, string) ([]byte, error) { return v, nil }

// signature verifies the signature of a token by one of the fixed algorithms, and returns a
// verifier for its claims.
//
// Errors: errToken; errProvider if the keys cannot be read.
func (p *provider) signature(ctx context.Context, token string, config oidc.Config) (*oidc.IDTokenVerifier, error) {
	payload, err := p.keys.VerifySignature(ctx, token)
	switch {
	case errors.Is(err, jwks.ErrSignature):
		return nil, errToken.WithCause(err)
	case err != nil:
		return nil, unreachable(err)
	}
	config.ClientID, config.SupportedSigningAlgs = p.ClientID, p.Algorithms
	config.Now = func() time.Time { return p.now().Add(-p.Leeway) }
	return oidc.NewVerifier(p.Issuer, verified(payload), &config), nil
}

// identify verifies the ID token in the response of a token endpoint. nonce is "" in the device
// flow, in which the token comes straight from the provider.
//
// Errors: errToken, errProvider.
func (p *provider) identify(ctx context.Context, d *document, token *oauth2.Token, nonce string) (*person, error) {
	raw, _ := token.Extra("id_token").(string)
	if raw == "" {
		return nil, errToken.WithCause(errors.New("there is no ID token"))
	}
	verifier, err := p.signature(ctx, raw, oidc.Config{})
	if err != nil {
		return nil, err
	}
	id, err := verifier.Verify(ctx, raw)
	if err != nil {
		return nil, errToken.WithCause(err)
	}
	found := &person{provider: p, subject: id.Subject, idToken: raw}
	if err := id.Claims(&found.claims); err != nil {
		return nil, errToken.WithCause(err)
	}
	found.sid, _ = found.claims["sid"].(string)
	if err := p.checkToken(id, found.claims, nonce); err != nil {
		return nil, errToken.WithCause(err)
	}
	if id.AccessTokenHash != "" {
		if err := id.VerifyAccessToken(token.AccessToken); err != nil {
			return nil, errToken.WithCause(err)
		}
	}
	if p.UserInfo {
		if err := found.addUserInfo(ctx, d, token); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// checkToken checks what package oidc does not check.
func (p *provider) checkToken(id *oidc.IDToken, claims map[string]any, nonce string) error {
	azp, hasAzp := claims["azp"]
	switch {
	case id.Subject == "":
		return errors.New("there is no subject")
	case nonce != "" && subtle.ConstantTimeCompare([]byte(id.Nonce), []byte(nonce)) != 1:
		return errors.New("the nonce is that of another sign-in")
	case hasAzp && azp != p.ClientID, !hasAzp && len(id.Audience) > 1:
		return errors.New("the token was issued to another client")
	case id.IssuedAt.After(p.now().Add(p.Leeway)):
		return errors.New("the token was issued in the future")
	case claims["events"] != nil:
		return errors.New("it is a logout token")
	}
	return nil
}

// addUserInfo adds the claims of the UserInfo endpoint. Those of the ID token, which is signed,
// come first.
//
// Errors: errToken, errProvider.
func (f *person) addUserInfo(ctx context.Context, d *document, token *oauth2.Token) error {
	info, err := d.oidc.UserInfo(f.provider.context(ctx), oauth2.StaticTokenSource(token))
	if err != nil {
		return unreachable(err)
	}
	if info.Subject != f.subject {
		return errToken.WithCause(errors.New("the UserInfo endpoint describes another person"))
	}
	var more map[string]any
	if err := info.Claims(&more); err != nil {
		return errToken.WithCause(err)
	}
	for name, v := range more {
		if _, ok := f.claims[name]; !ok {
			f.claims[name] = v
		}
	}
	return nil
}

// texts returns a claim that is a text or a list of texts. ok is false if it is something else.
func texts(claim any) (list []string, ok bool) {
	switch v := claim.(type) {
	case nil:
		return nil, true
	case string:
		return []string{v}, true
	case []any:
		for _, one := range v {
			text, ok := one.(string)
			if !ok {
				return nil, false
			}
			list = append(list, text)
		}
		return list, true
	}
	return nil, false
}

// text returns a claim that is a text, or "".
func (f *person) text(claim string) string {
	text, _ := f.claims[claim].(string)
	return text
}

// permitted returns errPerson if Provider.Require excludes a person.
func (f *person) permitted() error {
	for claim, values := range f.provider.Require {
		list, ok := texts(f.claims[claim])
		if !ok || !slices.ContainsFunc(list, func(v string) bool { return slices.Contains(values, v) }) {
			if f.elsewhere(claim) {
				return errGroups
			}
			return errPerson.WithCause(fmt.Errorf("the claim %q has no permitted value", claim))
		}
	}
	return nil
}

// groups returns the groups of a person. A list that the provider does not send whole is an error
// and not an empty list: the person would otherwise lose all teams.
//
// Errors: errGroups, errToken.
func (f *person) groups() (map[string]bool, error) {
	claim := f.provider.GroupsClaim
	list, ok := texts(f.claims[claim])
	switch {
	case !ok:
		return nil, errToken.WithCause(fmt.Errorf("the claim %q is no list of texts", claim))
	case f.elsewhere(claim):
		return nil, errGroups
	}
	groups := map[string]bool{}
	for _, g := range list {
		groups[g] = true
	}
	return groups, nil
}

// elsewhere reports whether the token only says where to find a claim (OpenID Connect Core, section
// 5.6.2), as Entra does for more than 200 groups.
func (f *person) elsewhere(claim string) bool {
	names, _ := f.claims["_claim_names"].(map[string]any)
	return names[claim] != nil || claim == DefaultGroupsClaim && f.claims["hasgroups"] != nil
}

// logoutToken is the claims of a logout token (OpenID Connect Back-Channel Logout 1.0, section
// 2.4).
type logoutToken struct {
	Subject string                     `json:"sub"`
	SID     string                     `json:"sid"`
	ID      string                     `json:"jti"`
	Issued  json.Number                `json:"iat"`
	Events  map[string]json.RawMessage `json:"events"`
	Nonce   *json.RawMessage           `json:"nonce"`
	Expires *json.Number               `json:"exp"`
	issued  time.Time
}

const (
	logoutEvent = "http://schemas.openid.net/event/backchannel-logout"
	// logoutAge is the maximum age of a logout token.
	logoutAge = 10 * time.Minute
)

// verifyLogout verifies a logout token.
//
// Errors: errToken, errProvider.
func (p *provider) verifyLogout(ctx context.Context, token string) (*logoutToken, error) {
	verifier, err := p.signature(ctx, token, oidc.Config{SkipExpiryCheck: true})
	if err != nil {
		return nil, err
	}
	id, err := verifier.Verify(ctx, token) // issuer and audience
	var l logoutToken
	if err == nil {
		err = id.Claims(&l)
	}
	if err == nil {
		l.issued = id.IssuedAt
		err = l.check(p.now(), p.Leeway)
	}
	if err != nil {
		return nil, errToken.WithCause(err)
	}
	return &l, nil
}

// check checks the claims of a logout token that an ID token does not have.
func (l *logoutToken) check(now time.Time, leeway time.Duration) error {
	event, ok := l.Events[logoutEvent]
	var object map[string]any
	switch {
	case !ok || json.Unmarshal(event, &object) != nil || object == nil:
		return errors.New("it is no logout token")
	case l.Nonce != nil:
		return errors.New("a logout token has no nonce")
	case l.ID == "":
		return errors.New("the claim jti is missing")
	case l.Subject == "" && l.SID == "":
		return errors.New("the claims sub and sid are missing")
	case l.Issued == "" || l.issued.After(now.Add(leeway)) || l.issued.Before(now.Add(-leeway-logoutAge)):
		return errors.New("the claim iat is missing, in the future, or more than ten minutes ago")
	}
	if l.Expires != nil {
		seconds, err := l.Expires.Float64()
		if err != nil || now.Add(-leeway).After(time.Unix(int64(seconds), 0)) {
			return errors.New("the logout token has expired")
		}
	}
	return nil
}

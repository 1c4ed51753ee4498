package signin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/auth/session"
)

// key returns what identifies a person: never a name, an e-mail address or another claim that can
// change.
func (f *person) key() accounts.Person {
	return accounts.Person{Issuer: f.provider.Issuer, Subject: f.subject}
}

// enter returns the account of a person and the login for its session. It creates the account if
// Provider.Create says so, and sets its teams. After an error, the account may be nil.
//
// Errors: errNotLinked, errName, errAccount, errGroups, errToken; those of the accounts.
func (h *Handler) enter(r *http.Request, found *person) (*accounts.Account, session.Login, error) {
	ctx, p := r.Context(), found.provider
	account, err := h.accountOf(ctx, found)
	if err != nil {
		return account, session.Login{}, err
	}
	if len(p.Teams) > 0 {
		groups, err := found.groups()
		if err == nil {
			err = h.setTeams(ctx, p, account, groups)
		}
		if err != nil {
			return account, session.Login{}, err
		}
	}
	login := session.Login{Provider: &session.Provider{Name: p.Name, Issuer: p.Issuer, Subject: found.subject,
		SID: found.sid}}
	hint, err := h.seal.seal(forHint, found.idToken)
	login.Provider.Hint = []byte(hint)
	return account, login, err
}

// accountOf returns the active user that a person is linked to, or a new one.
func (h *Handler) accountOf(ctx context.Context, found *person) (*accounts.Account, error) {
	id, err := h.people.Linked(ctx, found.key())
	if err == nil {
		return h.activeUser(ctx, id)
	}
	if !errors.Is(err, accounts.ErrUnknown) {
		return nil, err
	}
	return h.create(ctx, found)
}

// maxNumber is the highest number of a name by Numbered.
const maxNumber = 99

// create creates the account of a person at the first sign-in.
//
// Errors: errNotLinked, errName; those of the accounts.
func (h *Handler) create(ctx context.Context, found *person) (*accounts.Account, error) {
	p := found.provider
	if p.Create == NoCreation {
		return nil, errNotLinked
	}
	name := nameFrom(found.text(p.NameClaim))
	by := accounts.Actor{Reason: "first sign-in at " + p.Name}
	opts := &accounts.UserOptions{Profile: accounts.Profile{
		FullName: display(found.text("name")), Email: display(found.text("email"))}}
	for n := 1; ; n++ {
		tried := name
		if n > 1 {
			tried = fmt.Sprintf("%s-%d", name, n)
		}
		account, err := h.people.CreateLinked(ctx, by, found.key(), tried, opts)
		switch {
		case err == nil, errors.Is(err, accounts.ErrNotified) && account != nil:
			return account, nil
		case errors.Is(err, accounts.ErrInvalid):
			return nil, errName.WithMessage("the provider gives you no name that is permitted here: ask an admin").
				WithCause(err)
		case !errors.Is(err, accounts.ErrTaken):
			return nil, err
		}
		// Another replica may have created the account meanwhile.
		if id, lerr := h.people.Linked(ctx, found.key()); lerr == nil {
			return h.activeUser(ctx, id)
		}
		if p.Create != Numbered || n == maxNumber {
			return nil, errName.WithCause(err)
		}
	}
}

// nameFrom returns a name for an account: of an e-mail address the part before "@", in lower case,
// with hyphens in place of other separators. It may not be valid.
func nameFrom(claim string) string {
	name, _, _ := strings.Cut(claim, "@")
	return strings.Map(func(c rune) rune {
		if c == '.' || c == '_' || c == ' ' {
			return '-'
		}
		return c
	}, strings.ToLower(name))
}

// maxDisplay is the maximum length of a text of a profile, in bytes.
const maxDisplay = 256

// display returns a text for a profile, or "" if it is too long or not printable.
func display(text string) string {
	if len(text) > maxDisplay || strings.ContainsFunc(text, func(c rune) bool { return c < ' ' || c == 0x7f }) ||
		strings.ToValidUTF8(text, "") != text {
		return ""
	}
	return text
}

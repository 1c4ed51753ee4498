package signin

import (
	"context"
	"errors"
	"net/http"

	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/auth/session"
)

// People are the accounts that sign in. [accounts.Accounts] implements it.
type People interface {
	accounts.Manager
	// Linked returns the account that a person at a provider is linked to.
	//
	// Errors: accounts.ErrUnknown.
	Linked(ctx context.Context, person accounts.Person) (accounts.ID, error)
	// Link links a person at a provider to a user.
	//
	// Errors: accounts.ErrTaken if the person is linked to another account; accounts.ErrUnknown.
	Link(ctx context.Context, by accounts.Actor, person accounts.Person, user accounts.ID) error
	// CreateLinked creates a user without a password who is linked to a person at a provider.
	//
	// Errors: those of Link and of CreateUser.
	CreateLinked(ctx context.Context, by accounts.Actor, person accounts.Person, name string,
		opts *accounts.UserOptions) (*accounts.Account, error)
}

var _ People = (*accounts.Accounts)(nil)

// methods lists the ways to sign in.
func (h *Handler) methods(w http.ResponseWriter, _ *http.Request) error {
	list := types.SignInMethods{Password: h.opts.Passwords != nil, Providers: []types.SignInProvider{}}
	for _, p := range h.order {
		list.Providers = append(list.Providers, types.SignInProvider{Name: p.Name, Title: p.Title})
	}
	return sendJSON(w, list)
}

// signIn begins a session for a login, in a browser or on a command line, and sends the response.
func (h *Handler) signIn(w http.ResponseWriter, r *http.Request, account *accounts.Account, l session.Login,
	to target) error {
	l.Account = account.ID
	signedIn := types.SignedIn{Name: account.Name}
	var s *session.Session
	var err error
	if to.commandLine {
		var value auth.Secret
		if s, value, err = h.sessions.Issue(r, l); err == nil {
			signedIn.Session = value.Value()
		}
	} else {
		signedIn.Return = to.path
		s, err = h.sessions.Start(w, r, l)
	}
	if errors.Is(err, auth.ErrCredentials) {
		err = errAccount.WithCause(err)
	}
	h.audit(r, account, err)
	if err != nil {
		return err
	}
	signedIn.Expires = s.Expires
	if to.commandLine || !to.navigation && wantsJSON(r) {
		return sendJSON(w, signedIn)
	}
	redirect(w, to.path)
	return nil
}

// target is where a sign-in leads.
type target struct {
	commandLine bool
	path        string // of a browser
	navigation  bool   // the browser itself sends the request, and not a program in its page
}

// audit records a sign-in, or a refusal if err is not nil. account may be nil.
func (h *Handler) audit(r *http.Request, account *accounts.Account, err error) {
	if h.opts.Audit == nil {
		return
	}
	d := auth.Decision{Allowed: err == nil, Rule: "signin", Err: err, Method: r.Method, Path: r.URL.Path,
		RemoteAddr: r.RemoteAddr, UserAgent: r.UserAgent()}
	if account != nil {
		d.Identity = auth.Identity{Name: account.Name,
			Claims: map[string]any{accounts.AccountClaim: string(account.ID)}}
	}
	h.opts.Audit(r.Context(), d)
}

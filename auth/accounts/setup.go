package accounts

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/internal/secretvalue"
	"github.com/registrykit/registry/storage/driver"
)

// setupRecord is the fact that the holder of a token may create the first admin.
type setupRecord struct {
	// Hash is the SHA-256 of the token, in hexadecimal digits.
	Hash string `json:"hash"`
	// Name is the name for which the token is being used or was used, or "".
	Name string `json:"name,omitempty"`
	// Call identifies the call that uses the token: a hash of token, name and password. Since is when it began.
	Call  string    `json:"call,omitempty"`
	Since time.Time `json:"since,omitzero"`
	// Done is the time at which the admin was created, or the zero Time.
	Done time.Time `json:"done,omitzero"`
}

// SetupToken returns a one-time token for [Accounts.SetUp], or "" if the registry has an admin. A new token
// replaces the previous one, including one that another replica has created. Print it once, or write it to a
// file with the mode 0600: the token makes its holder an admin.
//
// Errors: those of the Driver.
func (a *Accounts) SetupToken(ctx context.Context) (auth.Secret, error) {
	admins, err := a.Admins(ctx)
	if err != nil || len(admins) > 0 {
		return "", err
	}
	token := rand.Text()
	if err := put(ctx, a, setupKey, &setupRecord{Hash: secretvalue.Hash(token)}, &driver.PutOptions{}); err != nil {
		return "", err
	}
	return auth.Secret(token), nil
}

// SetUp creates the first admin. If several callers use the token at the same time, one of them succeeds. If
// SetUp is interrupted, a call with the same token, name and password completes it. Such a call also succeeds
// within a minute after the completion. A call with another name or password is refused for a minute after an
// interrupted call.
//
// Errors: ErrSetup if the token is wrong, used or replaced, or if there is an admin; those of CreateUser.
func (a *Accounts) SetUp(ctx context.Context, token auth.Secret, name, password string) (*Account, error) {
	acc, err := a.setUp(ctx, token, name, password)
	if err != nil && !errors.Is(err, ErrNotified) {
		return nil, a.refused(ctx, Actor{Name: name}, Change{Action: "setup"}, err)
	}
	return acc, err
}

func (a *Accounts) setUp(ctx context.Context, token auth.Secret, name, password string) (*Account, error) {
	hash := secretvalue.Hash(token.Value())
	call := secretvalue.Hash(token.Value() + "\x00" + name + "\x00" + password)
	if err := a.useToken(ctx, hash, name, call); err != nil {
		return nil, err
	}
	by := Actor{Name: name, Reason: "setup"}
	if password == "" {
		return nil, errors.Join(fmt.Errorf("%w: a password is required", ErrInvalid), a.freeToken(ctx, hash, call))
	}
	if err := a.noOtherAdmin(ctx, name); err != nil {
		return nil, err
	}
	// The token permits a repetition at any time, so the account may be as old as the token.
	acc, err := a.createUser(ctx, by, name, password, nil, 100*365*24*time.Hour)
	if errors.Is(err, ErrInvalid) || errors.Is(err, ErrTaken) {
		err = errors.Join(err, a.freeToken(ctx, hash, call))
	}
	if acc == nil {
		return nil, err
	}
	if aerr := a.firstAdmin(ctx, acc.ID); aerr != nil {
		return nil, aerr
	}
	_, derr := update(ctx, a, setupKey, func(r *setupRecord) error {
		if r.Hash != hash || !r.Done.IsZero() {
			return errUnchanged
		}
		r.Done, r.Call = a.now().UTC(), ""
		return nil
	})
	if ignore(derr, ErrUnknown) != nil {
		return nil, derr
	}
	return acc, errors.Join(err, a.done(ctx, by, Change{Action: "setup", Account: acc.Name, AccountID: acc.ID}))
}

// noOtherAdmin rejects a token that another replica created while the first admin was created. Without it,
// the caller would become an ordinary user before firstAdmin rejects the call.
//
// Errors: ErrSetup if there are admins, and the user called name is not one of them; those of the Driver.
func (a *Accounts) noOtherAdmin(ctx context.Context, name string) error {
	admins, err := a.Admins(ctx)
	if err != nil || len(admins) == 0 {
		return err
	}
	acc, err := a.Lookup(ctx, name)
	if errors.Is(err, ErrUnknown) || err == nil && !slices.Contains(admins, acc.ID) {
		return fmt.Errorf("%w: there is an admin", ErrSetup)
	}
	return err
}

// useToken checks a token and binds it to a call, so that other callers create no account. Calls with the same name
// and password are one call. If they differed only in the password, the one that finds the name taken would free the
// token while the other is about to succeed.
//
// Errors: ErrSetup; those of the Driver.
func (a *Accounts) useToken(ctx context.Context, hash, name, call string) error {
	if err := checkName(name); err != nil {
		return err
	}
	_, err := update(ctx, a, setupKey, func(r *setupRecord) error {
		switch {
		case subtle.ConstantTimeCompare([]byte(r.Hash), []byte(hash)) != 1:
			return ErrSetup
		case !r.Done.IsZero() && (r.Name != name || a.now().Sub(r.Done) >= retryTime):
			return fmt.Errorf("%w: it was used", ErrSetup)
		case !r.Done.IsZero(), r.Call == call:
			return errUnchanged
		case r.Call != "" && a.now().Sub(r.Since) < retryTime:
			return fmt.Errorf("%w: it is being used with another name or password", ErrSetup)
		}
		r.Name, r.Call, r.Since = name, call, a.now().UTC()
		return nil
	})
	if errors.Is(err, ErrUnknown) {
		return ErrSetup
	}
	return err
}

// freeToken lets the token be used by another call.
func (a *Accounts) freeToken(ctx context.Context, hash, call string) error {
	_, err := update(ctx, a, setupKey, func(r *setupRecord) error {
		if r.Hash != hash || r.Call != call || !r.Done.IsZero() {
			return errUnchanged
		}
		r.Name, r.Call, r.Since = "", "", time.Time{}
		return nil
	})
	return ignore(err, ErrUnknown)
}

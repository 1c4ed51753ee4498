package accounts

import (
	"context"
	"errors"
	"fmt"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/registrykit/registry/internal/options"
	"github.com/registrykit/registry/storage/driver"
)

// UserOptions are the options of [Accounts.CreateUser], [Accounts.SignUp] and
// [Accounts.CreateOrganisation]. nil means the zero UserOptions.
type UserOptions struct {
	Profile
}

// Profile is the part of an account that [Accounts.Update] changes.
type Profile struct {
	// FullName and Email are for display. They have at most 256 bytes each. Default: "".
	FullName, Email string
	// Visibility applies to the repositories of the namespace that have none of their own. Default: Private.
	Visibility Visibility
}

// maxProfile is the maximum length of the texts of a Profile, in bytes.
const maxProfile = 256

// check returns ErrInvalid for a profile that breaks a rule.
func (p *Profile) check() error {
	for _, text := range []string{p.FullName, p.Email} {
		if len(text) > maxProfile || !plain(text) {
			return fmt.Errorf("%w: the full name and the email must be at most %d bytes of printable text",
				ErrInvalid, maxProfile)
		}
	}
	switch p.Visibility {
	case "", Private, Public:
		return nil
	}
	return fmt.Errorf("%w: a visibility is %q or %q", ErrInvalid, Private, Public)
}

// plain reports whether a text is UTF-8 without control characters.
func plain(text string) bool {
	for _, c := range text {
		if unicode.IsControl(c) {
			return false
		}
	}
	return utf8.ValidString(text)
}

// retryTime is the time for which a creation that has succeeded can be repeated: a caller whose response was
// lost repeats it, and must not get ErrTaken.
const retryTime = time.Minute

// CreateUser creates a user. The name must have 2 to 39 lower-case letters, digits and single hyphens between
// them, and must begin with a letter. The password must pass [Accounts.CheckNewPassword]. If it is "", the
// user has no password, and can log in only with secrets or through [Federate].
//
// Errors: ErrInvalid, ErrTaken, ErrNotified; those of the Driver. After an error of the Driver, the user exists
// completely or not at all. In both cases, the same call succeeds if it is repeated within a minute.
func (a *Accounts) CreateUser(ctx context.Context, by Actor, name, password string,
	opts *UserOptions) (*Account, error) {
	return a.createUser(ctx, by, name, password, opts, retryTime)
}

// SignUp is CreateUser for people who create their own account: the actor is the new user, and a password is
// required. The caller must decide whether sign-up is open, and must limit attempts.
//
// Errors: those of CreateUser.
func (a *Accounts) SignUp(ctx context.Context, name, password string, opts *UserOptions) (*Account, error) {
	by := Actor{Name: name}
	if password == "" {
		err := fmt.Errorf("%w: a password is required", ErrInvalid)
		return nil, a.refused(ctx, Actor{}, Change{Action: "user.create"}, err)
	}
	return a.createUser(ctx, by, name, password, opts, retryTime)
}

// createUser is CreateUser. The same call can be repeated until the account is as old as retry.
func (a *Accounts) createUser(ctx context.Context, by Actor, name, password string, opts *UserOptions,
	retry time.Duration) (*Account, error) {
	c := &creation{a: a, by: by, profile: options.Value(opts).Profile, retry: retry,
		account: Account{Kind: User, Name: name}}
	c.prepare = func(ctx context.Context, id ID) error {
		if password == "" {
			return nil
		}
		return a.putPassword(ctx, id, password)
	}
	c.same = func(ctx context.Context, id ID) (bool, error) { return a.hasPassword(ctx, id, password) }
	c.check = func() error {
		if password == "" {
			return nil
		}
		return a.CheckNewPassword(name, password)
	}
	return c.run(ctx)
}

// CreateOrganisation creates an organisation with one owner. Users and organisations share one set of names.
//
// Errors: those of CreateUser; ErrUnknown if the owner is not an active user.
func (a *Accounts) CreateOrganisation(ctx context.Context, by Actor, name string, owner ID,
	opts *UserOptions) (*Account, error) {
	c := &creation{a: a, by: by, profile: options.Value(opts).Profile, retry: retryTime,
		account: Account{Kind: Organisation, Name: name, Owners: []ID{owner}}}
	c.check = func() error {
		user, err := a.activeUser(ctx, owner)
		if err == nil {
			c.member = user.Name
		}
		return err
	}
	c.prepare = func(ctx context.Context, id ID) error {
		now := a.now().UTC()
		err := create(ctx, a, hintKey(owner, id), &hint{Since: now})
		a.facts.forget(hintsPrefix(owner))
		if err != nil {
			return err
		}
		return create(ctx, a, memberKey(id, owner), &membership{User: owner, Since: now, OwnerOnly: true})
	}
	c.same = func(ctx context.Context, id ID) (bool, error) {
		_, _, err := get[membership](ctx, a, memberKey(id, owner))
		if errors.Is(err, ErrUnknown) {
			return false, nil
		}
		return err == nil, err
	}
	c.ready = func(ctx context.Context) error {
		if err := a.hintOrganisation(ctx, name); err != nil {
			return err
		}
		return a.touchUser(ctx, owner)
	}
	return c.run(ctx)
}

// creation is the creation of one user or organisation.
type creation struct {
	a       *Accounts
	by      Actor
	account Account
	profile Profile
	retry   time.Duration
	member  string // the name of the owner of an organisation
	// check checks the arguments that differ between kinds of accounts.
	check func() error
	// id returns the ID of the new account. nil means a random one.
	id func(ctx context.Context) (ID, error)
	// prepare writes what the account needs before its record.
	prepare func(ctx context.Context, id ID) error
	// same reports whether prepare was called for id with the same arguments.
	same func(ctx context.Context, id ID) (bool, error)
	// ready is called between prepare and the record of the account. It is nil for a user.
	ready func(ctx context.Context) error
}

// run creates the account and reports that.
func (c *creation) run(ctx context.Context) (*Account, error) {
	c.account.FullName, c.account.Email, c.account.Visibility = c.profile.FullName, c.profile.Email, c.profile.Visibility
	err := checkName(c.account.Name)
	change := Change{Action: string(c.account.Kind) + ".create"}
	if err == nil {
		change.Account = c.account.Name // other texts are kept out of the audit
		err = c.profile.check()
	}
	if err == nil {
		err = c.check()
	}
	change.Member = c.member
	if err == nil {
		err = c.make(ctx)
	}
	if err != nil {
		return nil, c.a.refused(ctx, c.by, change, err)
	}
	change.AccountID = c.account.ID
	return &c.account, c.a.done(ctx, c.by, change)
}

// make claims the name and commits the account, or continues an earlier call that did not finish.
func (c *creation) make(ctx context.Context) error {
	a := c.a
	made, err := c.resume(ctx)
	if made || err != nil {
		return err
	}
	if c.account.ID == "" {
		if err := a.allowed(ctx, c.by, c.account.Name); err != nil {
			return err
		}
		if err := c.begin(ctx); err != nil {
			return err
		}
		if err := a.claim(ctx, c.by, c.account.Name, c.account.ID); err != nil {
			if errors.Is(err, ErrTaken) {
				err = errors.Join(err, a.clear(ctx, &c.account))
			}
			return err
		}
	}
	if c.ready != nil {
		if err := c.ready(ctx); err != nil {
			return err
		}
	}
	c.account.Created = a.now().UTC()
	err = create(ctx, a, accountKey(c.account.ID), &accountRecord{Account: c.account})
	if !driver.IsConflict(err) {
		return err
	}
	// Another call with the same arguments was first, or the claim was taken over.
	now, _, err := get[accountRecord](ctx, a, accountKey(c.account.ID))
	if err != nil {
		return err
	}
	if now.Removed != nil || now.Name != c.account.Name {
		return fmt.Errorf("%w: somebody else has taken it meanwhile", ErrTaken)
	}
	c.account = now.Account
	return nil
}

// begin chooses the ID of the account and prepares what it needs.
func (c *creation) begin(ctx context.Context) (err error) {
	c.account.ID = newID()
	if c.id != nil {
		if c.account.ID, err = c.id(ctx); err != nil {
			return err
		}
	}
	return c.prepare(ctx, c.account.ID)
}

// resume looks for an earlier call with the same arguments. It sets the ID of the account if that
// call has claimed the name, and reports whether it has made the account.
//
// Errors: ErrTaken if another account has the name, before prepare spends anything on it; those of
// the Driver.
func (c *creation) resume(ctx context.Context) (made bool, err error) {
	skel := skeleton(c.account.Name)
	rec, _, err := get[nameRecord](ctx, c.a, nameKey(skel))
	if errors.Is(err, ErrUnknown) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	old, err := c.a.accountNow(ctx, rec.ID)
	if ignore(err, ErrUnknown) != nil {
		return false, err
	}
	same := rec.Name == c.account.Name
	if old != nil {
		same = old.Kind == c.account.Kind && old.Name == c.account.Name && old.Active() &&
			c.a.now().Sub(old.Created) < c.retry
	}
	if same {
		if same, err = c.same(ctx, rec.ID); err != nil {
			return false, err
		}
	}
	switch {
	case same && old != nil:
		c.account = *old
		return true, nil
	case same:
		c.account.ID = rec.ID
	case old != nil && old.Removed == nil && old.lists(skel):
		return false, errTaken
	}
	return false, nil
}

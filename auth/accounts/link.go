package accounts

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/registrykit/registry/auth/internal/secretvalue"
	"github.com/registrykit/registry/internal/options"
	"github.com/registrykit/registry/storage/driver"
)

// Person identifies somebody at an OpenID provider.
type Person struct {
	// Issuer is the claim iss of the provider's tokens, and Subject is their claim sub. A provider
	// never gives the subject of one person to another.
	Issuer  string `json:"issuer"`
	Subject string `json:"subject"`
}

const (
	// maxLinks is the maximum number of links of a user. Concurrent calls may exceed it slightly.
	maxLinks = 20
	// maxIssuer and maxSubject are the maximum lengths of the texts of a Person, in bytes.
	maxIssuer, maxSubject = 1024, 255
)

// linkRecord is the fact that a person at a provider is a user. It is written once and never
// changed. A link to an account that does not exist gives nothing: its creation is running or was
// interrupted.
//
// The link of a removed user stays, so that the person does not get a new account at the next
// sign-in.
type linkRecord struct {
	Person
	Account ID        `json:"account"`
	Created time.Time `json:"created"`
}

func (l *linkRecord) isAt(key string) bool { return key == linkKey(l.Person) && validID(l.Account) }

// hash returns the part of a key that identifies a person.
func (p Person) hash() string {
	sum := sha256.Sum256([]byte(p.Issuer + "\x00" + p.Subject))
	return secretvalue.Encode(sum[:])
}

// check returns ErrInvalid for a person who cannot be linked.
func (p Person) check() error {
	if p.Issuer == "" || len(p.Issuer) > maxIssuer || p.Subject == "" || len(p.Subject) > maxSubject ||
		!plain(p.Issuer) || !plain(p.Subject) {
		return fmt.Errorf("%w: an issuer has 1 to %d and a subject 1 to %d printable characters", ErrInvalid, maxIssuer,
			maxSubject)
	}
	return nil
}

// String returns the person as a text for the audit.
func (p Person) String() string { return p.Subject + " of " + p.Issuer }

func linkKey(p Person) string { return prefix + "x/" + p.hash() }

// linksPrefix is the prefix of the keys of the hints for the links of a user. A hint is written
// before the link.
func linksPrefix(user ID) string { return prefix + "i/" + string(user) + "/" }

// Linked returns the user that a person at a provider is linked to. The user may be disabled or
// removed. Linked does not use the cache.
//
// Errors: ErrUnknown.
func (a *Accounts) Linked(ctx context.Context, person Person) (ID, error) {
	l, _, err := get[linkRecord](ctx, a, linkKey(person))
	if err != nil {
		return "", err
	}
	if _, err := a.accountNow(ctx, l.Account); err != nil {
		return "", err
	}
	return l.Account, nil
}

// Links returns the persons at providers that a user is linked to.
//
// Errors: ErrUnknown.
func (a *Accounts) Links(ctx context.Context, user ID) ([]Person, error) {
	if _, err := a.accountNow(ctx, user); err != nil {
		return nil, err
	}
	var persons []Person
	for key, err := range a.keys(ctx, linksPrefix(user), "") {
		if err != nil {
			return nil, err
		}
		l, _, err := get[linkRecord](ctx, a, prefix+"x/"+last(key))
		if ignore(err, ErrUnknown) != nil {
			return nil, err
		}
		if err == nil && l.Account == user {
			persons = append(persons, l.Person)
		}
	}
	return persons, nil
}

// Link links a person at a provider to an active user, who can sign in as that person from then on.
// Linking again does nothing. The caller must have checked that the person and the user are the
// same: by a sign-in of both, and never by a name or e-mail address.
//
// Errors: ErrUnknown; ErrInvalid; ErrTaken if the person is linked to another account; ErrLimit (20
// links of a user); ErrNotified.
func (a *Accounts) Link(ctx context.Context, by Actor, person Person, user ID) error {
	c := a.about(ctx, "user.link", user)
	err := person.check()
	if err == nil {
		c.After = person.String()
		_, err = a.activeUser(ctx, user)
	}
	if err == nil {
		err = a.limitLinks(ctx, user)
	}
	made := false
	if err == nil {
		made, err = a.putLink(ctx, person, user)
	}
	return a.settle(ctx, by, c, made, err)
}

// limitLinks returns ErrLimit if a user has the maximum number of links.
func (a *Accounts) limitLinks(ctx context.Context, user ID) error {
	n, err := a.count(ctx, linksPrefix(user), maxLinks)
	if err == nil && n >= maxLinks {
		err = fmt.Errorf("%w: the user has %d links", ErrLimit, n)
	}
	return err
}

// putLink writes a link unless it exists. It replaces a link to an account that does not exist.
//
// Errors: ErrTaken if there is a link to another account; those of the Driver.
func (a *Accounts) putLink(ctx context.Context, person Person, user ID) (made bool, err error) {
	now := a.now().UTC()
	if err := put(ctx, a, linksPrefix(user)+person.hash(), &hint{Since: now}, &driver.PutOptions{}); err != nil {
		return false, err
	}
	for n := 0; ; n++ {
		opts := &driver.PutOptions{IfAbsent: true}
		old, version, err := get[linkRecord](ctx, a, linkKey(person))
		if ignore(err, ErrUnknown) != nil {
			return false, err
		}
		if old != nil {
			if old.Account == user {
				return made, nil
			}
			if _, err := a.accountNow(ctx, old.Account); !errors.Is(err, ErrUnknown) {
				return false, errors.Join(err, fmt.Errorf("%w: the person is linked to another account", ErrTaken))
			}
			opts = &driver.PutOptions{IfVersion: version}
		}
		err = put(ctx, a, linkKey(person), &linkRecord{person, user, now}, opts)
		if !driver.IsConflict(err) {
			return err == nil, err
		}
		if err := pause(ctx, n); err != nil {
			return false, err
		}
	}
}

// Unlink ends a link, so that the person at the provider cannot sign in as the user any more.
//
// Errors: ErrUnknown, also if the person is linked to another account; ErrNotified.
func (a *Accounts) Unlink(ctx context.Context, by Actor, person Person, user ID) error {
	c := a.about(ctx, "user.unlink", user)
	c.Before = person.String()
	l, version, err := get[linkRecord](ctx, a, linkKey(person))
	if err == nil && l.Account != user {
		err = ErrUnknown
	}
	if err == nil {
		err = a.dropVersion(ctx, linkKey(person), version)
	}
	if err == nil {
		err = a.drop(ctx, linksPrefix(user)+person.hash())
	}
	return a.settle(ctx, by, c, true, err)
}

// CreateLinked creates a user without a password, and links a person at a provider to it. If it is
// interrupted, the next call for this person continues with the same account, so no name is lost.
//
// Errors: those of CreateUser; ErrTaken also if the person is linked to another account.
func (a *Accounts) CreateLinked(ctx context.Context, by Actor, person Person, name string,
	opts *UserOptions) (*Account, error) {
	c := &creation{a: a, by: by, profile: options.Value(opts).Profile, retry: retryTime,
		account: Account{Kind: User, Name: name}, check: person.check}
	c.id = func(ctx context.Context) (ID, error) { return a.reserveLink(ctx, person) }
	c.prepare = func(context.Context, ID) error { return nil }
	c.same = func(ctx context.Context, id ID) (bool, error) {
		l, _, err := get[linkRecord](ctx, a, linkKey(person))
		return err == nil && l.Account == id, ignore(err, ErrUnknown)
	}
	account, err := c.run(ctx)
	if account == nil {
		return nil, err
	}
	// Another call may have replaced the link before this one has created the account.
	if _, lerr := a.putLink(ctx, person, account.ID); lerr != nil {
		return nil, errors.Join(lerr, err)
	}
	return account, err
}

// reserveLink returns the ID for the account of a person: that of an interrupted call, or a new
// one. It writes the link to the account, which does not exist yet.
//
// Errors: ErrTaken if the person is linked to an account; those of the Driver.
func (a *Accounts) reserveLink(ctx context.Context, person Person) (ID, error) {
	l, _, err := get[linkRecord](ctx, a, linkKey(person))
	if ignore(err, ErrUnknown) != nil {
		return "", err
	}
	id := newID()
	if l != nil {
		switch r, _, err := get[accountRecord](ctx, a, accountKey(l.Account)); {
		case errors.Is(err, ErrUnknown):
			return l.Account, nil
		case err != nil:
			return "", err
		case r.Kind != "": // otherwise its creation was given up
			return "", fmt.Errorf("%w: the person is linked to an account", ErrTaken)
		}
	}
	_, err = a.putLink(ctx, person, id)
	return id, err
}

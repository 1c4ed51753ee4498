package accounts

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/registrykit/registry/storage/driver"
)

// parseFact parses and checks the fact of a line.
//
// Errors: ErrInvalid.
func (im *importer) parseFact(l *unparsed) (job, error) {
	switch l.Type {
	case lineAccount:
		return im.account(l)
	case lineName:
		return im.name(l)
	case linePassword:
		return im.password(l)
	case lineSecret:
		return im.secret(l)
	case lineUses:
		return im.uses(l)
	case lineTeam:
		return im.team(l)
	case lineMember:
		return im.member(l)
	case lineRepository:
		return im.repository(l)
	case lineLink:
		return im.link(l)
	case lineAdmin:
		return im.admin(l)
	}
	return job{}, fmt.Errorf("%w: the type %.32q is unknown", ErrInvalid, l.Type)
}

// importFact stores a fact. For an existing fact, it calls merge, which returns the fact to store in its place,
// errUnchanged, or the reason why the existing fact must stay.
//
// Errors: ErrTaken without ImportOptions.Replace; those of merge and of the Driver.
func importFact[T any](ctx context.Context, im *importer, key string, fact *T, merge func(old *T) (*T, error)) (outcome,
	error) {
	for n := 0; ; n++ {
		next, opts, done := fact, &driver.PutOptions{IfAbsent: true}, added
		old, version, err := get[T](ctx, im.a, key)
		switch {
		case err == nil:
			next, err = merge(old)
			if errors.Is(err, errUnchanged) {
				return same, nil
			}
			if err == nil && !im.opts.Replace {
				err = fmt.Errorf("%w: there is another %s", ErrTaken, strings.TrimPrefix(key, prefix))
			}
			opts, done = &driver.PutOptions{IfVersion: version}, replaced
		case errors.Is(err, ErrUnknown):
			err = nil
		}
		if err != nil || im.opts.DryRun {
			return done, err
		}
		if err := put(ctx, im.a, key, next, opts); !driver.IsConflict(err) {
			return done, err
		}
		if err := pause(ctx, n); err != nil {
			return same, err
		}
	}
}

// replaceBy returns a merge function that replaces the whole fact.
func replaceBy[T any](fact *T) func(old *T) (*T, error) {
	return func(old *T) (*T, error) {
		if equalJSON(old, fact) {
			return nil, errUnchanged
		}
		return fact, nil
	}
}

func equalJSON(a, b any) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}

// needs returns an error unless there is an account with the ID and one of the kinds. The account may be disabled or
// removed.
//
// Errors: ErrUnknown, ErrInvalid; those of the Driver.
func (im *importer) needs(ctx context.Context, id ID, kinds ...Kind) error {
	if !validID(id) {
		return fmt.Errorf("%w: %.32q is no ID", ErrInvalid, id)
	}
	im.mu.Lock()
	kind, ok := im.seen[id]
	im.mu.Unlock()
	if !ok {
		account, err := im.a.Account(ctx, id)
		if err != nil {
			return fmt.Errorf("account %s: %w", id, err)
		}
		kind = account.Kind
	}
	if !slices.Contains(kinds, kind) {
		return fmt.Errorf("%w: account %s is a %s", ErrInvalid, id, kind)
	}
	return nil
}

// name parses a released name or the name of a removed account.
func (im *importer) name(l *unparsed) (job, error) {
	r, err := strictly[nameRecord](l.Fact)
	switch {
	case err != nil:
		return job{}, err
	case !validName(r.Name) || !validID(r.ID) || r.At.IsZero():
		return job{}, fmt.Errorf("%w: a name needs name, id and at", ErrInvalid)
	}
	merge := func(old *nameRecord) (*nameRecord, error) {
		if old.ID == r.ID && old.Released.Equal(r.Released) {
			return old, errUnchanged
		}
		return old, fmt.Errorf("%w: the name %s is in use", ErrTaken, r.Name)
	}
	return job{change: Change{Account: r.Name, AccountID: r.ID}, apply: func(ctx context.Context) (outcome, error) {
		return importFact(ctx, im, nameKey(skeleton(r.Name)), r, merge)
	}}, nil
}

// password parses the hash of a password.
func (im *importer) password(l *unparsed) (job, error) {
	r, err := strictly[passwordRecord](l.Fact)
	if err == nil {
		_, err = parseArgon(r.Hash)
		if err != nil {
			err = fmt.Errorf("%w: %w", ErrInvalid, err)
		}
	}
	if err != nil {
		return job{}, err
	}
	return job{change: Change{AccountID: l.Of}, apply: func(ctx context.Context) (outcome, error) {
		if err := im.needs(ctx, l.Of, User); err != nil {
			return same, err
		}
		return importFact(ctx, im, passwordKey(l.Of), r, replaceBy(r))
	}}, nil
}

// secret parses a secret.
func (im *importer) secret(l *unparsed) (job, error) {
	s, err := strictly[Secret](l.Fact)
	switch {
	case err != nil:
		return job{}, err
	case !validSecretID(s.ID) || s.Rotated != "" && !validSecretID(s.Rotated):
		err = errors.New("the ID is malformed")
	case len(s.Hash) != 64 || strings.Trim(s.Hash, "0123456789abcdef") != "":
		err = errors.New("the hash must be a SHA-256 in hexadecimal digits")
	case s.Created.IsZero():
		err = errors.New("the time created is missing")
	default:
		checked := SecretOptions{Scopes: s.Scopes, Expires: s.Expires}
		return job{change: Change{AccountID: s.Owner, Secret: s.ID}, apply: func(ctx context.Context) (outcome, error) {
			if err := im.needs(ctx, s.Owner, User, Robot); err != nil {
				return same, err
			}
			return importFact(ctx, im, secretKey(s.Owner, s.ID), s, replaceBy(s))
		}}, checkNewSecret(s.Name, &checked, time.Time{})
	}
	return job{}, fmt.Errorf("%w: secret: %w", ErrInvalid, err)
}

// uses parses the times of the last uses of secrets. Later times take precedence, so they never conflict.
func (im *importer) uses(l *unparsed) (job, error) {
	r, err := strictly[usesRecord](l.Fact)
	if err != nil {
		return job{}, err
	}
	if len(r.Used) > maxUsesStored {
		return job{}, fmt.Errorf("%w: more than %d secrets", ErrInvalid, maxUsesStored)
	}
	for id := range r.Used {
		if !validSecretID(id) {
			return job{}, fmt.Errorf("%w: %.32q is no ID of a secret", ErrInvalid, id)
		}
	}
	return job{change: Change{AccountID: l.Of}, apply: func(ctx context.Context) (outcome, error) {
		if err := im.needs(ctx, l.Of, User, Robot); err != nil || im.opts.DryRun {
			return same, err
		}
		return same, im.a.storeUses(ctx, l.Of, r.Used)
	}}, nil
}

// team parses a team.
func (im *importer) team(l *unparsed) (job, error) {
	t, err := strictly[Team](l.Fact)
	switch {
	case err != nil:
		return job{}, err
	case !validID(t.ID) || !validName(t.Name) || t.Name == ownersTeam || t.Created.IsZero():
		return job{}, fmt.Errorf("%w: a team needs id, name and created", ErrInvalid)
	case len(t.Description) > maxTeamText || !plain(t.Description):
		return job{}, fmt.Errorf("%w: the description must be at most %d bytes of printable text", ErrInvalid, maxTeamText)
	}
	return job{change: Change{AccountID: l.Of, Team: t.Name}, apply: func(ctx context.Context) (outcome, error) {
		if err := im.needs(ctx, l.Of, Organisation); err != nil {
			return same, err
		}
		return importFact(ctx, im, teamKey(l.Of, t.Name), t, replaceBy(t))
	}}, checkGrants(t.Grants)
}

// member parses a membership. Its hint is written first, as in AddMember.
func (im *importer) member(l *unparsed) (job, error) {
	m, err := strictly[membership](l.Fact)
	if err != nil {
		return job{}, err
	}
	if len(m.Teams) > maxMemberTeams {
		return job{}, fmt.Errorf("%w: a member is in at most %d teams", ErrInvalid, maxMemberTeams)
	}
	for _, ref := range m.Teams {
		if !validName(ref.Name) || !validID(ref.ID) {
			return job{}, fmt.Errorf("%w: a team of the member needs name and id", ErrInvalid)
		}
	}
	return job{change: Change{AccountID: l.Of, Member: string(m.User)}, apply: func(ctx context.Context) (outcome, error) {
		if err := im.needs(ctx, l.Of, Organisation); err != nil {
			return same, err
		}
		if err := im.needs(ctx, m.User, User); err != nil {
			return same, err
		}
		if !im.opts.DryRun {
			if err := im.a.addHint(ctx, m.User, l.Of); err != nil {
				return same, err
			}
		}
		return importFact(ctx, im, memberKey(l.Of, m.User), m, replaceBy(m))
	}}, nil
}

// repository reads what is known of a repository.
func (im *importer) repository(l *unparsed) (job, error) {
	r, err := strictly[repositoryRecord](l.Fact)
	switch {
	case err != nil:
		return job{}, err
	case checkRepository(r.Name) != nil:
		return job{}, fmt.Errorf("%w: the name of the repository is malformed", ErrInvalid)
	case r.Of != "" && !validID(r.Of):
		return job{}, fmt.Errorf("%w: the account of the repository is no ID", ErrInvalid)
	}
	return job{change: Change{Repository: r.Name}, apply: func(ctx context.Context) (outcome, error) {
		defer im.a.facts.forget(repositoriesPrefix(namespaceOf(r.Name)))
		return importFact(ctx, im, repositoryKey(r.Name), r, replaceBy(r))
	}}, r.check(r.Name)
}

// link parses a link of a person at a provider. Its hint is written first, as in Link.
func (im *importer) link(l *unparsed) (job, error) {
	r, err := strictly[linkRecord](l.Fact)
	if err != nil {
		return job{}, err
	}
	if r.Created.IsZero() {
		return job{}, fmt.Errorf("%w: the time created of the link is missing", ErrInvalid)
	}
	return job{change: Change{AccountID: r.Account}, apply: func(ctx context.Context) (outcome, error) {
		if err := im.needs(ctx, r.Account, User); err != nil {
			return same, err
		}
		if !im.opts.DryRun {
			hinted := &hint{Since: r.Created}
			err := put(ctx, im.a, linksPrefix(r.Account)+r.hash(), hinted, &driver.PutOptions{})
			if err != nil {
				return same, err
			}
		}
		return importFact(ctx, im, linkKey(r.Person), r, replaceBy(r))
	}}, r.check()
}

// admin parses an admin.
func (im *importer) admin(l *unparsed) (job, error) {
	r, err := strictly[adminLine](l.Fact)
	if err != nil {
		return job{}, err
	}
	return job{silent: true, change: Change{AccountID: r.ID}, apply: func(ctx context.Context) (outcome, error) {
		if err := im.needs(ctx, r.ID, User); err != nil {
			return same, err
		}
		is, err := im.a.IsAdmin(ctx, r.ID)
		if is || err != nil || im.opts.DryRun {
			return map[bool]outcome{true: same, false: added}[is], err
		}
		return added, im.a.AddAdmin(ctx, im.by, r.ID)
	}}, nil
}

package accounts

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/registrykit/registry/storage/driver"
)

const (
	// maxOrganisations is the maximum number of organisations of a user, because the groups of a user cost a read
	// of each. Concurrent calls may exceed it slightly.
	maxOrganisations = 1000
	// maxMemberTeams is the maximum number of teams of a member in one organisation.
	maxMemberTeams = 100
	// hintLife is the minimum age of a hint without a membership that tidyUser deletes. It is longer than any call
	// needs to write the membership after the hint: otherwise tidyUser could delete the hint of a new member.
	hintLife = time.Hour
)

// membership is the fact that a user is a member of an organisation and of some of its teams. An owner is a member
// even without a record.
type membership struct {
	User  ID        `json:"user"`
	Since time.Time `json:"since"`
	// Teams are sorted by name. A reference whose ID is not that of the team of this name is outdated, and gives
	// nothing: the team was removed, and perhaps created again.
	Teams []teamRef `json:"teams,omitempty"`
	// OwnerOnly means that the record is valid only while the user is an owner. So the compare-and-swap of the
	// owners also begins the membership of a new owner, and ends the membership of an owner who is removed.
	OwnerOnly bool `json:"ownerOnly,omitempty"`
}

type teamRef struct {
	Name string `json:"name"`
	ID   ID     `json:"id"`
}

// hint is the fact that a user may be a member of an organisation. Hints are the list of the organisations of a user.
// A hint is written before the membership, so that no membership is missing in the list after a crash.
type hint struct {
	Since time.Time `json:"since"`
}

// membersPrefix is the prefix of the keys of the memberships of an organisation.
func membersPrefix(organisation ID) string { return prefix + "m/" + string(organisation) + "/" }

func memberKey(organisation, user ID) string { return membersPrefix(organisation) + string(user) }

// hintsPrefix is the prefix of the keys of the hints of a user, and the key of their list in the cache.
func hintsPrefix(user ID) string { return prefix + "o/" + string(user) + "/" }

func hintKey(user, organisation ID) string { return hintsPrefix(user) + string(organisation) }

// organisationNow reads an organisation from the storage, and does not use the cache.
//
// Errors: ErrUnknown, also for a removed organisation; those of the Driver.
func (a *Accounts) organisationNow(ctx context.Context, id ID) (*Account, error) {
	account, err := a.accountNow(ctx, id)
	if err == nil && (account.Kind != Organisation || account.Removed != nil) {
		return nil, ErrUnknown
	}
	return account, err
}

// counts reports whether a membership is valid; see OwnerOnly. m may be the zero membership, which is not.
//
// Errors: ErrUnknown if there is no such organisation; those of the Driver.
func (a *Accounts) counts(ctx context.Context, organisation ID, m *membership) (bool, error) {
	if !m.OwnerOnly {
		return m.User != "", nil
	}
	account, err := a.organisationNow(ctx, organisation)
	if err != nil {
		return false, err
	}
	return slices.Contains(account.Owners, m.User), nil
}

// addHint writes a hint before a membership. It writes even if there is a hint: the new version prevents a concurrent
// tidyUser from deleting it.
//
// Errors: ErrLimit; those of the Driver.
func (a *Accounts) addHint(ctx context.Context, user, organisation ID) error {
	has, known, err := a.countHints(ctx, user, organisation)
	if err == nil && !has && known >= maxOrganisations {
		if err := a.tidyUser(ctx, user); err != nil {
			return err
		}
		_, known, err = a.countHints(ctx, user, organisation)
		if err == nil && known >= maxOrganisations {
			return fmt.Errorf("%w: the user is in %d organisations", ErrLimit, known)
		}
	}
	if err != nil {
		return err
	}
	err = put(ctx, a, hintKey(user, organisation), &hint{Since: a.now().UTC()}, &driver.PutOptions{})
	a.facts.forget(hintsPrefix(user))
	return err
}

// countHints returns how many hints a user has, and whether one is for the organisation.
func (a *Accounts) countHints(ctx context.Context, user, organisation ID) (has bool, n int, err error) {
	for found, err := range a.organisationsOf(ctx, user) {
		if err != nil {
			return false, 0, err
		}
		has = has || found == organisation
		n++
	}
	return has, n, nil
}

// organisationsOf yields the organisations that a user may be a member of, in ascending order.
func (a *Accounts) organisationsOf(ctx context.Context, user ID) iter.Seq2[ID, error] {
	return a.ids(ctx, hintsPrefix(user), "")
}

// ids yields the IDs at the end of the keys with a prefix, after an ID.
func (a *Accounts) ids(ctx context.Context, prefix string, after ID) iter.Seq2[ID, error] {
	return func(yield func(ID, error) bool) {
		opts := &driver.ListOptions{KeysOnly: true}
		if after != "" {
			opts.After = prefix + string(after)
		}
		for info, err := range a.driver.List(ctx, prefix, opts) {
			if err != nil {
				yield("", err)
				return
			}
			if id := ID(strings.TrimPrefix(info.Key, prefix)); validID(id) && !yield(id, nil) {
				return
			}
		}
	}
}

// tidyMembership deletes the record of a membership that is not valid.
func (a *Accounts) tidyMembership(ctx context.Context, organisation, user ID) error {
	key := memberKey(organisation, user)
	m, version, err := get[membership](ctx, a, key)
	if err != nil {
		return ignore(err, ErrUnknown)
	}
	counts, err := a.counts(ctx, organisation, m)
	if counts || ignore(err, ErrUnknown) != nil {
		return err
	}
	return a.dropVersion(ctx, key, version)
}

// tidyUser deletes the memberships of a removed user, those in removed organisations, and hints without a membership.
// It is safe at any time.
func (a *Accounts) tidyUser(ctx context.Context, user ID) error {
	account, err := a.accountNow(ctx, user)
	if ignore(err, ErrUnknown) != nil {
		return err
	}
	gone := err != nil || account.Removed != nil
	for organisation, err := range a.organisationsOf(ctx, user) {
		if err == nil {
			err = a.tidyHint(ctx, user, organisation, gone)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// tidyHint is tidyUser for one organisation.
func (a *Accounts) tidyHint(ctx context.Context, user, organisation ID, gone bool) error {
	h, version, err := get[hint](ctx, a, hintKey(user, organisation))
	if err != nil {
		return ignore(err, ErrUnknown)
	}
	org, err := a.organisationNow(ctx, organisation)
	if ignore(err, ErrUnknown) != nil {
		return err
	}
	old := gone || a.now().Sub(h.Since) >= hintLife
	switch {
	case err != nil && !old: // the organisation may be being created
		return nil
	case err == nil && slices.Contains(org.Owners, user):
		return nil
	case err != nil || gone:
		err = a.drop(ctx, memberKey(organisation, user))
	default:
		err = a.tidyMembership(ctx, organisation, user)
	}
	if err != nil || !old {
		return err
	}
	if _, _, err = get[membership](ctx, a, memberKey(organisation, user)); !errors.Is(err, ErrUnknown) {
		return err
	}
	err = a.dropVersion(ctx, hintKey(user, organisation), version)
	a.facts.forget(hintsPrefix(user))
	return err
}

package accounts

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/registrykit/registry/storage/driver"
)

// account parses an account.
func (im *importer) account(l *unparsed) (job, error) {
	acc, err := strictly[Account](l.Fact)
	if err == nil {
		err = checkAccount(acc)
	}
	if err != nil {
		return job{}, err
	}
	// Organisations may refer to users, and robots to both.
	group := lineAccount + " " + string(acc.Kind)
	if acc.Removed != nil {
		group += " removed"
	}
	return job{group: group, change: Change{Account: acc.Name, AccountID: acc.ID},
		apply: func(ctx context.Context) (outcome, error) { return im.importAccount(ctx, acc) }}, nil
}

// checkAccount checks the fields of an account without the storage.
//
// Errors: ErrInvalid.
func checkAccount(acc *Account) error {
	profile := Profile{acc.FullName, acc.Email, acc.Visibility}
	namespace, robot, isRobot := strings.Cut(acc.Name, "+")
	var err error
	switch {
	case !validID(acc.ID):
		err = errors.New("the ID is malformed")
	case acc.Created.IsZero():
		err = errors.New("the time created is missing")
	case isRobot != (acc.Kind == Robot), !validName(namespace), isRobot && !validName(robot),
		slices.ContainsFunc(acc.Former, func(name string) bool { return !validName(name) }):
		err = errors.New("a name breaks the rules for this kind of account")
	case len(acc.Former) > maxFormer || len(acc.Former) > 0 && isRobot:
		err = errors.New("too many former names")
	case acc.Kind != User && acc.Kind != Organisation && acc.Kind != Robot:
		err = fmt.Errorf("the kind %.32q is unknown", acc.Kind)
	case isRobot != (acc.Namespace != ""), len(acc.Grants) > 0 && !isRobot:
		err = errors.New("robots, and nobody else, have a namespace and grants")
	case (acc.Kind == Organisation) != (len(acc.Owners) > 0):
		err = errors.New("organisations, and nobody else, have owners")
	case len(acc.Owners) > maxSeats:
		err = fmt.Errorf("more than %d owners", maxSeats)
	default:
		return errors.Join(profile.check(), checkGrants(acc.Grants))
	}
	return fmt.Errorf("%w: account: %w", ErrInvalid, err)
}

// importAccount checks that the accounts it refers to exist, takes the names of the account, and stores it.
func (im *importer) importAccount(ctx context.Context, acc *Account) (outcome, error) {
	for _, owner := range acc.Owners {
		if err := im.needs(ctx, owner, User); err != nil {
			return same, err
		}
	}
	if acc.Kind == Robot {
		if err := im.needs(ctx, acc.Namespace, User, Organisation); err != nil {
			return same, err
		}
	}
	if err := im.mayBe(ctx, acc); err != nil {
		return same, err
	}
	for _, owner := range acc.Owners {
		if im.opts.DryRun {
			break
		}
		if err := im.a.addHint(ctx, owner, acc.ID); err != nil { // before the ownership, as in AddOwner
			return same, err
		}
	}
	for _, name := range append([]string{acc.Name}, acc.Former...) {
		if err := im.takeName(ctx, acc, name); err != nil {
			return same, fmt.Errorf("the name %s: %w", name, err)
		}
	}
	if acc.Kind == Organisation && !im.opts.DryRun {
		if err := im.a.hintOrganisation(ctx, acc.Name); err != nil { // before the organisation, as in CreateOrganisation
			return same, err
		}
	}
	done, err := importFact(ctx, im, accountKey(acc.ID), &accountRecord{Account: *acc}, func(old *accountRecord) (
		*accountRecord, error) {
		if equalJSON(&old.Account, acc) {
			return nil, errUnchanged
		}
		if !acc.Active() {
			if err := im.a.dismissAdmin(ctx, acc.ID); err != nil && im.opts.Replace {
				return nil, err
			}
		}
		return &accountRecord{Account: *acc}, nil
	})
	if err == nil && im.opts.DryRun {
		im.mu.Lock()
		defer im.mu.Unlock()
		im.seen[acc.ID] = acc.Kind
	}
	return done, err
}

// mayBe returns ErrTaken if there is an account with this ID that Import must not change. It is called before names are
// taken for the account.
//
// Errors: ErrTaken; those of the Driver.
func (im *importer) mayBe(ctx context.Context, acc *Account) error {
	old, _, err := get[accountRecord](ctx, im.a, accountKey(acc.ID))
	switch {
	case errors.Is(err, ErrUnknown):
		return nil
	case err != nil:
		return err
	case old.Kind != acc.Kind || old.Namespace != acc.Namespace:
		return fmt.Errorf("%w: the ID belongs to another account", ErrTaken)
	case !im.opts.Replace && !equalJSON(&old.Account, acc):
		return fmt.Errorf("%w: there is another u/%s", ErrTaken, acc.ID)
	}
	return nil
}

// takeName gives a name to an account. The names of removed accounts have lines of their own, because several removed
// accounts may have had the same name.
//
// Errors: ErrTaken; those of the Driver.
func (im *importer) takeName(ctx context.Context, acc *Account, name string) error {
	if acc.Removed != nil {
		return nil
	}
	key := nameKey(skeleton(name))
	if acc.Kind == Robot {
		key = robotKey(acc.Namespace, robotPart(name))
	}
	rec, _, err := get[nameRecord](ctx, im.a, key)
	switch {
	case err == nil && rec.ID == acc.ID && rec.Released.IsZero():
		return nil
	case ignore(err, ErrUnknown) != nil:
		return err
	case err == nil && rec.ID != acc.ID && (acc.Kind == Robot || im.opts.DryRun):
		return fmt.Errorf("%w: account %s has it", ErrTaken, rec.ID)
	case im.opts.DryRun:
		return nil
	case acc.Kind != Robot:
		return im.a.claim(ctx, im.by, name, acc.ID)
	}
	err = create(ctx, im.a, key, &nameRecord{Name: robotPart(name), ID: acc.ID, At: acc.Created})
	if driver.IsConflict(err) {
		return fmt.Errorf("%w: somebody else is taking it now", ErrTaken)
	}
	return err
}

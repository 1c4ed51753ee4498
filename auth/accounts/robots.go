package accounts

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
)

// maxRobots is the maximum number of robots of a user or organisation.
const maxRobots = 100

// robotsPrefix is the prefix of the keys of the names of the robots of a namespace.
func robotsPrefix(namespace ID) string { return prefix + "b/" + string(namespace) + "/" }

// Robots yields the robots of a user or organisation, in the order of their names. The list begins after the name
// after, which may be with or without the namespace.
//
// Errors: ErrUnknown; those of the Driver.
func (a *Accounts) Robots(ctx context.Context, namespace ID, after string) iter.Seq2[*Account, error] {
	return func(yield func(*Account, error) bool) {
		if _, err := a.namespaceNow(ctx, namespace); err != nil {
			yield(nil, err)
			return
		}
		if _, name, ok := strings.Cut(after, "+"); ok {
			after = name
		}
		if after != "" {
			after = robotsPrefix(namespace) + after
		}
		ahead(a.keys(ctx, robotsPrefix(namespace), after), func(key string) (*Account, error) {
			r, _, err := get[nameRecord](ctx, a, key)
			if err != nil {
				return nil, err
			}
			robot, err := a.accountNow(ctx, r.ID)
			if err == nil && robot.Removed != nil {
				return nil, ErrUnknown
			}
			return robot, err
		})(yield)
	}
}

// CreateRobot creates the robot NAMESPACE+NAME with grants in the namespace. To log in as the robot, create a secret by
// [Accounts.CreateSecret], or let a CI job log in by package oidc. NAME has the syntax of the names of users. The name
// of a removed robot can be used again: the secrets of the removed robot give no access to the new one.
//
// Errors: ErrUnknown, ErrInvalid, ErrTaken, ErrLimit (100 robots), ErrNotified.
func (a *Accounts) CreateRobot(ctx context.Context, by Actor, namespace ID, name string,
	grants []Grant) (*Account, error) {
	c := Change{Action: "robot.create", After: show(grants)}
	robot, err := a.createRobot(ctx, namespace, name, grants)
	if err == nil {
		c.Account, c.AccountID = robot.Name, robot.ID
	} else {
		c.Account, c.AccountID = a.nameOf(ctx, namespace), namespace
	}
	return result(robot, a.settle(ctx, by, c, true, err))
}

// createRobot stores the account and then its name. The name is the commit: before it, nothing leads to the account.
func (a *Accounts) createRobot(ctx context.Context, namespace ID, name string, grants []Grant) (*Account, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	if err := checkGrants(grants); err != nil {
		return nil, err
	}
	owner, err := a.namespaceNow(ctx, namespace)
	if err != nil {
		return nil, err
	}
	if err := a.freeRobot(ctx, namespace, name); err != nil {
		return nil, err
	}
	robot := Account{ID: newID(), Kind: Robot, Name: owner.Name + "+" + name, Namespace: namespace,
		Created: a.now().UTC(), Grants: slices.Clone(grants)}
	if err := create(ctx, a, accountKey(robot.ID), &accountRecord{Account: robot}); err != nil {
		return nil, err
	}
	record := &nameRecord{Name: name, ID: robot.ID, At: robot.Created}
	err = createLimited(ctx, a, robotsPrefix(namespace), name, record, maxRobots)
	if errors.Is(err, ErrTaken) || errors.Is(err, ErrLimit) {
		err = errors.Join(err, a.drop(ctx, accountKey(robot.ID)))
	}
	return &robot, err
}

// freeRobot deletes the name record of a removed robot, which an interrupted call of Remove has left behind.
//
// Errors: ErrTaken; those of the Driver.
func (a *Accounts) freeRobot(ctx context.Context, namespace ID, name string) error {
	key := robotKey(namespace, name)
	r, version, err := get[nameRecord](ctx, a, key)
	if err != nil {
		return ignore(err, ErrUnknown)
	}
	robot, err := a.accountNow(ctx, r.ID)
	switch {
	case errors.Is(err, ErrUnknown), err == nil && robot.Removed != nil:
		return a.dropVersion(ctx, key, version)
	case err != nil:
		return err
	}
	return fmt.Errorf("%w: there is a robot of this name", ErrTaken)
}

// namespaceNow reads a user or organisation from the storage, and does not use the cache.
//
// Errors: ErrUnknown, also for a removed account and for a robot; those of the Driver.
func (a *Accounts) namespaceNow(ctx context.Context, id ID) (*Account, error) {
	account, err := a.accountNow(ctx, id)
	if err == nil && (account.Kind == Robot || account.Removed != nil) {
		return nil, ErrUnknown
	}
	return account, err
}

// UpdateRobot replaces the grants of a robot.
//
// Errors: ErrUnknown, ErrInvalid, ErrNotified.
func (a *Accounts) UpdateRobot(ctx context.Context, by Actor, id ID, grants []Grant) (*Account, error) {
	c := a.about(ctx, "robot.update", id)
	changed := false
	err := checkGrants(grants)
	var robot *Account
	if err == nil {
		robot, err = a.changeAccount(ctx, id, func(r *Account) error {
			if r.Kind != Robot || r.Removed != nil {
				return ErrUnknown
			}
			if err := a.check(ctx, by, r); err != nil {
				return err
			}
			if changed = !slices.Equal(r.Grants, grants); !changed {
				return errUnchanged
			}
			c.Before, c.After = show(r.Grants), show(grants)
			r.Grants = slices.Clone(grants)
			return nil
		})
	}
	return result(robot, a.settle(ctx, by, c, changed, err))
}

// tidyRobots removes the robots of a removed namespace.
func (a *Accounts) tidyRobots(ctx context.Context, namespace ID) error {
	if _, err := a.namespaceNow(ctx, namespace); !errors.Is(err, ErrUnknown) || !validID(namespace) {
		return err
	}
	for key, err := range a.keys(ctx, robotsPrefix(namespace), "") {
		if err == nil {
			err = a.tidyRobot(ctx, key)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// tidyRobot removes the robot of a name record, and deletes the name record.
func (a *Accounts) tidyRobot(ctx context.Context, key string) error {
	r, _, err := get[nameRecord](ctx, a, key)
	if err != nil {
		return ignore(err, ErrUnknown)
	}
	robot, _, err := a.remove(ctx, Actor{Reason: "its namespace was removed"}, r.ID)
	if err == nil {
		err = a.clear(ctx, robot)
	}
	if ignore(err, ErrUnknown) != nil {
		return err
	}
	return a.drop(ctx, key)
}

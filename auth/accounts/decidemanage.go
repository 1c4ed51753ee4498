package accounts

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/registrykit/registry/auth"
)

// registryDecision decides about a part of the registry other than the catalog. Only admins have access to it.
//
// Errors: auth.ErrDenied; those of the Directory.
func (a *Authorizer) registryDecision(ctx context.Context, c *caller, access *auth.Access) (reason, error) {
	if !c.manages() || access.Name == "" || !manageable(access.Action) {
		return reason{}, auth.ErrDenied
	}
	return a.adminDecision(ctx, c)
}

// accountDecision decides about an account. The account is that of the name, present or former, and for a robot that of
// the user or organisation that the robot belongs to. So the decision does not depend on whether there is a robot. For
// other names, callers who are denied cost the same requests to the storage whether or not the name exists.
//
// Errors: auth.ErrDenied; those of the Directory.
func (a *Authorizer) accountDecision(ctx context.Context, c *caller, access *auth.Access) (reason, error) {
	if !c.manages() || access.Name == "" || !manageable(access.Action) {
		return reason{}, auth.ErrDenied
	}
	first, robot, isRobot := strings.Cut(access.Name, "+")
	account, err := a.lookup(ctx, first)
	if ignore(err, ErrUnknown) != nil {
		return reason{}, err
	}
	known := err == nil && account.Removed == nil && account.Kind != Robot && (!isRobot || validName(robot))
	switch {
	case known && account.ID == c.account.ID:
		return reason{"accounts: the user ", account.Name}, nil
	case known && account.Kind == Organisation && slices.Contains(account.Owners, c.account.ID):
		return reason{"accounts: an owner of ", account.Name}, nil
	}
	if why, err := a.adminDecision(ctx, c); !errors.Is(err, auth.ErrDenied) {
		return why, err
	}
	if isRobot || access.Action != auth.Read {
		return reason{}, auth.ErrDenied
	}
	// The groups are read for every name, because the answer must take as long for a name that nobody has.
	groups, err := a.directory.Groups(ctx, c.account.ID)
	if ignore(err, ErrUnknown) != nil {
		return reason{}, err
	}
	if known && account.Kind == Organisation && slices.Contains(groups, account.Name) {
		return reason{"accounts: a member of ", account.Name}, nil
	}
	return reason{}, auth.ErrDenied
}

// manages reports whether the caller can have access to accounts and to parts of the registry at all: only users can,
// and not by a secret with scopes.
func (c *caller) manages() bool { return c.account != nil && c.account.Kind == User && !c.scoped }

// manageable reports whether an action is one of those on accounts and on parts of the registry.
func manageable(action auth.Action) bool { return action == auth.Read || action == auth.Manage }

// adminDecision allows everything to admins.
//
// Errors: auth.ErrDenied; those of the Directory.
func (a *Authorizer) adminDecision(ctx context.Context, c *caller) (reason, error) {
	admin, err := a.directory.IsAdmin(ctx, c.account.ID)
	if ignore(err, ErrUnknown) != nil {
		return reason{}, err
	}
	if !admin {
		return reason{}, auth.ErrDenied
	}
	return reason{"accounts: an admin of the registry"}, nil
}

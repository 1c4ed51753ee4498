package accounts

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// accountRecord is the fact of an account. The Name of a robot contains the name that the namespace had when the
// robot was created; see withNamespace.
type accountRecord struct {
	Account
	// Rename marks a rename that was begun; see claim.go.
	Rename *renameMark `json:"rename,omitempty"`
	// Joining are the attempts of users to become owners. They give no permissions; see seats.go.
	Joining []joiner `json:"joining,omitempty"`
}

// renameMark is the mark of a rename. Token is random.
type renameMark struct {
	Name  string `json:"name"`
	Token string `json:"token"`
}

// Lookup implements [Directory].
func (a *Accounts) Lookup(ctx context.Context, name string) (*Account, error) {
	if namespace, robot, ok := strings.Cut(name, "+"); ok {
		return a.lookupRobot(ctx, namespace, robot)
	}
	if !validName(name) {
		return nil, ErrUnknown
	}
	rec, err := cached[nameRecord](ctx, a, nameKey(skeleton(name)))
	if err != nil {
		return nil, err
	}
	r, err := cached[accountRecord](ctx, a, accountKey(rec.ID))
	if err != nil {
		return nil, err
	}
	if r.Removed != nil || !r.named(name) {
		return nil, ErrUnknown
	}
	return &r.Account, nil
}

func (a *Accounts) lookupRobot(ctx context.Context, namespace, robot string) (*Account, error) {
	if !validName(namespace) || !validName(robot) {
		return nil, ErrUnknown
	}
	owner, err := a.Lookup(ctx, namespace)
	if err != nil {
		return nil, err
	}
	rec, err := cached[nameRecord](ctx, a, robotKey(owner.ID, robot))
	if err != nil {
		return nil, err
	}
	r, err := a.Account(ctx, rec.ID)
	if err != nil {
		return nil, err
	}
	if r.Removed != nil || r.Namespace != owner.ID || robotPart(r.Name) != robot {
		return nil, ErrUnknown
	}
	return r, nil
}

// robotPart returns the part of the name of a robot after "+".
func robotPart(name string) string {
	_, robot, _ := strings.Cut(name, "+")
	return robot
}

// Account implements [Directory].
func (a *Accounts) Account(ctx context.Context, id ID) (*Account, error) {
	if !validID(id) {
		return nil, ErrUnknown
	}
	r, err := cached[accountRecord](ctx, a, accountKey(id))
	if err != nil {
		return nil, err
	}
	if r.Kind == "" {
		return nil, ErrUnknown
	}
	if r.Kind != Robot {
		return &r.Account, nil
	}
	owner, err := cached[accountRecord](ctx, a, accountKey(r.Namespace))
	if errors.Is(err, ErrUnknown) {
		return &r.Account, nil
	}
	if err != nil {
		return nil, err
	}
	return withNamespace(&r.Account, owner.Name), nil
}

// withNamespace returns a robot with the current name of its namespace in its name.
func withNamespace(robot *Account, namespace string) *Account {
	if strings.HasPrefix(robot.Name, namespace) && strings.HasPrefix(robot.Name[len(namespace):], "+") {
		return robot
	}
	renamed := *robot
	renamed.Name = namespace + "+" + robotPart(robot.Name)
	return &renamed
}

// accountNow reads an account from the storage, including a removed one. Changes are decided by it, and not by the
// cache.
//
// Errors: ErrUnknown; those of the Driver.
func (a *Accounts) accountNow(ctx context.Context, id ID) (*Account, error) {
	if !validID(id) {
		return nil, fmt.Errorf("%w account", ErrUnknown)
	}
	r, _, err := get[accountRecord](ctx, a, accountKey(id))
	if err == nil && r.Kind == "" {
		err = ErrUnknown
	}
	if err != nil {
		return nil, err
	}
	return &r.Account, nil
}

// changeAccount is update for an account that is not removed.
//
// Errors: ErrUnknown, those of change, those of the Driver.
func (a *Accounts) changeAccount(ctx context.Context, id ID, change func(*Account) error) (*Account, error) {
	r, err := a.changeRecord(ctx, id, func(r *accountRecord) error { return change(&r.Account) })
	if err != nil {
		return nil, err
	}
	return &r.Account, nil
}

// changeRecord is changeAccount for the whole record.
func (a *Accounts) changeRecord(ctx context.Context, id ID, change func(*accountRecord) error) (*accountRecord, error) {
	if !validID(id) {
		return nil, fmt.Errorf("%w account", ErrUnknown)
	}
	return update(ctx, a, accountKey(id), func(r *accountRecord) error {
		if r.Removed != nil {
			return fmt.Errorf("%w account: it was removed", ErrUnknown)
		}
		return change(r)
	})
}

// activeUser returns ErrUnknown unless an account is an active user now.
func (a *Accounts) activeUser(ctx context.Context, id ID) (*Account, error) {
	acc, err := a.accountNow(ctx, id)
	if err != nil {
		return nil, err
	}
	if acc.Kind != User || !acc.Active() {
		return nil, fmt.Errorf("%w: not an active user", ErrUnknown)
	}
	return acc, nil
}

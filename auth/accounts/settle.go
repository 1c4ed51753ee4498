package accounts

import (
	"context"
	"fmt"
	"strings"
)

// maxShown is the approximate maximum length of Change.Before and Change.After, in bytes.
const maxShown = 1000

// about returns a Change of an account. If the name of the account cannot be read, the Change has the ID in its
// place: the name is only for the audit, and must not make the change fail.
func (a *Accounts) about(ctx context.Context, action string, id ID) Change {
	return Change{Action: action, AccountID: id, Account: a.nameOf(ctx, id)}
}

// aboutMember is about for the membership of a user in an organisation.
func (a *Accounts) aboutMember(ctx context.Context, action string, organisation, user ID) Change {
	c := a.about(ctx, action, organisation)
	c.Member = a.nameOf(ctx, user)
	return c
}

// nameOf returns the name of an account, or its ID if the name cannot be read.
func (a *Accounts) nameOf(ctx context.Context, id ID) string {
	if !validID(id) {
		return ""
	}
	account, err := a.Account(ctx, id)
	if err != nil {
		return string(id)
	}
	return account.Name
}

// settle reports the outcome of a change to the audit and the sink: that it was made, or that err rejected it. It
// reports nothing if changed is false, because the change was made before.
//
// Errors: err, ErrNotified.
func (a *Accounts) settle(ctx context.Context, by Actor, c Change, changed bool, err error) error {
	switch {
	case err != nil:
		return a.refused(ctx, by, c, err)
	case changed:
		return a.done(ctx, by, c)
	}
	return nil
}

// show returns grants as a text for the audit, such as "write app/**, read **".
func show(grants []Grant) string {
	var b strings.Builder
	for i, g := range grants {
		if i > 0 {
			b.WriteString(", ")
		}
		if b.Len() > maxShown {
			fmt.Fprintf(&b, "and %d more", len(grants)-i)
			break
		}
		fmt.Fprintf(&b, "%s %.80s", g.Role, g.Repositories)
	}
	return b.String()
}

// showTeam returns the description and grants of a team as a text for the audit.
func showTeam(t *Team) string {
	if t.Description == "" {
		return show(t.Grants)
	}
	return fmt.Sprintf("%.200q: %s", t.Description, show(t.Grants))
}

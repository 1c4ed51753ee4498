package accounts

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/registrykit/registry/auth"
)

// Refine returns an Authorizer that combines accounts with rules, usually those of package rules. For each access:
//
//   - If a rule denies it, it is denied, also to owners and admins.
//   - If a rule allows it, it is allowed, for example to a CI job that has no account.
//   - If no rule applies, the accounts decide.
//
// Rules never apply to a disabled or removed account or to an invalid secret. The scopes of a secret narrow what rules
// allow, except for pulls that everybody may do. Rules see the current name and groups of an account.
//
// A rule about a user or group also applies to the account or organisation of that name, even if a user creates it.
// If rules name users or groups of another Authenticator, such as package oidc, reserve these names: see
// [Options].Reserved. A renamed account has another name and other groups, which the rules may not know. For an
// access to an account, rules see its current name, also if the request has a former one.
//
// rules should be an [auth.Explainer]: its text reports whether a rule has denied an access, or no rule applies. An
// Authorizer that is no Explainer denies everything that it does not allow. Refine can be called several times: a
// denial by any of the rules takes precedence. nil adds no rules.
func (a *Authorizer) Refine(rules auth.Authorizer) *Authorizer {
	refined := *a
	refined.rules = slices.Clone(a.rules)
	if rules != nil {
		refined.rules = append(refined.rules, rules)
	}
	return &refined
}

// decide decides about one access of a caller with an active account or without an account. The reason names the fact
// or the rule that decided.
//
// Errors: auth.ErrDenied; those of the Directory and of the rules.
func (a *Authorizer) decide(ctx context.Context, c *caller, access *auth.Access, ask asker) (reason, error) {
	if c.scoped && !inScopes(c.scopes, access) {
		return a.outOfScope(ctx, c, access, ask)
	}
	var allowed string
	if len(a.rules) > 0 {
		var err error
		if access, err = a.current(ctx, access); err != nil {
			return reason{}, err
		}
		if allowed, err = a.askRules(ctx, c, access, ask); err != nil {
			return reason{allowed}, err
		}
	}
	if allowed != "" {
		return reason{allowed}, nil
	}
	return a.ownDecision(ctx, c, access)
}

// current returns an access to an account by its current name. Otherwise a rule that denies the access could be evaded
// by a former name of the account.
//
// Errors: those of the Directory.
func (a *Authorizer) current(ctx context.Context, access *auth.Access) (*auth.Access, error) {
	if access.Type != auth.TypeAccount {
		return access, nil
	}
	first, robot, isRobot := strings.Cut(access.Name, "+")
	account, err := a.lookup(ctx, first)
	if err != nil || account.Name == first {
		return access, ignore(err, ErrUnknown)
	}
	renamed := *access
	if renamed.Name = account.Name; isRobot {
		renamed.Name += "+" + robot
	}
	return &renamed, nil
}

// outOfScope decides about an access that the scopes of a secret do not cover. What everybody may pull, the bearer of
// the secret may pull, too: docker sends it also when it pulls the base of an image, and would be refused what it gets
// without a login.
//
// Errors: those of decide.
func (a *Authorizer) outOfScope(ctx context.Context, c *caller, access *auth.Access, ask asker) (reason, error) {
	if access.Type == auth.TypeRepository && access.Action == auth.Pull {
		why, err := a.decide(ctx, &caller{}, access, ask)
		if !errors.Is(err, auth.ErrDenied) {
			return why, err
		}
	}
	return reason{"accounts: the scopes of a secret of ", c.account.Name}, auth.ErrDenied
}

// askRules returns the text of a rule that allows the access, or "" if no rule applies. All rules are asked, because
// each may deny it.
//
// Errors: auth.ErrDenied with the text of the rule that denies; those of the Directory and of the rules.
func (a *Authorizer) askRules(ctx context.Context, c *caller, access *auth.Access, ask asker) (string, error) {
	if err := a.refresh(ctx, c); err != nil {
		return "", err
	}
	allowed := ""
	for _, rules := range a.rules {
		text, err := ask(ctx, rules, c.identity, []auth.Access{*access})
		_, explains := rules.(auth.Explainer)
		switch {
		case err == nil && text == "":
			text = "a rule without a name"
			fallthrough
		case err == nil:
			if allowed == "" {
				allowed = text
			}
		case errors.Is(err, auth.ErrDenied) && text == "" && explains: // no rule applies
		default:
			return text, err
		}
	}
	return allowed, nil
}

// refresh sets the name and the groups of the identity to those that the account has now.
//
// Errors: those of the Directory.
func (a *Authorizer) refresh(ctx context.Context, c *caller) error {
	if c.account == nil || c.grouped {
		return nil
	}
	c.identity.Name, c.identity.Groups, c.grouped = c.account.Name, nil, true
	if c.account.Kind != User {
		return nil
	}
	groups, err := a.directory.Groups(ctx, c.account.ID)
	if ignore(err, ErrUnknown) != nil {
		return err
	}
	c.identity.Groups = groups
	return nil
}

// inScopes reports whether the scopes of a secret include an access. Every scope includes the catalog, which shows only
// repositories that the caller may pull from. Scopes are about repositories, so none includes an account or another
// part of the registry.
func inScopes(scopes []Grant, access *auth.Access) bool {
	switch access.Type {
	case auth.TypeRepository:
		return allowedBy(scopes, access.Name, access.Action) != nil
	case auth.TypeRegistry:
		return len(scopes) > 0 && access.Name == auth.NameCatalog && access.Action == auth.All
	}
	return false
}

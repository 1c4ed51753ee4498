package rules

import (
	"errors"
	"fmt"
	"slices"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/internal/pattern"
)

// everyPart is the element of Rule.Registry that stands for all parts.
const everyPart = "*"

// registryParts returns the names that Rule.Registry may have.
func registryParts() []string {
	return []string{auth.NameAccounts, auth.NameAudit, auth.NameJobs, auth.NameMetrics, auth.NameMirror, auth.NameQuota,
		auth.NameRetention, auth.NameRules, auth.NameScrub, auth.NameUsage, auth.NameWebhooks}
}

// checkFields returns an error, with the field, for a rule whose actions and fields do not fit. Its
// actions need a field that is missing, or a field has no action. The author has meant something else.
func checkFields(r *Rule, bits actions) (field string, err error) {
	all := slices.Contains(r.Actions, auth.All)
	repositories, settings := len(r.Repositories) > 0, len(r.Accounts) > 0 || len(r.Registry) > 0
	some := repositories || settings
	switch {
	case bits&bitContent != 0 && !all && !repositories, bits&bitAll != 0 && !some:
		return "repositories", errors.New("none is given")
	case bits&bitRead != 0 && !all && !settings:
		return "actions", errors.New("read is an action on accounts and on the registry, and the rule has neither")
	case repositories && bits&bitAll == 0 && bits&bitRead == 0:
		return "repositories", errors.New("the catalog is of all repositories; it shows what the caller may pull")
	case repositories && bits&bitAll == 0:
		return "repositories", errors.New("none of the actions is one on repositories")
	case len(r.Accounts) > 0 && bits&bitSettings == 0:
		return "accounts", errors.New("none of the actions is one on accounts: read, manage or *")
	case len(r.Registry) > 0 && bits&bitSettings == 0:
		return "registry", errors.New("none of the actions is one on the registry: read, manage or *")
	case len(r.Tags) > 0 && settings:
		return "tags", errors.New("accounts and the registry have none; write two rules")
	case len(r.Tags) > 0 && !repositories:
		return "tags", errors.New("the catalog has none")
	}
	return "", nil
}

// compileNames compiles the fields of a rule that have names. With an error, it returns the field and the index of the
// mistake.
func (c *rule) compileNames(r *Rule) (field string, i int, err error) {
	if c.repos, i, err = pattern.Repository.Compile(r.Repositories); err != nil {
		return "repositories", i, err
	}
	if c.accounts, i, err = pattern.Account.Compile(r.Accounts); err != nil {
		return "accounts", i, err
	}
	if c.tags, i, err = pattern.Tag.Compile(r.Tags); err != nil {
		return "tags", i, err
	}
	c.tagged = len(r.Tags) > 0
	for i, name := range r.Registry {
		parts := []string{name}
		switch {
		case name == everyPart:
			parts = registryParts()
		case name == auth.NameCatalog:
			return "registry", i, errors.New("the catalog is an action: write catalog in actions")
		case !slices.Contains(registryParts(), name):
			return "registry", i, fmt.Errorf("%q is not one of %q and *", name, registryParts())
		}
		for _, part := range parts {
			if c.registry == nil {
				c.registry = make(map[string]struct{})
			}
			c.registry[part] = struct{}{}
		}
	}
	return "", 0, nil
}

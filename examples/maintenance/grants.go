package main

import (
	"flag"
	"slices"
	"strings"

	"github.com/registrykit/registry/auth/accounts"
)

// grantFlag registers a flag for grants, which may be repeated.
func grantFlag(f *flag.FlagSet, grants *[]accounts.Grant, name, usage string) {
	f.Func(name, usage+" `ROLE:PATTERN`, such as write:app/**; the roles are read, write, maintain and admin. May be "+
		"repeated.", func(text string) error {
		role, pattern, found := strings.Cut(text, ":")
		if !found {
			return misusef("must be ROLE:PATTERN, such as write:app/**")
		}
		*grants = append(*grants, accounts.Grant{Repositories: pattern, Role: accounts.Role(role)})
		return nil
	})
}

// grantTexts returns grants as the flags have them.
func grantTexts(grants []accounts.Grant) []string {
	texts := make([]string, len(grants))
	for i, g := range grants {
		texts[i] = string(g.Role) + ":" + g.Repositories
	}
	slices.Sort(texts)
	return texts
}

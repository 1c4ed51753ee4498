package accountstest

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/accounts"
)

// decisions has a caller, what the caller wants, and whether an Authorizer over [Sample] allows it: the rule that
// allows it, or "no", with the rule that denies it if there is one. Callers are names; "carol:narrowaaaa" has used a
// secret.
const decisions = `
anonymous         pull      acme/open           acme/open is public
anonymous         pull      acme/app            no
anonymous         pull      other/anything      other/anything is public
anonymous         pull      other/hidden        no
anonymous         push      acme/open           no
anonymous         catalog   -                   everybody lists the catalog
ci                catalog   -                   everybody lists the catalog
ci                pull      acme/open           acme/open is public
ci                pull      acme/app            no
ann               delete    acme/app            an admin of the registry
ann               *         nobody/app          an admin of the registry
ann               push      bob/app             an admin of the registry
bob               *         bob                 the user of the namespace bob
bob               delete    bob/a/b             the user of the namespace bob
bob               *         acme/app            an owner of acme
bob               pull      other/hidden        no
bob               push      other/anything      no
bob               push      closed/app          an owner of closed
carol             catalog   -                   everybody lists the catalog
carol             push      acme/app            a team of acme grants write in app/**
carol             overwrite acme/app/web        a team of acme grants write in app/**
carol             delete    acme/app            no
carol             delete    acme/tools/x        a team of acme grants maintain in tools/*
carol             *         acme/tools/x        no
carol             delete    acme/tools/x/y      no
carol             pull      acme                a team of acme grants read in **
carol             push      acme/apple          no
carol             pull      acme2/app           no
carol             pull      other/hidden        no
carol:narrowaaaa  pull      acme/app/web        a team of acme grants write in app/**
carol:narrowaaaa  catalog   -                   everybody lists the catalog
carol:narrowaaaa  push      acme/app/web        no the scopes of a secret of carol
carol:narrowaaaa  pull      acme/tools/x        no the scopes of a secret of carol
carol:narrowaaaa  pull      carol/app           no the scopes of a secret of carol
carol:narrowaaaa  pull      acme/open           acme/open is public
carol:expiredaaa  pull      acme/app            no a secret of carol that has expired
carol:expiredaaa  pull      acme/open           no a secret of carol that has expired
carol:zzzzzzzzzz  pull      acme/open           no a secret of carol that was revoked
carol:bobaaaaaaa  pull      acme/app            no a secret of carol that was revoked
bob:bobaaaaaaa    delete    acme/app            an owner of acme
dave              pull      acme/app            no dave is disabled
dave              pull      acme/open           no dave is disabled
dave              catalog   -                   no dave is disabled
dave:daveaaaaaa   pull      acme/app            no dave is disabled
erin              pull      erin/app            no erin is removed
erin              pull      acme/open           no erin is removed
frank             push      frank/app           the user of the namespace frank
frank             push      francis/app         the user of the namespace frank
frank             delete    other/hidden        an owner of other
acme              pull      acme/app            no acme is neither a user nor a robot
acme+deploy       push      acme/app/web        acme+deploy has write in app/**
acme+deploy       delete    acme/app/web        no
acme+deploy       pull      acme/tools/x        no
acme+deploy       pull      app/web             no
acme+deploy       push      other/app/web       no
acme+deploy       push      bob/app/web         no
acme+deploy       pull      other/anything      other/anything is public
acme+deploy       catalog   -                   everybody lists the catalog
closed+orphan     pull      closed/app          no the namespace of closed+orphan is disabled or removed
closed+orphan     pull      acme/open           no the namespace of closed+orphan is disabled or removed
stranger          pull      acme/open           no an account that does not exist
`

// testDecisions lets an Authorizer decide by a Directory.
func testDecisions(t *testing.T, d accounts.Directory) {
	a := accounts.NewAuthorizer(d)
	for line := range strings.Lines(strings.TrimSpace(decisions)) {
		words := strings.Fields(line)
		rule := strings.Join(words[3:], " ")
		rule, denied := strings.CutPrefix(rule, "no")
		if rule = strings.TrimSpace(rule); rule != "" {
			rule = "accounts: " + rule
		}
		access := auth.Access{Type: auth.TypeRepository, Name: words[2], Action: auth.Action(words[1])}
		if words[1] == auth.NameCatalog {
			access = auth.Access{Type: auth.TypeRegistry, Name: auth.NameCatalog, Action: auth.All}
		}
		who := Identity(words[0])
		text, err := a.Explain(t.Context(), who, []auth.Access{access})
		if denied {
			require.ErrorIs(t, err, auth.ErrDenied, line)
		} else {
			require.NoError(t, err, line)
		}
		require.Equal(t, rule, text, line)
		require.Equal(t, err, a.Authorize(t.Context(), who, []auth.Access{access}), line)
		if prefixes := a.Prefixes(t.Context(), who); !denied && access.Type == auth.TypeRepository {
			require.Condition(t, func() bool {
				for _, p := range prefixes {
					if strings.HasPrefix(access.Name, p) {
						return true
					}
				}
				return false
			}, "%s is not within %q", line, prefixes)
		}
	}
}

// Identity returns the identity that an Authenticator has for an account of [Sample]: "anonymous"; "ci", which has no
// account; a name such as "ann"; or a name and the ID of the secret that was used, such as "carol:narrowaaaa".
func Identity(caller string) auth.Identity {
	if caller == "anonymous" {
		return auth.Identity{}
	}
	if caller == "ci" {
		return auth.Identity{Name: "github:acme/app", Groups: []string{"acme/owners"}}
	}
	name, secret, _ := strings.Cut(caller, ":")
	ids := map[string]accounts.ID{"ann": Ann, "bob": Bob, "carol": Carol, "dave": Dave, "erin": Erin, "frank": Frank,
		"acme": Acme, "acme+deploy": Deploy, "closed+orphan": Orphan, "stranger": "zzzzzzzzzzzzzzzz"}
	claims := map[string]any{accounts.AccountClaim: string(ids[name])}
	if secret != "" {
		claims[accounts.SecretClaim] = secret
	}
	return auth.Identity{Name: name, Claims: claims}
}

package accounts_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/auth/accounts/accountstest"
	"github.com/registrykit/registry/auth/rules"
	"github.com/registrykit/registry/storage/driver"
)

// refining are rules over the accounts of accountstest.Sample.
const refining = `
rules:
  - {name: releases stay, who: everyone, repositories: "**", actions: [overwrite, delete], tags: "v*", effect: deny}
  - {name: nobody touches frozen, who: everyone, repositories: "*/frozen/**", actions: [push, delete], effect: deny}
  - {name: ops only read app, who: {group: acme/ops}, repositories: "acme/app/**", actions: push, effect: deny}
  - {name: no catalog for bob, who: {user: bob}, actions: catalog, effect: deny}
  - {name: builds, who: {claim: {sub: "repo:acme/*"}}, repositories: "acme/ci/**", actions: [pull, push]}
  - {name: owners of acme share, who: {group: acme/owners}, repositories: "shared/**", actions: "*"}
  - {name: deploys, who: {user: acme+deploy}, repositories: "shared/**", actions: pull}
  - {name: all pull mirrors, who: everyone, repositories: "mirror/**", actions: pull}
  - {name: temporary tags, who: authenticated, repositories: "acme/scratch", actions: delete, tags: "tmp-*"}
  - {name: frank is fixed, who: everyone, accounts: "frank*", actions: manage, effect: deny}
  - {name: ops read jobs, who: {group: acme/ops}, registry: [jobs, scrub], actions: read}
  - {name: ops run robots, who: {group: acme/ops}, accounts: "acme+*", actions: [read, manage]}
  - {name: no admin sees rules, who: everyone, registry: rules, actions: "*", effect: deny}
`

// TestRefine: a rule that denies wins, a rule that allows suffices, and otherwise accounts decide. A caller who has no
// rights by the account or secret has none by rules.
func TestRefine(t *testing.T) {
	list, err := rules.Parse([]byte(refining))
	require.NoError(t, err)
	d := accountstest.NewMemory(accountstest.Sample(time.Now()))
	a := accounts.NewAuthorizer(d).Refine(list)
	for line := range strings.Lines(`
ann               delete    acme/app:v1        no  line 3: releases stay
ann               delete    acme/app:x         yes accounts: an admin of the registry
ann               delete    acme/app           no  line 3: releases stay
bob               push      acme/frozen/x      no  line 4: nobody touches frozen
bob               pull      acme/frozen/x      yes accounts: an owner of acme
bob               pull      shared/x           yes line 8: owners of acme share
bob               push      acme/app/web       yes accounts: an owner of acme
bob               catalog   -                  no  line 6: no catalog for bob
carol             catalog   -                  yes accounts: everybody lists the catalog
carol             push      acme/app/web       no  line 5: ops only read app
carol             pull      acme/app/web       yes accounts: a team of acme grants write in app/**
carol             pull      shared/x           no
carol             delete    acme/scratch:tmp-1 yes line 11: temporary tags
carol:narrowaaaa  delete    acme/scratch:tmp-1 no  accounts: the scopes of a secret of carol
carol:narrowaaaa  pull      mirror/x           yes line 10: all pull mirrors
carol:narrowaaaa  push      mirror/x           no  accounts: the scopes of a secret of carol
carol:expiredaaa  pull      mirror/x           no  accounts: a secret of carol that has expired
dave              pull      mirror/x           no  accounts: dave is disabled
erin              pull      mirror/x           no  accounts: erin is removed
closed+orphan     pull      mirror/x           no  accounts: the namespace of closed+orphan is disabled or removed
anonymous         pull      mirror/x           yes line 10: all pull mirrors
anonymous         pull      acme/open          yes accounts: acme/open is public
acme+deploy       pull      shared/x           yes line 9: deploys
frank             manage    account:frank      no  line 12: frank is fixed
frank             manage    account:francis    no  line 12: frank is fixed
frank             manage    account:francis+x  no  line 12: frank is fixed
frank             read      account:francis    yes accounts: the user frank
ann               manage    account:francis    no  line 12: frank is fixed
carol             read      registry:jobs      yes line 13: ops read jobs
carol             manage    registry:jobs      no
carol             read      registry:audit     no
carol             manage    account:acme+x     yes line 14: ops run robots
carol             manage    account:acme       no
carol:narrowaaaa  manage    account:acme+x     no  accounts: the scopes of a secret of carol
ann               read      registry:rules     no  line 15: no admin sees rules
ann               manage    registry:audit     yes accounts: an admin of the registry
ci                push      acme/ci/x          yes line 7: builds
ci                push      acme/app           no
ci                pull      acme/open          yes accounts: acme/open is public
ci                pull      shared/x           yes line 8: owners of acme share
`) {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		name, tag, _ := strings.Cut(words[2], ":")
		access := auth.Access{Type: auth.TypeRepository, Name: name, Action: auth.Action(words[1]), Tag: tag}
		if name == auth.TypeAccount || name == auth.TypeRegistry {
			access.Type, access.Name, access.Tag = name, tag, ""
		}
		if words[1] == auth.NameCatalog {
			access = auth.Access{Type: auth.TypeRegistry, Name: auth.NameCatalog, Action: auth.All}
		}
		who := accountstest.Identity(words[0])
		if words[0] == "ci" {
			who.Claims = map[string]any{"sub": "repo:acme/app"}
		}
		text, err := a.Explain(t.Context(), who, []auth.Access{access})
		require.Equal(t, words[3] == "yes", err == nil, "%s: %v", line, err)
		require.Equal(t, strings.Join(words[4:], " "), text, line)
		require.Equal(t, err, a.Authorize(t.Context(), who, []auth.Access{access}), line)
	}
}

// TestRefineSeesTheAccountAsItIsNow: rules do not see the name and groups at the time of the login.
func TestRefineSeesTheAccountAsItIsNow(t *testing.T) {
	list, err := rules.Parse([]byte("rules:\n" +
		"  - {who: {group: acme/dev}, repositories: x/group, actions: pull}\n" +
		"  - {who: {user: carol}, repositories: x/user, actions: pull}\n"))
	require.NoError(t, err)
	d := accountstest.NewMemory(accountstest.Sample(time.Now()))
	a := accounts.NewAuthorizer(d).Refine(list)
	who := accountstest.Identity("carol")
	who.Groups = []string{"acme/dev", "everything"}
	pull := func(repo string) error {
		return a.Authorize(t.Context(), who, []auth.Access{{Type: auth.TypeRepository, Name: repo, Action: auth.Pull}})
	}
	require.NoError(t, pull("x/group"))
	require.NoError(t, pull("x/user"))
	d.Change(func(f *accountstest.Facts) {
		f.Teams = nil
		for i := range f.Accounts {
			if f.Accounts[i].ID == accountstest.Carol {
				f.Accounts[i].Name = "caroline"
			}
		}
	})
	require.ErrorIs(t, pull("x/group"), auth.ErrDenied)
	require.ErrorIs(t, pull("x/user"), auth.ErrDenied)
}

// TestScopeOfTags: the token endpoint grants a scope if rules allow the access for some tags.
func TestScopeOfTags(t *testing.T) {
	list, err := rules.Parse([]byte(refining))
	require.NoError(t, err)
	a := accounts.NewAuthorizer(accountstest.NewMemory(accountstest.Sample(time.Now()))).Refine(list)
	del := []auth.Access{{Type: auth.TypeRepository, Name: "acme/scratch", Action: auth.Delete}}
	text, err := auth.Scope(t.Context(), a, accountstest.Identity("carol"), del)
	require.NoError(t, err)
	require.Equal(t, "line 11: temporary tags", text)
	require.ErrorIs(t, a.Authorize(t.Context(), accountstest.Identity("carol"), del), auth.ErrDenied)
	_, err = auth.Scope(t.Context(), a, accountstest.Identity("carol:narrowaaaa"), del)
	require.ErrorIs(t, err, auth.ErrDenied)
}

// plain is an Authorizer that does not explain.
type plain func(a auth.Access) error

func (p plain) Authorize(_ context.Context, _ auth.Identity, accesses []auth.Access) error {
	for _, a := range accesses {
		if err := p(a); err != nil {
			return err
		}
	}
	return nil
}

// TestRefineFailsClosed: rules that do not explain deny what they do not allow; other errors of rules end the
// decision; and of several lists of rules, each can deny.
func TestRefineFailsClosed(t *testing.T) {
	base := accounts.NewAuthorizer(accountstest.NewMemory(accountstest.Sample(time.Now())))
	bob := accountstest.Identity("bob")
	push := []auth.Access{{Type: auth.TypeRepository, Name: "acme/app", Action: auth.Push}}
	yes, no := plain(func(auth.Access) error { return nil }), plain(func(auth.Access) error { return auth.ErrDenied })
	broken := errors.New("the rules cannot be read")
	require.NoError(t, base.Refine(nil).Authorize(t.Context(), bob, push))
	require.NoError(t, base.Refine(yes).Authorize(t.Context(), bob, push))
	require.NoError(t, base.Refine(yes).Authorize(t.Context(), auth.Identity{}, push))
	require.ErrorIs(t, base.Refine(no).Authorize(t.Context(), bob, push), auth.ErrDenied)
	require.ErrorIs(t, base.Refine(no).Refine(yes).Authorize(t.Context(), bob, push), auth.ErrDenied)
	require.ErrorIs(t, base.Refine(yes).Refine(no).Authorize(t.Context(), bob, push), auth.ErrDenied)
	fails := plain(func(auth.Access) error { return broken })
	require.ErrorIs(t, base.Refine(yes).Refine(fails).Authorize(t.Context(), bob, push), broken)
	narrow := plain(func(auth.Access) error { return auth.ErrScope })
	require.ErrorIs(t, base.Refine(narrow).Authorize(t.Context(), bob, push), auth.ErrScope)
	require.NoError(t, base.Authorize(t.Context(), bob, push), "Refine has changed its receiver")
}

// TestClaimsThatAreNone: an identity whose claims this package has not made has no rights.
func TestClaimsThatAreNone(t *testing.T) {
	list, err := rules.Parse([]byte("rules:\n  - {who: everyone, repositories: '**', actions: '*'}\n"))
	require.NoError(t, err)
	base := accounts.NewAuthorizer(accountstest.NewMemory(accountstest.Sample(time.Now())))
	pull := []auth.Access{{Type: auth.TypeRepository, Name: "acme/open", Action: auth.Pull}}
	for _, claims := range []map[string]any{
		{accounts.AccountClaim: nil}, {accounts.AccountClaim: ""}, {accounts.AccountClaim: 7},
		{accounts.AccountClaim: []any{string(accountstest.Ann)}},
		{accounts.SecretClaim: "narrowaaaa"}, {accounts.AccountClaim: string(accountstest.Ann), accounts.SecretClaim: nil},
		{accounts.AccountClaim: string(accountstest.Ann), accounts.SecretClaim: ""},
		{accounts.AccountClaim: string(accountstest.Ann), accounts.SecretClaim: 7.0},
		{accounts.AccountClaim: string(accountstest.Ann), accounts.SecretClaim: "narrowaaaa"}, // of carol
	} {
		for _, a := range []*accounts.Authorizer{base, base.Refine(list)} {
			for _, name := range []string{"", "ann"} {
				who := auth.Identity{Name: name, Claims: claims}
				require.ErrorIs(t, a.Authorize(t.Context(), who, pull), auth.ErrDenied, "%v", claims)
				require.Empty(t, a.Prefixes(t.Context(), who))
			}
		}
	}
}

// failing is a Directory in which one method fails.
type failing struct {
	accounts.Directory
	method string
	err    error
}

func (f failing) fail(method string) error {
	if f.method == method {
		return f.err
	}
	return nil
}

func (f failing) Account(ctx context.Context, id accounts.ID) (*accounts.Account, error) {
	if err := f.fail("Account"); err != nil {
		return nil, err
	}
	return f.Directory.Account(ctx, id)
}

func (f failing) Lookup(ctx context.Context, name string) (*accounts.Account, error) {
	if err := f.fail("Lookup"); err != nil {
		return nil, err
	}
	return f.Directory.Lookup(ctx, name)
}

func (f failing) IsAdmin(ctx context.Context, id accounts.ID) (bool, error) {
	if err := f.fail("IsAdmin"); err != nil {
		return true, err
	}
	return f.Directory.IsAdmin(ctx, id)
}

func (f failing) Secret(ctx context.Context, owner accounts.ID, id string) (*accounts.Secret, error) {
	if err := f.fail("Secret"); err != nil {
		return nil, err
	}
	return f.Directory.Secret(ctx, owner, id)
}

func (f failing) Grants(ctx context.Context, organisation, user accounts.ID) ([]accounts.Grant, error) {
	if err := f.fail("Grants"); err != nil {
		return []accounts.Grant{{Repositories: "**", Role: accounts.Admin}}, err
	}
	return f.Directory.Grants(ctx, organisation, user)
}

func (f failing) Groups(ctx context.Context, user accounts.ID) ([]string, error) {
	if err := f.fail("Groups"); err != nil {
		return []string{"acme/owners"}, err
	}
	return f.Directory.Groups(ctx, user)
}

func (f failing) Visibility(ctx context.Context, repository string) (accounts.Visibility, error) {
	if err := f.fail("Visibility"); err != nil {
		return accounts.Public, err
	}
	return f.Directory.Visibility(ctx, repository)
}

// TestDirectoryThatFails: a decision that needs a fact which cannot be read is an error, and neither yes nor no. A
// storage that is down is told from other errors, because the client should try again.
func TestDirectoryThatFails(t *testing.T) {
	list, err := rules.Parse([]byte("rules:\n  - {who: {group: acme/owners}, repositories: '**', actions: '*'}\n"))
	require.NoError(t, err)
	memory := accountstest.NewMemory(accountstest.Sample(time.Now()))
	who := accountstest.Identity("carol:narrowaaaa")
	who.Claims[accounts.SecretClaim] = "narrowaaaa"
	pull := []auth.Access{{Type: auth.TypeRepository, Name: "acme/app/web", Action: auth.Pull}}
	for _, method := range []string{"Account", "Lookup", "IsAdmin", "Secret", "Grants", "Groups"} {
		broken := errors.New("broken")
		a := accounts.NewAuthorizer(failing{memory, method, broken}).Refine(list)
		require.ErrorIs(t, a.Authorize(t.Context(), who, pull), broken, method)
		a = accounts.NewAuthorizer(failing{memory, method, driver.ErrUnavailable}).Refine(list)
		var unavailable *auth.UnavailableError
		err := a.Authorize(t.Context(), who, pull)
		require.ErrorAs(t, err, &unavailable, method)
		require.NotErrorIs(t, err, auth.ErrDenied)
		_, err = a.Explain(t.Context(), who, pull)
		require.ErrorAs(t, err, &unavailable, method)
	}
	a := accounts.NewAuthorizer(failing{memory, "Visibility", driver.ErrUnavailable})
	require.ErrorIs(t, a.Authorize(t.Context(), auth.Identity{}, pull), driver.ErrUnavailable)
	require.NoError(t, a.Authorize(t.Context(), accountstest.Identity("carol"), pull), "the role suffices")
}

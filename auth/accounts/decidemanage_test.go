package accounts_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/auth/accounts/accountstest"
	"github.com/registrykit/registry/storage/driver/drivertest"
	"github.com/registrykit/registry/storage/memory"
)

// managing has a caller, an access, the decision and the reason in each line, for the accounts of accountstest.Sample.
const managing = `
carol             read   account:carol            yes accounts: the user carol
carol             manage account:carol            yes accounts: the user carol
carol             manage account:carol+bot        yes accounts: the user carol
carol             manage account:carol+           no
carol             manage account:carol+a+b        no
carol             push   account:carol            no
carol             *      account:carol            no
carol             read   account:acme             yes accounts: a member of acme
carol             manage account:acme             no
carol             read   account:acme+deploy      no
carol             read   account:other            yes accounts: a member of other
carol             read   account:bob              no
carol             read   account:nobody           no
carol             read   account:                 no
carol             read   account:../carol         no
carol             read   account:carol/x          no
carol             manage registry:audit           no
bob               manage account:acme             yes accounts: an owner of acme
bob               read   account:acme             yes accounts: an owner of acme
bob               manage account:acme+deploy      yes accounts: an owner of acme
bob               manage account:acme+missing     yes accounts: an owner of acme
bob               manage account:closed           yes accounts: an owner of closed
bob               manage account:carol            no
bob               read   account:other            no
bob               read   registry:accounts        no
frank             manage account:frank            yes accounts: the user frank
frank             manage account:francis          yes accounts: the user frank
frank             manage account:francis+bot      yes accounts: the user frank
ann               manage account:carol            yes accounts: an admin of the registry
ann               manage account:acme+deploy      yes accounts: an admin of the registry
ann               manage account:nobody           yes accounts: an admin of the registry
ann               read   registry:audit           yes accounts: an admin of the registry
ann               manage registry:jobs            yes accounts: an admin of the registry
ann               manage registry:                no
ann               push   registry:jobs            no
ann               *      registry:jobs            no
ann               *      registry:catalog         yes accounts: everybody lists the catalog
carol:narrowaaaa  read   account:carol            no  accounts: the scopes of a secret of carol
carol:narrowaaaa  manage account:acme/app         no  accounts: the scopes of a secret of carol
carol:narrowaaaa  read   registry:catalog         no  accounts: the scopes of a secret of carol
carol:narrowaaaa  *      registry:catalog         yes accounts: everybody lists the catalog
bob:bobaaaaaaa    manage account:acme             yes accounts: an owner of acme
acme+deploy       read   account:acme+deploy      no
acme+deploy       read   account:acme             no
acme+deploy       read   registry:jobs            no
dave              read   account:dave             no  accounts: dave is disabled
erin              read   account:erin             no  accounts: erin is removed
ci                read   account:ci               no
anonymous         read   account:carol            no
anonymous         read   registry:accounts        no
bob               manage repository:acme/app      yes accounts: an owner of acme
carol             manage repository:acme/app      no
carol             manage repository:carol/app     yes accounts: the user of the namespace carol
acme+deploy       manage repository:acme/app      no
closed+orphan     manage repository:closed/app    no  accounts: the namespace of closed+orphan is disabled or removed
ann               manage repository:acme/app      yes accounts: an admin of the registry
anonymous         manage repository:acme/open     no
`

// TestManage compares the access of callers to accounts, parts of the registry, and settings of repositories.
func TestManage(t *testing.T) {
	a := accounts.NewAuthorizer(accountstest.NewMemory(accountstest.Sample(time.Now())))
	for line := range strings.Lines(strings.TrimSpace(managing)) {
		words := strings.Fields(line)
		kind, name, _ := strings.Cut(words[2], ":")
		accesses := []auth.Access{{Type: kind, Name: name, Action: auth.Action(words[1])}}
		who := accountstest.Identity(words[0])
		if words[0] == "ci" {
			who = auth.Identity{Name: "ci", Groups: []string{"acme/owners"}}
		}
		text, err := a.Explain(t.Context(), who, accesses)
		require.Equal(t, words[3] == "yes", err == nil, line)
		require.Equal(t, strings.Join(words[4:], " "), text, line)
		if err != nil {
			require.ErrorIs(t, err, auth.ErrDenied, line)
		}
		require.Equal(t, err, a.Authorize(t.Context(), who, accesses), line)
	}
}

// TestManageCostsTheSameForUnknownNames: callers without access cannot find out names by the number of requests to the
// storage, and so by the time.
func TestManageCostsTheSameForUnknownNames(t *testing.T) {
	d := drivertest.NewFaulty(memory.New(nil), nil)
	people := open(t, d, nil)
	ids := newUsers(t, people, "ann", "bob", "eve", "old")
	acme := newOrganisation(t, people, "acme", ids[0])
	newOrganisation(t, people, "mine", ids[2])
	_, err := people.CreateRobot(t.Context(), operator, acme, "deploy", nil)
	require.NoError(t, err)
	_, err = people.Rename(t.Context(), operator, ids[1], "robert")
	require.NoError(t, err)
	require.NoError(t, people.Remove(t.Context(), operator, ids[3]))
	eve := auth.Identity{Name: "eve", Claims: map[string]any{accounts.AccountClaim: string(ids[2])}}
	cost := func(who auth.Identity, name string, action auth.Action) int {
		a := accounts.NewAuthorizer(open(t, d, nil)) // with an empty cache
		before := d.Count("")
		err := a.Authorize(t.Context(), who, []auth.Access{{Type: auth.TypeAccount, Name: name, Action: action}})
		require.ErrorIs(t, err, auth.ErrDenied, name)
		return d.Count("") - before
	}
	for _, action := range []auth.Action{auth.Read, auth.Manage} {
		want := cost(eve, "nobody", action)
		require.Positive(t, want)
		for _, name := range []string{"ann", "acme", "bob", "robert", "old"} {
			require.Equal(t, want, cost(eve, name, action), "%s %s", action, name)
		}
		want = cost(eve, "nobody+deploy", action)
		for _, name := range []string{"acme+deploy", "acme+missing", "ann+deploy"} {
			require.Equal(t, want, cost(eve, name, action), "%s %s", action, name)
		}
		for _, name := range []string{"acme", "nobody"} {
			require.Zero(t, cost(auth.Identity{}, name, action), name)
			require.Zero(t, cost(auth.Identity{Name: "job"}, name, action), name)
		}
	}
}

// TestManageAfterRename: an owner has access by the present name and by former ones, and a released name gives none.
func TestManageAfterRename(t *testing.T) {
	people := open(t, memory.New(nil), nil)
	ids := newUsers(t, people, "ann", "bob")
	acme := newOrganisation(t, people, "acme", ids[0])
	require.NoError(t, people.AddMember(t.Context(), operator, acme, ids[1]))
	a := accounts.NewAuthorizer(people)
	allowed := func(i int, name string, action auth.Action) bool {
		who := auth.Identity{Name: "x", Claims: map[string]any{accounts.AccountClaim: string(ids[i])}}
		return a.Authorize(t.Context(), who, []auth.Access{{Type: auth.TypeAccount, Name: name, Action: action}}) == nil
	}
	require.False(t, allowed(0, "apex", auth.Manage))
	_, err := people.Rename(t.Context(), operator, acme, "apex")
	require.NoError(t, err)
	for _, name := range []string{"acme", "apex"} {
		require.True(t, allowed(0, name, auth.Manage), name)
		require.True(t, allowed(1, name, auth.Read), name)
		require.False(t, allowed(1, name, auth.Manage), name)
	}
	_, err = people.Release(t.Context(), operator, acme, "acme")
	require.NoError(t, err)
	require.False(t, allowed(0, "acme", auth.Manage))
	require.False(t, allowed(1, "acme", auth.Read))
	require.NoError(t, people.RemoveMember(t.Context(), operator, acme, ids[1]))
	require.False(t, allowed(1, "apex", auth.Read))
}

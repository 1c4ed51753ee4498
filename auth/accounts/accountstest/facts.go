package accountstest

import (
	"time"

	"github.com/registrykit/registry/auth/accounts"
)

// Facts are the content of a Directory, for [TestDirectory] and [NewMemory].
type Facts struct {
	// Accounts are all accounts, including disabled and removed ones.
	Accounts []accounts.Account
	// Passwords are the passwords of users. A user without one is missing.
	Passwords map[accounts.ID]string
	// Admins are the admins of the registry.
	Admins []accounts.ID
	// Teams are the teams of all organisations.
	Teams []Team
	// Members are the members of organisations, by the organisation. Owners need not be among them.
	Members map[accounts.ID][]accounts.ID
	// Secrets are the secrets of all accounts.
	Secrets []accounts.Secret
	// Visibility is the visibility of the repositories for which one was set.
	Visibility map[string]accounts.Visibility
}

// Team is a team with its members.
type Team struct {
	accounts.Team
	Organisation accounts.ID
	Members      []accounts.ID
}

// The IDs of the accounts of [Sample].
const (
	Ann    accounts.ID = "annaaaaaaaaaaaaa" // an admin of the registry
	Bob    accounts.ID = "bobaaaaaaaaaaaaa" // owns acme
	Carol  accounts.ID = "carolaaaaaaaaaaa" // in the teams dev and ops of acme
	Dave   accounts.ID = "daveaaaaaaaaaaaa" // disabled; in the team dev of acme
	Erin   accounts.ID = "erinaaaaaaaaaaaa" // removed
	Frank  accounts.ID = "frankaaaaaaaaaaa" // owns other; has no password; was called "francis"
	Acme   accounts.ID = "acmeaaaaaaaaaaaa" // an organisation
	Other  accounts.ID = "otheraaaaaaaaaaa" // an organisation whose repositories are public
	Closed accounts.ID = "closedaaaaaaaaaa" // a disabled organisation of Bob
	Deploy accounts.ID = "deployaaaaaaaaaa" // the robot acme+deploy
	Orphan accounts.ID = "orphanaaaaaaaaaa" // the robot closed+orphan
)

// Password is the password of a user of [Sample].
func Password(id accounts.ID) string { return "correct horse of " + string(id) }

// Sample returns the facts that [TestDirectory] needs. now is the time at which the test runs.
func Sample(now time.Time) Facts {
	created := now.Add(-30 * 24 * time.Hour).UTC().Truncate(time.Second)
	mark := &accounts.Mark{By: "ann", At: created.Add(time.Hour), Reason: "left"}
	account := func(id accounts.ID, kind accounts.Kind, name string) accounts.Account {
		return accounts.Account{ID: id, Kind: kind, Name: name, Created: created}
	}
	dave, erin, frank := account(Dave, accounts.User, "dave"), account(Erin, accounts.User, "erin"),
		account(Frank, accounts.User, "frank")
	dave.Disabled, erin.Removed = mark, mark
	frank.Former = []string{"francis"}
	frank.FullName, frank.Email = "Frank É. \U0001f680", "frank@example.com"
	acme, other, closed := account(Acme, accounts.Organisation, "acme"), account(Other, accounts.Organisation, "other"),
		account(Closed, accounts.Organisation, "closed")
	acme.Owners, other.Owners, closed.Owners = []accounts.ID{Bob}, []accounts.ID{Frank}, []accounts.ID{Bob}
	other.Visibility, closed.Disabled = accounts.Public, mark
	deploy, orphan := account(Deploy, accounts.Robot, "acme+deploy"), account(Orphan, accounts.Robot, "closed+orphan")
	deploy.Namespace, deploy.Grants = Acme, []accounts.Grant{{Repositories: "app/**", Role: accounts.Write}}
	orphan.Namespace, orphan.Grants = Closed, []accounts.Grant{{Repositories: "**", Role: accounts.Admin}}
	secret := func(owner accounts.ID, id string) accounts.Secret {
		return accounts.Secret{ID: id, Owner: owner, Name: "a secret", Created: created,
			Hash: "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b"}
	}
	narrow, expired := secret(Carol, "narrowaaaa"), secret(Carol, "expiredaaa")
	narrow.Scopes = []accounts.Grant{{Repositories: "acme/app/**", Role: accounts.Read}}
	narrow.Expires, expired.Expires = now.Add(time.Hour).UTC().Truncate(time.Second), created.Add(time.Hour)
	return Facts{
		Accounts: []accounts.Account{account(Ann, accounts.User, "ann"), account(Bob, accounts.User, "bob"),
			account(Carol, accounts.User, "carol"), dave, erin, frank, acme, other, closed, deploy, orphan},
		Passwords: map[accounts.ID]string{Ann: Password(Ann), Bob: Password(Bob), Carol: Password(Carol),
			Dave: Password(Dave)},
		Admins: []accounts.ID{Ann},
		Teams: []Team{
			{Organisation: Acme, Members: []accounts.ID{Carol, Dave}, Team: accounts.Team{ID: "devaaaaaaaaaaaaa",
				Name: "dev", Created: created, Grants: []accounts.Grant{{Repositories: "app/**", Role: accounts.Write}}}},
			{Organisation: Acme, Members: []accounts.ID{Carol}, Team: accounts.Team{ID: "opsaaaaaaaaaaaaa",
				Name: "ops", Created: created, Grants: []accounts.Grant{{Repositories: "tools/*", Role: accounts.Maintain},
					{Repositories: "**", Role: accounts.Read}}}},
		},
		Members: map[accounts.ID][]accounts.ID{Acme: {Carol, Dave}, Other: {Carol}},
		Secrets: []accounts.Secret{narrow, expired, secret(Deploy, "deployaaaa"), secret(Dave, "daveaaaaaa"),
			secret(Orphan, "orphanaaaa"), secret(Bob, "bobaaaaaaa")},
		Visibility: map[string]accounts.Visibility{"acme/open": accounts.Public, "other/hidden": accounts.Private},
	}
}

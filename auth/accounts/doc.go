// Package accounts manages the users of a registry and their permissions: users, organisations with teams,
// robots, secrets, and public and private repositories. It needs no database: each fact is an object in the
// storage of the registry, and any number of replicas can change facts at the same time.
//
// # What to call
//
// Call [New] once. The methods of the [Accounts] that it returns create and change accounts. Two further
// parts put it in front of a registry:
//
//   - [NewAuthenticator] returns an [auth.Authenticator] that checks the passwords of users and the secrets
//     of users and robots.
//   - [NewAuthorizer] returns an [auth.Authorizer] that decides by owners, teams, grants and visibility.
//     With [Authorizer.Refine], rules deny or allow further accesses.
//
// In code:
//
//	people, err := accounts.New(driver, nil)
//	logins, err := accounts.NewAuthenticator(people, nil)
//	access := accounts.NewAuthorizer(people)
//	tokens, err := token.New(store, logins, access, nil)
//	reg, err := registry.New(store, &registry.Options{Authenticator: tokens, Authorizer: tokens})
//	mux.Handle("/v2/", tokens.Handler(reg))
//
// Both parts need only a [Directory]. A host that has its users in a database implements Directory, and gets
// the roles, grants, secrets and limits of this package for its own users.
//
// # Permissions
//
// The first component of the name of a repository is its namespace: the user or organisation of that
// name. In a namespace,
//
//   - the user, or each owner of the organisation, has the role [Admin];
//   - a member has the highest role that a grant of one of the member's teams gives;
//   - a robot of the namespace has the highest role that one of its own grants gives;
//   - everybody, with or without a login, may pull from [Public] repositories.
//
// The admins of the registry have the role Admin in every repository, including those in no namespace.
// The scopes of a secret narrow the permissions of its owner, and never extend them. What everybody may pull can
// also be pulled with such a secret. Everybody may list the catalog. It shows the repositories that the caller may
// pull from: without a login, exactly the public ones. A rule that denies the catalog to everyone without a login
// hides the list; see [Authorizer.Refine].
//
// A management API also asks for access to accounts and to parts of the registry:
//
//   - a user may read and manage the own account and the own robots;
//   - each owner of an organisation may read and manage it and its robots;
//   - a member of an organisation may read it;
//   - the admins of the registry may read and manage every account and every part of the registry.
//
// Robots, secrets with scopes, and callers without an account may do none of this.
//
// # When changes take effect
//
// A change takes effect at once in the process that makes it, and within [Options].Refresh in all others.
// Examples are disabling a user, revoking a secret, leaving a team, and making a repository private. Access
// tokens of package token that were issued before lose these permissions, too, because the Authorizer looks
// up the account and the secret for each request. A change of the password does not end access tokens: they
// remain valid for token.Options.Lifetime and the minute by which clocks may differ.
package accounts

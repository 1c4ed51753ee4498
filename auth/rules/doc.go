// Package rules decides what callers may do by a list of rules, from a YAML file or from Go.
// [Rules] is an [auth.Authorizer].
//
//	rules:
//	  - name: releases stay
//	    who: everyone
//	    repositories: "**"
//	    actions: [overwrite, delete]
//	    tags: "v*"
//	    effect: deny
//	  - name: the team and its builds push
//	    who: [{group: team}, {claim: {sub: "repo:acme/*"}}]
//	    repositories: ["apps/**", "!apps/legacy/**"]
//	    actions: [pull, push, overwrite, delete]
//	  - name: everybody pulls
//	    who: everyone
//	    repositories: "apps/**"
//	    actions: pull
//
// Put patterns in quotes. Without them, YAML reads "!", "*", "{" and "," in its own way. Most such
// files are refused with an error.
//
// # What to call
//
//   - [Load] reads a file and follows its changes while the registry runs.
//   - [Parse] reads YAML that the program has. The rules never change.
//   - [New] takes rules as Go values. The rules never change.
//
// Pass the result to [github.com/registrykit/registry.Options].Authorizer, or to
// [github.com/registrykit/registry/auth/token.New]. An Authenticator must find out who the callers
// are: rules know nothing but the name, groups and claims of an [auth.Identity].
//
// # Which rule decides
//
// A request needs one or more accesses: an action on a repository, with a tag or without, or, for a
// management API, on an account or a part of the registry. For each access, the first rule in
// the list that applies to it decides, by its effect. If no rule applies,
// the access is denied. A request is allowed if all its accesses are allowed. Different rules may
// decide about them. So a rule with effect deny has to stand before the rule that allows more.
//
// A rule applies to an access if each of its fields matches: who, actions, the one of repositories,
// accounts and registry that the access is about, and tags if the rule has them. Op.Access of
// package registry lists the accesses of each operation. Two further
// accesses are decided separately, and their denial does not deny the request:
//
//   - Overwrite of each tag of a push: if it is denied, the push succeeds unless the tag exists. In
//     that case it gets 409, or 401 if the caller has no name.
//   - Pull from the source of a mount: if it is denied, the client uploads the blob.
//
// # The fields of a rule
//
// name is a text for the audit log. It is optional.
//
// effect is allow or deny. Default: allow.
//
// who is one of the following, or a list of them, of which any must match:
//
//   - everyone; authenticated, which is every caller with a name; anonymous, which is every caller
//     without one.
//   - {user: NAME} and {group: NAME}. NAME is literal, with upper and lower case, and may be a list
//     of names. The groups and claims of a caller without a name match, too.
//   - {claim: {KEY: PATTERN}}. If there are several keys, all must match. PATTERN has the syntax of
//     repositories below, without exceptions and {user}, and may contain any character but a
//     backslash. So "*" does not match a "/": "repo:acme/*" matches "repo:acme/app", and not
//     "repo:acme/app/x". A claim that is a list matches if one of its elements does. Numbers and
//     booleans are matched as JSON writes them. A claim that is missing, or that is an object, does
//     not match, so a deny rule on it denies nothing.
//
// repositories is a pattern of repository names, or a list of patterns, in the syntax of
// doublestar:
//
//   - "*" matches anything but "/", "?" one character but "/", "[a-z]" one of several characters,
//     "{a,b}" one of several texts.
//   - "**" matches any number of components. It must be a whole component, as in "a/**", which also
//     matches "a".
//   - A pattern that begins with "!" is an exception: the rule does not apply to the names that it
//     matches. Its place in the list does not matter.
//   - "{user}" is the name of the caller, literally. For an anonymous caller, and for a caller
//     whose name cannot be a component of a repository name, such as "Ann", "a/b" or
//     "ann@example.com", a pattern with "{user}" matches nothing. So a deny rule for "{user}/**"
//     denies these callers nothing, and an exception "!{user}/**" excepts nothing for them.
//
// accounts is a pattern of the names of users, organisations and robots, or a list of patterns. The
// syntax is that of repositories. The name of a robot is NAMESPACE+ROBOT, so "acme+*" matches the
// robots of acme, and "*" matches every account. Accounts are only managed by a management API.
//
// registry is a part of the registry that a management API shows, or a list of them: accounts (all
// accounts, and the admins), audit, jobs, metrics, mirror, quota, retention, rules, scrub, usage,
// webhooks, or "*" for all of them.
//
// A rule has those of the fields repositories, accounts and registry that its actions are about. It
// may have several of them.
//
// actions is one or several of:
//
//   - pull: read manifests, blobs, tags and referrers.
//   - push: add manifests and blobs, and set tags that do not exist yet.
//   - overwrite: move an existing tag. It is needed besides push.
//   - delete: remove tags, manifests, blobs or the repository.
//   - catalog: list the repositories that the caller may pull from. The repositories and tags of a
//     rule do not limit it: [pull, catalog] on "apps/**" allows the list, which then contains what
//     the caller may pull. A rule with catalog as its only action must have neither.
//   - read: read an account or a part of the registry. For an organisation this includes its
//     members and teams.
//   - manage: change an account or a part of the registry, or the settings of a repository: its
//     description, visibility and webhooks. manage does not include read.
//   - "*": everything that can be done with the repositories, the accounts and the parts of the
//     registry of the rule. It includes catalog only if one of the repositories is exactly "**",
//     none is an exception, and the rule has no tags.
//
// # Tags
//
// tags limits a rule to some tags, by patterns and exceptions like those for repositories, without
// {user}. Default: all tags, and accesses without a tag. An access to a blob, to a manifest by
// digest, to a list or to the whole repository has no tag. For such an access, a rule with tags
// does this:
//
//   - pull, push, effect allow: it allows the access, because otherwise it would allow no image.
//   - pull, push, effect deny: it does not apply.
//   - delete or manage, effect allow: it does not apply.
//   - delete or manage, effect deny: it denies the access, because a delete of a manifest by its
//     digest also removes the tags that point at it. It does not apply to a delete that is refused if
//     a tag leads to the manifest, such as those of package retention.
//
// So tags protect names, and not content. A deny rule with tags does not stop a pull by digest. To
// keep content from callers, deny the repository.
//
// The scopes of tokens contain no tags. The token endpoint
// ([github.com/registrykit/registry/auth/token]) therefore asks [Rules.Scope] whether the caller
// may use at least one tag. The rules are asked again, with the tag, when the token is used.
//
// # When changes take effect
//
// [Load] checks the file at most once a second, when there is something to decide. It reads the
// file if its size, its times or the file itself differ. It follows symbolic links. A change takes
// effect at the next check, without a restart or a signal.
//
// If the new file is malformed, too long or missing, the previous rules stay in force and
// [Options].Error is called once. Nothing else reports it, and a later file that is valid is used
// without a report. So removing the file takes no permission away, and the next start fails. To
// deny everything, write "rules: []".
//
// Replace the file by renaming another one over it. While a file is written in place, the registry
// may read a part of it. A part can allow more than the whole: a rule whose last line, "effect:
// deny", is missing allows what it should deny.
//
// # What is refused
//
// [Load], [Parse] and [New] return an error that says where and what, for: unknown fields and
// values, fields that occur twice or are empty, a rule without who or actions, patterns that cannot
// match any name, and lists of nothing but exceptions. An empty list of rules is valid and denies
// everything; an empty file is refused. In YAML they also refuse anchors, aliases,
// YAML tags, a second document, and more than [MaxSize] bytes.
//
// Rules are compiled when they are read. A decision over a thousand rules takes microseconds and
// allocates nothing.
package rules

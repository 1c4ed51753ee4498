// Package rules decides what callers may do by a list of rules, from a YAML file or from Go.
// [Rules] is an [auth.Authorizer].
//
//	rules:
//	  - name: the team pushes
//	    who: {group: team}
//	    repositories: "apps/**"
//	    actions: [pull, push, overwrite]
//	  - name: everybody pulls
//	    who: everyone
//	    repositories: "apps/**"
//	    actions: pull
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
// For each access that a request needs, the first rule in the list that applies to it decides, by
// its effect: allow (the default) or deny. If no rule applies, the access is denied. A request is
// allowed if all its accesses are allowed. So exceptions come first: a rule with effect deny has to
// stand before the rule that allows more.
//
// A rule applies to an access if each of its fields matches: who, repositories, actions, and tags
// if it has them.
//
// # The fields of a rule
//
// who is one of the following, or a list of them, of which any must match:
//
//   - everyone; authenticated, which is every caller with a name; anonymous, which is every caller
//     without one.
//   - {user: NAME} and {group: NAME}. NAME is literal and may be a list of names.
//   - {claim: {KEY: PATTERN}}. If there are several keys, all must match. A claim that is a list
//     matches if one of its elements does. Numbers and booleans are matched as JSON writes them.
//
// repositories is a pattern of repository names, or a list of patterns, in the syntax of
// doublestar:
//
//   - "*" matches anything but "/", "?" one character but "/", "[a-z]" one of several characters,
//     "{a,b}" one of several texts.
//   - "**" matches any number of components. It must be a whole component, as in "a/**", which also
//     matches "a".
//   - A pattern that begins with "!" is an exception, wherever in the list it stands.
//   - "{user}" is the name of the caller, literally. For an anonymous caller, and for a caller whose
//     name cannot be a component of a repository name, such as "Ann" or "ann@example.com", a
//     pattern with "{user}" matches nothing.
//
// actions is one or several of:
//
//   - pull: read manifests, blobs, tags and referrers.
//   - push: add manifests and blobs, and set tags that do not exist yet.
//   - overwrite: move an existing tag. It is needed besides push.
//   - delete: remove tags, manifests, blobs or the repository.
//   - catalog: list the repositories that the caller may pull from. A rule without any other action
//     has neither repositories nor tags.
//   - "*": everything that can be done with a repository. It includes catalog if repositories
//     contains "**", without exceptions, and the rule has no tags.
//
// # Tags
//
// tags limits a rule to some tags, by patterns and exceptions like those for repositories. An
// access to a blob, to a manifest by digest or to a list names no tag:
//
//   - Pull and push without a tag: a rule that allows some tags allows them, because otherwise it
//     would allow no image at all. A rule that denies some tags does not apply. So tags limit names
//     and not content: a caller who knows a digest can pull the manifest even if its tag is denied.
//   - Delete without a tag also removes the tags that point at the manifest. A rule that allows to
//     delete some tags does not apply, and a rule that denies to delete some tags denies it.
//
// The scopes of tokens contain no tags. The token endpoint
// ([github.com/registrykit/registry/auth/token]) therefore asks [Rules.Scope] whether the caller
// may use at least one tag. The rules are asked again, with the tag, when the token is used.
//
// # When changes take effect
//
// [Load] checks the file at most once a second, when there is something to decide. A change takes
// effect at the next check, without a restart or a signal. If the new file is malformed, too long
// or missing, the previous rules stay in force and [Options].Error is called once.
//
// Replace the file by renaming another one over it. While a file is written in place, the registry
// may read half of it, and half of a rule can allow more than the whole.
//
// # What is refused
//
// [Load], [Parse] and [New] return an error that says where and what, for: unknown fields and
// values, fields that occur twice or are empty, a rule without who or actions, patterns that cannot
// match any name, and lists of nothing but exceptions. In YAML they also refuse anchors, aliases,
// YAML tags, a second document, and more than [MaxSize] bytes.
//
// Rules are compiled when they are read. A decision over a thousand rules takes microseconds and
// allocates nothing.
package rules

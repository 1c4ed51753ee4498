// Package rules decides who may do what by a list of rules, in a YAML file or in Go. [Rules] is an
// [auth.Authorizer].
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
// # Which rule decides
//
// Rules are asked in their order, once for each access that a request needs, and the first that is
// about the access decides: effect allow (the default) or deny. If none is, the answer is no. A
// request is allowed if all of its accesses are.
//
// who is everyone, authenticated (whoever has a name), anonymous (whoever has none), {user: NAME},
// {group: NAME} or {claim: {KEY: PATTERN}}; a list of these means any of them. Names are taken
// literally, and may be lists themselves. Of several keys in one claim all must match; a claim that
// is a list matches if one of its elements does; numbers and booleans are matched as they are
// written in JSON.
//
// repositories are patterns of names in the syntax of doublestar: "*" matches anything but "/",
// "**" between slashes any number of components (so "a/**" has a itself in it), "?" one character,
// "[a-z]" and "{a,b}" one of several. What begins with "!" is an exception, wherever in the list it
// stands. "{user}" stands for the name of the caller, letter by letter; for a caller whose name
// could not be one component of a repository's, such as "Ann" or "ann@example.com", and for
// anonymous ones, a pattern with it matches nothing. Patterns that cannot match any name are
// errors.
//
// actions are pull, push (which sets new tags), overwrite (which moves tags), delete, and catalog,
// which lists the repositories the caller may pull from. "*" is everything that can be done with a
// repository, and if repositories is or has "**", without exceptions, the catalogue as well.
//
// # Tags
//
// tags limits a rule to some tags, by patterns with exceptions like those for repositories. Blobs,
// manifests by digest, and lists are not about a tag:
//
//   - Pulling and pushing them is allowed by a rule that allows some tags, or nobody could push or pull these; a rule that denies some tags leaves it to the rules
//     that follow. So tags limit names, not content: who knows the digest may pull what a tag that they may not pull points at.
//   - A delete that names no tag takes the tags with it that point there. A rule that allows to delete some tags does not allow it, and a rule that
//     denies to delete some tags denies it.
//
// The token endpoint ([github.com/registrykit/registry/auth/token]) asks by [Rules.Scope] what
// somebody may do with a repository under some tag at least; the rules are asked again, with the
// tag, when the token is used.
//
// # Files
//
// [Load] looks at the file at most once a second, when there is something to decide, and takes it
// anew if it has changed. One that is broken, too long or gone changes nothing, and [Options].Error
// is told. A file should be replaced by renaming another over it: of one that is written in place,
// half may be read, and a half of a rule can allow more than the whole.
//
// Rules are compiled when they are made; a decision over a thousand takes microseconds and
// allocates nothing.
package rules

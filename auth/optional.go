package auth

import "context"

// Explainer is an optional ability of an [Authorizer]: it names the rule that decided, for the
// audit. A type that wraps an Authorizer should implement Explainer, [Scoper] and [Prefixer] by
// calling [Explain], [Scope] and [Prefixes] on the wrapped one.
type Explainer interface {
	// Explain decides as Authorize does. It also returns the rule that decided, as a text for an
	// operator, or "" if no rule did.
	//
	// Errors: those of Authorize.
	Explain(ctx context.Context, identity Identity, accesses []Access) (rule string, err error)
}

// Prefixer is an optional ability of an [Authorizer]: it knows in which repositories an identity
// may do nothing. It makes lists of repositories faster, and [AllowsAnonymous] more exact.
type Prefixer interface {
	// Prefixes returns prefixes of repository names. Authorize must deny the identity everything in
	// a repository whose name begins with none of them. If the list is empty, Authorize must deny
	// the identity everything in every repository. The prefix "" fits every name.
	Prefixes(ctx context.Context, identity Identity) []string
}

// Scoper is an optional ability of an [Authorizer]: it knows what an identity may do for at least
// one tag. Scopes of tokens contain no tags, so the token endpoint grants a scope if Scope allows
// it. The Authorizer is asked again, with the tag, when the token is used. Without a Scoper, a
// token for deletes is issued only to callers with permission to delete without a tag.
type Scoper interface {
	// Scope decides as Explain does, but it also allows an access without a tag if there may be a
	// tag for which the access is allowed.
	//
	// Errors: those of Authorize.
	Scope(ctx context.Context, identity Identity, accesses []Access) (rule string, err error)
}

// Renewer is an optional ability of an [Authenticator]: it knows whether an earlier login is still valid. Refresh
// tokens need it; see package token. A type that wraps an Authenticator should implement Renewer by calling
// [Renew] on the wrapped one.
type Renewer interface {
	// Renew returns the current identity, for example with the current groups, of a caller for whom
	// Authenticate has returned identity, at any earlier time and in any process.
	//
	// Errors: ErrCredentials if identity does not come from this Authenticator; if the caller was removed or
	// disabled; if the password or secret of the login was changed or revoked; or if such a login cannot be
	// renewed. Any other error means that Renew cannot know whether the login is valid.
	Renew(ctx context.Context, identity Identity) (Identity, error)
}

// Renew returns the result of a.Renew if a is a [Renewer], and otherwise ErrCredentials.
//
// Errors: ErrCredentials, and others of a.Renew.
func Renew(ctx context.Context, a Authenticator, identity Identity) (Identity, error) {
	if r, ok := a.(Renewer); ok {
		return r.Renew(ctx, identity)
	}
	return Identity{}, ErrCredentials
}

// Explain returns the decision of a and, if a is an [Explainer], the rule that decided.
//
// Errors: those of a.Authorize.
func Explain(ctx context.Context, a Authorizer, identity Identity, accesses []Access) (rule string, err error) {
	if e, ok := a.(Explainer); ok {
		return e.Explain(ctx, identity, accesses)
	}
	return "", a.Authorize(ctx, identity, accesses)
}

// Scope returns the result of a.Scope if a is a [Scoper], and otherwise that of [Explain].
//
// Errors: those of a.Authorize.
func Scope(ctx context.Context, a Authorizer, identity Identity, accesses []Access) (rule string, err error) {
	if s, ok := a.(Scoper); ok {
		return s.Scope(ctx, identity, accesses)
	}
	return Explain(ctx, a, identity, accesses)
}

// Prefixes returns the result of a.Prefixes if a is a [Prefixer], and otherwise the prefix "",
// which fits every name.
func Prefixes(ctx context.Context, a Authorizer, identity Identity) []string {
	if p, ok := a.(Prefixer); ok {
		return p.Prefixes(ctx, identity)
	}
	return []string{""}
}

// AllowsAnonymous reports whether a allows, or may allow, callers without credentials anything: to
// do something in a repository or to list the catalog. It returns true for an Authorizer that is no
// [Prefixer], because such an Authorizer does not say in which repositories it allows nothing.
func AllowsAnonymous(ctx context.Context, a Authorizer) bool {
	if len(Prefixes(ctx, a, Identity{})) > 0 {
		return true
	}
	catalog := []Access{{Type: TypeRegistry, Name: NameCatalog, Action: All}}
	return a.Authorize(ctx, Identity{}, catalog) == nil
}

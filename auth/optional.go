package auth

import "context"

// Explainer is an [Authorizer] that says which of its rules decided. Whoever wraps an Authorizer
// passes this on, [Scoper] and [Prefixer].
type Explainer interface {
	// Explain is Authorize, and says besides which rule decided, in words for an operator; "" if
	// none did.
	//
	// Errors: those of Authorize.
	Explain(ctx context.Context, identity Identity, accesses []Access) (rule string, err error)
}

// Prefixer is an [Authorizer] that knows where an identity has no business. It only makes lists of
// repositories faster.
type Prefixer interface {
	// Prefixes returns prefixes of names: Authorize allows the identity nothing in a repository
	// whose name begins with none of them. None at all: nothing in any repository. "" is a prefix
	// of every name.
	Prefixes(ctx context.Context, identity Identity) []string
}

// Scoper is an [Authorizer] that knows what an identity may do under some tag at least. Scopes of
// tokens have no tags in them: they are granted by this, and the Authorizer is asked again, with
// the tag, when a token is used. Without it, a token for deletes is only given to who may delete
// without a tag.
type Scoper interface {
	// Scope is Explain, but that an access without a tag is allowed also if there may be a tag with
	// which it is.
	//
	// Errors: those of Authorize.
	Scope(ctx context.Context, identity Identity, accesses []Access) (rule string, err error)
}

// Explain is a.Authorize. If a is an [Explainer], it says which rule decided.
func Explain(ctx context.Context, a Authorizer, identity Identity, accesses []Access) (rule string, err error) {
	if e, ok := a.(Explainer); ok {
		return e.Explain(ctx, identity, accesses)
	}
	return "", a.Authorize(ctx, identity, accesses)
}

// Scope is a.Scope, if a is a [Scoper], and otherwise [Explain].
func Scope(ctx context.Context, a Authorizer, identity Identity, accesses []Access) (rule string, err error) {
	if s, ok := a.(Scoper); ok {
		return s.Scope(ctx, identity, accesses)
	}
	return Explain(ctx, a, identity, accesses)
}

// Prefixes are those of a for the identity, if a is a [Prefixer], and otherwise the one that every
// name has.
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

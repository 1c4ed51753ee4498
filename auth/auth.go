// Package auth holds the interfaces by which a registry asks who a caller is and what they may do,
// and the words in which the two talk to each other. It has no implementation of its own: those are
// its subpackages, or the host's.
//
// The vocabulary of [Access] is that of Docker's token protocol (type, name, action), so that what
// a registry asks, what a token grants and what a rule says are the same words.
package auth

import (
	"context"
	"errors"
	"net/http"
	"strings"
)

// Identity is who a caller is. The zero Identity is an anonymous caller. One without a name but
// with Claims is as anonymous, and has shown credentials: a token that anybody gets.
type Identity struct {
	// Name is unique among all callers of the registry and does not change: uploads belong to it.
	// "" is anonymous.
	Name string
	// Groups are the groups the caller is in, as the Authenticator knows them.
	Groups []string
	// Claims is anything else that the Authenticator knows and an Authorizer may want. It must not
	// be changed.
	Claims map[string]any
}

// Anonymous reports whether nobody has been authenticated.
func (i Identity) Anonymous() bool { return i.Name == "" }

// Types of what an [Access] is about.
const (
	// TypeRepository is a repository; Access.Name is its name.
	TypeRepository = "repository"
	// TypeRegistry is the registry as a whole; Access.Name is NameCatalog.
	TypeRegistry = "registry"
	// NameCatalog is the list of repositories.
	NameCatalog = "catalog"
)

// Action is what a caller wants to do.
type Action string

const (
	// Pull reads blobs, manifests, tags and referrers of a repository.
	Pull Action = "pull"
	// Push adds blobs and manifests to a repository, and tags that do not exist yet.
	Push Action = "push"
	// Overwrite points a tag that exists at another manifest. It is asked for besides Push, and
	// refused only if the tag does exist at the moment of the write.
	Overwrite Action = "overwrite"
	// Delete removes blobs, manifests, tags or the repository.
	Delete Action = "delete"
	// All is any action at all. The catalogue has no other; an operation that this version does not
	// know asks for it.
	All Action = "*"
)

// Access is one thing that a request needs to be allowed to do.
type Access struct {
	// Type is TypeRepository or TypeRegistry.
	Type string
	// Name is the name of the repository, or NameCatalog.
	Name string
	// Action is what is to be done with it.
	Action Action
	// Tag is the tag that is read, written or deleted; "" if the action is not about a tag. A
	// delete without one takes the tags with it that point at the manifest, whichever these are:
	// who may delete some tags only may not do that.
	Tag string
}

// String returns the access as a scope of the token protocol: "repository:library/alpine:pull".
func (a Access) String() string {
	return strings.Join([]string{a.Type, a.Name, string(a.Action)}, ":")
}

var (
	// ErrCredentials is what Authenticate returns, or wraps, for credentials that are wrong,
	// expired or malformed. The answer is 401 with a challenge.
	ErrCredentials = errors.New("auth: invalid credentials")
	// ErrDenied is what Authorize returns, or wraps, for what the identity may not do. The answer
	// is 403, or 401 with a challenge if the identity is anonymous.
	ErrDenied = errors.New("auth: access denied")
	// ErrScope is what Authorize returns, or wraps, if other credentials of the same caller might
	// do: a token of too narrow a scope. The answer is 401 with a challenge that names the scope
	// needed.
	ErrScope = errors.New("auth: insufficient scope")
)

// Authenticator finds out who sent a request.
type Authenticator interface {
	// Authenticate returns the identity of the caller, the zero Identity if the request carries no
	// credentials. It must not read the body.
	//
	// Errors: ErrCredentials, *LimitError; any other error is answered with 500 and ends the
	// request.
	Authenticate(r *http.Request) (Identity, error)

	// Challenge returns the value of the WWW-Authenticate header (RFC 9110, section 11.6.1) of a
	// 401, by which the caller may come to be allowed the accesses. "" sends none.
	Challenge(r *http.Request, accesses []Access) string
}

// Authorizer decides what an identity may do.
type Authorizer interface {
	// Authorize returns nil if the identity may do all of accesses. It is asked before anything is
	// known of whether what they name exists, and must not depend on that.
	//
	// Errors: ErrDenied, ErrScope; any other error refuses as well, with 500.
	Authorize(ctx context.Context, identity Identity, accesses []Access) error
}

// AuthorizerFunc is a function as an [Authorizer].
type AuthorizerFunc func(ctx context.Context, identity Identity, accesses []Access) error

// Authorize calls f.
func (f AuthorizerFunc) Authorize(ctx context.Context, identity Identity, accesses []Access) error {
	return f(ctx, identity, accesses)
}

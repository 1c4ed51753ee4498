// Package auth defines how a registry finds out who a caller is and what the caller may do.
//
//   - An [Authenticator] returns the [Identity] of the caller who sent a request.
//   - An [Authorizer] decides whether an identity may do what a request needs: a list of [Access].
//
// The package has no implementations. They are in its subpackages, or the host writes its own; see
// [AuthenticatorFunc] and [AuthorizerFunc]. Both are options of
// [github.com/registrykit/registry.New].
//
// An [Access] has the words of Docker's token protocol: type, name and action. So requests, tokens
// and rules all use the same words.
package auth

import (
	"context"
	"errors"
	"net/http"
	"strings"
)

// Identity is who a caller is. The zero Identity is an anonymous caller. An Identity with Claims
// and without a Name is anonymous, too, but its caller has shown credentials, such as a token that
// everybody can get.
type Identity struct {
	// Name is unique among all callers of the registry. It must not change, because uploads belong
	// to a name. Callers without a name are anonymous.
	Name string
	// Groups are the groups that the caller is in, as the Authenticator knows them.
	Groups []string
	// Claims are other facts that the Authenticator knows and an Authorizer may need. The map and
	// its values must not be changed.
	Claims map[string]any
}

// ScopesClaim is the name of the claim of an identity that comes from a token with scopes, such as those of packages
// token and bearer. Its value is for the package that has verified the token. The scopes are those of Docker's token
// protocol. They contain repositories and the catalog alone, so a management API refuses such a token.
const ScopesClaim = "registrykit.io/scopes"

// Anonymous reports whether the caller has no name.
func (i Identity) Anonymous() bool { return i.Name == "" }

// The types of an [Access].
const (
	// TypeRepository is a repository. Access.Name is its name.
	TypeRepository = "repository"
	// TypeRegistry is a part of the registry as a whole. Access.Name is NameCatalog or another of the names below.
	TypeRegistry = "registry"
	// TypeAccount is a user, an organisation or a robot, with everything that belongs to it except for its
	// repositories. Access.Name is its name, which for a robot is "NAMESPACE+ROBOT". The actions are Read and Manage.
	// Only a management API asks for it.
	TypeAccount = "account"
)

// The names that go with TypeRegistry. The action on NameCatalog is All. Only a management API asks for the others,
// with the actions Read and Manage.
const (
	// NameCatalog is the catalog: the list of repositories.
	NameCatalog = "catalog"
	// NameAccounts is the list of all accounts, and the admins.
	NameAccounts = "accounts"
	// NameAudit is the audit log.
	NameAudit = "audit"
	// NameJobs is the list of background jobs.
	NameJobs = "jobs"
	// NameMetrics is the metrics of the program.
	NameMetrics = "metrics"
	// NameMirror is the state of a mirror: upstreams, pins and refreshes.
	NameMirror = "mirror"
	// NameQuota is all limits, and what is used of them.
	NameQuota = "quota"
	// NameRetention is the retention rules and plans for all repositories.
	NameRetention = "retention"
	// NameRules is the rules of access, and explanations of decisions about any caller.
	NameRules = "rules"
	// NameScrub is what scrubs have found.
	NameScrub = "scrub"
	// NameUsage is the usage of all repositories.
	NameUsage = "usage"
	// NameWebhooks is the webhooks for the events of all repositories.
	NameWebhooks = "webhooks"
)

// Action is what a caller wants to do with a repository, an account, or a part of the registry.
type Action string

const (
	// Pull reads blobs, manifests, tags and referrers of a repository.
	Pull Action = "pull"
	// Push adds blobs and manifests to a repository, and tags that do not exist yet.
	Push Action = "push"
	// Overwrite points an existing tag at another manifest. The registry asks for it besides Push.
	// If it is denied, a push still succeeds unless the tag exists at the moment of the write.
	Overwrite Action = "overwrite"
	// Delete removes blobs, manifests, tags or the repository.
	Delete Action = "delete"
	// All is every action. It is the only action on the catalog. The registry also asks for it when
	// an operation is unknown to this version.
	All Action = "*"
	// Read reads an account or a part of the registry. A management API asks for it.
	Read Action = "read"
	// Manage changes an account, a part of the registry, or the settings of a repository: its description,
	// visibility and webhooks. A management API asks for it.
	Manage Action = "manage"
)

// Access is one permission that a request needs.
type Access struct {
	// Type is TypeRepository, TypeRegistry or TypeAccount.
	Type string
	// Name is the name of the repository or account, or one of the names that go with TypeRegistry.
	Name string
	// Action is what the request does with it.
	Action Action
	// Tag is the tag that is read, written or deleted. It is "" if the action is not about a tag. A
	// delete without a tag also removes every tag that points at the manifest, so an Authorizer
	// must not allow it to callers with permission to delete only some tags, unless Untagged is set.
	Tag string
	// Untagged is set for a delete of a manifest that removes no tag, because it is refused if a tag
	// or another manifest leads to the manifest. See registry.DeleteOptions.IfUnused.
	Untagged bool
}

// String returns the access as a scope of the token protocol: "repository:library/alpine:pull".
func (a Access) String() string {
	return strings.Join([]string{a.Type, a.Name, string(a.Action)}, ":")
}

var (
	// ErrCredentials is returned by Authenticate, possibly wrapped, for wrong, expired or malformed
	// credentials. The response is 401 with a challenge.
	ErrCredentials = errors.New("auth: invalid credentials")
	// ErrDenied is returned by Authorize, possibly wrapped, if the identity may not do what is
	// asked. The response is 403, or 401 with a challenge if the identity is anonymous.
	ErrDenied = errors.New("auth: access denied")
	// ErrScope is returned by Authorize, possibly wrapped, if other credentials of the same caller
	// could suffice: the scope of the token is too narrow. The response is 401 with a challenge
	// that names the scope that is needed.
	ErrScope = errors.New("auth: insufficient scope")
)

// Authenticator finds out who sent a request. It must be safe for concurrent use.
type Authenticator interface {
	// Authenticate returns the identity of the caller, or the zero Identity if the request has no
	// credentials. It must not read the body.
	//
	// Errors: ErrCredentials, *LimitError, *UnavailableError. Any other error ends the request with 500.
	Authenticate(r *http.Request) (Identity, error)

	// Challenge returns the value of the WWW-Authenticate header of a 401 (RFC 9110, section
	// 11.6.1). It tells clients which credentials could permit the accesses. If it returns "", the
	// response has no such header.
	Challenge(r *http.Request, accesses []Access) string
}

// Authorizer decides what an identity may do. It must be safe for concurrent use.
type Authorizer interface {
	// Authorize returns nil if the identity may do all of accesses. The registry calls it before it
	// looks up anything, so the decision must not depend on whether a repository exists.
	//
	// Errors: ErrDenied, ErrScope, *UnavailableError. Any other error also refuses the request, with 500.
	Authorize(ctx context.Context, identity Identity, accesses []Access) error
}

// AuthorizerFunc makes a function an [Authorizer].
type AuthorizerFunc func(ctx context.Context, identity Identity, accesses []Access) error

// Authorize calls f.
func (f AuthorizerFunc) Authorize(ctx context.Context, identity Identity, accesses []Access) error {
	return f(ctx, identity, accesses)
}

package accounts

import "github.com/registrykit/registry/auth"

// Role is a set of permissions in a repository. Each role includes the roles before it.
type Role string

// The roles.
const (
	// Read permits pulls.
	Read Role = "read"
	// Write also permits pushes, including those that move a tag.
	Write Role = "write"
	// Maintain also permits deleting and restoring tags, manifests and blobs, and deleting the repository.
	Maintain Role = "maintain"
	// Admin also permits changing the visibility, the description and the webhooks of the repository. The owners of an
	// organisation, and the user of a namespace, have this role in the whole namespace.
	Admin Role = "admin"
)

// Grant is a role in the repositories that match a pattern.
type Grant struct {
	// Repositories is a pattern relative to the namespace, in the syntax of package rules. "**" matches
	// every repository of the namespace, "app" the repository NAME/app, and "app/**" also the repositories
	// below it. Exceptions and "{user}" are not permitted.
	Repositories string `json:"repositories"`
	// Role is the role in these repositories.
	Role Role `json:"role"`
}

// Allows reports whether the role includes an action on a repository.
func (r Role) Allows(a auth.Action) bool {
	rank := r.rank()
	switch a {
	case auth.Pull:
		return rank >= Read.rank()
	case auth.Push, auth.Overwrite:
		return rank >= Write.rank()
	case auth.Delete:
		return rank >= Maintain.rank()
	}
	return rank >= Admin.rank() // auth.Manage, auth.All, and actions of later versions
}

// rank returns 0 for a role that does not exist.
func (r Role) rank() int {
	switch r {
	case Read:
		return 1
	case Write:
		return 2
	case Maintain:
		return 3
	case Admin:
		return 4
	}
	return 0
}

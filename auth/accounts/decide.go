package accounts

import (
	"context"
	"slices"
	"strings"

	"github.com/registrykit/registry/auth"
)

// ownDecision decides about one access by accounts alone.
//
// Errors: auth.ErrDenied; those of the Directory.
func (a *Authorizer) ownDecision(ctx context.Context, c *caller, access *auth.Access) (reason, error) {
	switch {
	case access.Type == auth.TypeRegistry && access.Name == auth.NameCatalog && access.Action == auth.All:
		// It contains only what the caller may pull. Rules can deny it; see Authorizer.Refine.
		return reason{"accounts: everybody lists the catalog"}, nil
	case access.Type == auth.TypeRegistry:
		return a.registryDecision(ctx, c, access)
	case access.Type == auth.TypeAccount:
		return a.accountDecision(ctx, c, access)
	case access.Type != auth.TypeRepository || access.Name == "" || access.Action == "":
		return reason{}, auth.ErrDenied
	}
	namespace, err := a.namespace(ctx, access.Name)
	if err != nil {
		return reason{}, err
	}
	if c.account != nil {
		why, err := a.role(ctx, c.account, namespace, access.Name, access.Action)
		if err != nil || why != (reason{}) {
			return why, err
		}
	}
	if access.Action == auth.Pull {
		public, err := a.public(ctx, namespace, access.Name)
		if err != nil {
			return reason{}, err
		}
		if public {
			return reason{"accounts: ", access.Name, " is public"}, nil
		}
	}
	return reason{}, auth.ErrDenied
}

// namespace returns the user or organisation that a repository belongs to, or nil. It takes as long for a name that
// nobody has: otherwise anybody could find out names by the time.
//
// Errors: those of the Directory.
func (a *Authorizer) namespace(ctx context.Context, repository string) (*Account, error) {
	first, _, _ := strings.Cut(repository, "/")
	namespace, err := a.lookup(ctx, first)
	if err != nil || namespace.Removed != nil || namespace.Kind == Robot {
		return nil, ignore(err, ErrUnknown)
	}
	return namespace, nil
}

// role returns the reason why an active account may do something in a repository, or the zero reason. The facts that
// most requests share come first.
//
// Errors: those of the Directory.
func (a *Authorizer) role(ctx context.Context, account, namespace *Account, repository string,
	action auth.Action) (reason, error) {
	first, relative, _ := strings.Cut(repository, "/")
	if account.Kind == Robot {
		if namespace == nil || account.Namespace != namespace.ID {
			return reason{}, nil
		}
		if g := allowedBy(account.Grants, relative, action); g != nil {
			return reason{"accounts: ", account.Name, " has ", string(g.Role), " in ", g.Repositories}, nil
		}
		return reason{}, nil
	}
	switch {
	case namespace == nil:
	case namespace.ID == account.ID:
		return reason{"accounts: the user of the namespace ", namespace.Name}, nil
	case namespace.Kind == Organisation && slices.Contains(namespace.Owners, account.ID):
		return reason{"accounts: an owner of ", namespace.Name}, nil
	}
	admin, err := a.directory.IsAdmin(ctx, account.ID)
	if ignore(err, ErrUnknown) != nil {
		return reason{}, err
	}
	if admin {
		return reason{"accounts: an admin of the registry"}, nil
	}
	// The grants are read for every namespace, because the answer must take as long for one that nobody has.
	organisation := decoy(first)
	if namespace != nil {
		organisation = namespace.ID
	}
	grants, err := a.directory.Grants(ctx, organisation, account.ID)
	if ignore(err, ErrUnknown) != nil {
		return reason{}, err
	}
	if namespace == nil || namespace.Kind != Organisation {
		return reason{}, nil
	}
	if g := allowedBy(grants, relative, action); g != nil {
		return reason{"accounts: a team of ", namespace.Name, " grants ", string(g.Role), " in ", g.Repositories}, nil
	}
	return reason{}, nil
}

// public reports whether everybody may pull from a repository.
//
// Errors: those of the Directory.
func (a *Authorizer) public(ctx context.Context, namespace *Account, repository string) (bool, error) {
	v, err := a.directory.Visibility(ctx, repository)
	if ignore(err, ErrUnknown) != nil {
		return false, err
	}
	if v == "" && namespace != nil {
		v = namespace.Visibility
	}
	return v == Public, nil
}

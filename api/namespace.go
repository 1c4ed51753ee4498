package api

import (
	"errors"
	"strings"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth/accounts"
)

// maxDeleted is the maximum number of repositories that one request deletes.
const maxDeleted = 1000

// emptyNamespace ensures that there are no repositories below the names of an account, as far as the caller sees them.
// erase deletes them.
//
// Errors: 409 if there are any, or more than one request deletes; those of the deletion.
func (q *request) emptyNamespace(acc *accounts.Account, erase bool) error {
	left := maxDeleted
	for _, name := range append([]string{acc.Name}, acc.Former...) {
		if !erase {
			used, err := accounts.RepositoriesOf(q.caller.Backend())(q.Context(), name)
			switch {
			case err != nil:
				return err
			case used:
				return inUse("there are repositories below %s: delete them first, or say what to do with them", name)
			}
			continue
		}
		if err := q.deleteBelow(name, &left); err != nil {
			return err
		}
	}
	return nil
}

// deleteBelow deletes the repositories NAME and NAME/**, and counts them down in left.
func (q *request) deleteBelow(name string, left *int) error {
	// The list is read before anything is deleted, because deletions would change it.
	names := []string{name}
	below := name + "/"
	for found, err := range q.caller.Backend().Repositories(q.Context(), &registry.ListOptions{After: below}) {
		if err != nil {
			return err
		}
		if !strings.HasPrefix(found, below) || len(names) > *left {
			break
		}
		names = append(names, found)
	}
	for _, repository := range names {
		if *left == 0 {
			return inUse("%d repositories were deleted, and there are more: repeat the request", maxDeleted)
		}
		err := q.caller.Backend().DeleteRepository(q.Context(), repository, nil)
		switch {
		case errors.Is(err, registry.ErrNameUnknown):
		case err != nil:
			return err
		default:
			*left--
		}
	}
	return nil
}

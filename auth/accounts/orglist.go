package accounts

import (
	"context"
	"errors"
	"iter"
	"strings"

	"github.com/registrykit/registry/storage/driver"
)

// A hint under w/g/ says that a name may be that of an organisation. Hints are the list of organisations: users and
// organisations share one set of names, and there may be many more users. A hint is written before the commit of a new
// organisation or name, so that no organisation is missing in the list after a crash.

// orgNamesPrefix is the prefix of the keys of the hints of organisations.
const orgNamesPrefix = prefix + "g/"

func orgNameKey(skeleton string) string { return orgNamesPrefix + skeleton }

// ListOrganisations is [Accounts.List] for organisations. Its cost does not depend on the number of users.
//
// Errors: those of the Driver.
func (a *Accounts) ListOrganisations(ctx context.Context, after string) iter.Seq2[*Account, error] {
	if after != "" {
		after = orgNameKey(skeleton(after))
	}
	return ahead(a.keys(ctx, orgNamesPrefix, after), func(key string) (*Account, error) {
		return a.namedOrganisation(ctx, last(key))
	})
}

// namedOrganisation returns the organisation whose current name has a skeleton.
//
// Errors: ErrUnknown; those of the Driver.
func (a *Accounts) namedOrganisation(ctx context.Context, skel string) (*Account, error) {
	acc, err := a.readNamed(ctx, nameKey(skel))
	if err == nil && acc.Kind != Organisation {
		return nil, ErrUnknown
	}
	return acc, err
}

// hintOrganisation writes the hint of a name. It must be called before an organisation gets the name. It writes even if
// there is a hint: the new version prevents a concurrent Tidy from deleting it.
func (a *Accounts) hintOrganisation(ctx context.Context, name string) error {
	return put(ctx, a, orgNameKey(skeleton(name)), &hint{Since: a.now().UTC()}, &driver.PutOptions{})
}

// tidyOrganisationName deletes a hint if no organisation has the name, or is about to get it.
func (a *Accounts) tidyOrganisationName(ctx context.Context, key string) error {
	h, version, err := get[hint](ctx, a, key)
	if err != nil {
		return ignore(err, ErrUnknown)
	}
	if a.now().Sub(h.Since) < hintLife {
		return nil
	}
	_, err = a.namedOrganisation(ctx, strings.TrimPrefix(key, orgNamesPrefix))
	if errors.Is(err, ErrUnknown) {
		return a.dropVersion(ctx, key, version)
	}
	return err
}

package accounts

import (
	"context"
	"errors"
)

// OwnerOf returns a function that returns the ID of the account that a namespace belongs to now, or "" if it belongs
// to nobody. It is for endpoints.Options.Owner.
//
// Errors of the function: those of the Directory, except for ErrUnknown.
func OwnerOf(d Directory) func(ctx context.Context, namespace string) (string, error) {
	return func(ctx context.Context, namespace string) (string, error) {
		account, err := d.Lookup(ctx, namespace)
		switch {
		case errors.Is(err, ErrUnknown):
			return "", nil
		case err != nil:
			return "", err
		}
		return string(account.ID), nil
	}
}

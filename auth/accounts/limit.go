package accounts

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/registrykit/registry/storage/driver"
)

// parallelRequests is the maximum number of requests to the storage that one call makes at the same time.
const parallelRequests = 16

// keys yields the keys with a prefix, after a key.
func (a *Accounts) keys(ctx context.Context, prefix, after string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for info, err := range a.driver.List(ctx, prefix, &driver.ListOptions{After: after, KeysOnly: true}) {
			if !yield(info.Key, err) || err != nil {
				return
			}
		}
	}
}

// createLimited stores a fact that must not exist, if there are fewer than limit facts with the prefix. It counts
// before and after the write. So concurrent calls never leave more facts than the limit, but more of them than
// necessary may fail.
//
// Errors: ErrTaken, ErrLimit; those of the Driver.
func createLimited[T any](ctx context.Context, a *Accounts, prefix, name string, fact *T, limit int) error {
	n, err := a.count(ctx, prefix, limit)
	if err != nil {
		return err
	}
	if n >= limit {
		return fmt.Errorf("%w: there are %d", ErrLimit, limit)
	}
	err = create(ctx, a, prefix+name, fact)
	if driver.IsConflict(err) {
		return fmt.Errorf("%w: there is one of this name", ErrTaken)
	}
	if err != nil {
		return err
	}
	if n, err := a.count(ctx, prefix, limit+1); err != nil || n <= limit {
		return nil // the fact is stored: an error here only means that the limit may be exceeded
	}
	return errors.Join(fmt.Errorf("%w: there are %d", ErrLimit, limit), a.drop(ctx, prefix+name))
}

// count returns the number of keys with a prefix, at most limit.
func (a *Accounts) count(ctx context.Context, prefix string, limit int) (int, error) {
	n := 0
	for _, err := range a.keys(ctx, prefix, "") {
		if err != nil {
			return 0, err
		}
		if n++; n >= limit {
			break
		}
	}
	return n, nil
}

// result returns the value and the error of a change. After an error other than ErrNotified, the value is nil.
func result[T any](value *T, err error) (*T, error) {
	if err != nil && !errors.Is(err, ErrNotified) {
		return nil, err
	}
	return value, err
}

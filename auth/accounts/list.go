package accounts

import (
	"context"
	"iter"
	"strings"
)

// Find is [Accounts.Lookup] by the storage alone: it also finds what another process has just written. Management
// needs it, and requests of /v2/ use Lookup.
//
// Errors: ErrUnknown; those of the Driver.
func (a *Accounts) Find(ctx context.Context, name string) (*Account, error) {
	namespace, robot, isRobot := strings.Cut(name, "+")
	if !validName(namespace) || isRobot && !validName(robot) {
		return nil, ErrUnknown
	}
	owner, err := a.findAt(ctx, nameKey(skeleton(namespace)))
	if err != nil {
		return nil, err
	}
	if !owner.named(namespace) {
		return nil, ErrUnknown
	}
	if !isRobot {
		return owner, nil
	}
	found, err := a.findAt(ctx, robotKey(owner.ID, robot))
	if err != nil {
		return nil, err
	}
	if found.Namespace != owner.ID || robotPart(found.Name) != robot {
		return nil, ErrUnknown
	}
	return withNamespace(found, owner.Name), nil
}

// findAt returns the account that a name record leads to.
//
// Errors: ErrUnknown, also for a removed account; those of the Driver.
func (a *Accounts) findAt(ctx context.Context, key string) (*Account, error) {
	rec, _, err := get[nameRecord](ctx, a, key)
	if err != nil {
		return nil, err
	}
	acc, err := a.accountNow(ctx, rec.ID)
	if err == nil && acc.Removed != nil {
		err = ErrUnknown
	}
	if err != nil {
		return nil, err
	}
	return acc, nil
}

// List yields the users and organisations, including disabled ones, in the order of their names without hyphens,
// in which look-alike characters such as 0 and o are equal. The list begins after the name after, which need not
// exist. Removed accounts are not listed.
//
// List makes two requests for each account, several at the same time. It reads ahead as many accounts as the
// consumer has taken, at most 64.
//
// Errors: those of the Driver.
func (a *Accounts) List(ctx context.Context, after string) iter.Seq2[*Account, error] {
	if after != "" {
		after = nameKey(skeleton(after))
	}
	return ahead(a.keys(ctx, prefix+"n/", after), func(key string) (*Account, error) { return a.readNamed(ctx, key) })
}

// readNamed returns the account whose current name has a key. It does not use the cache: otherwise a long list would
// evict the facts that requests need.
//
// Errors: ErrUnknown for a former name, a claim, and the name of a removed account; those of the
// Driver.
func (a *Accounts) readNamed(ctx context.Context, key string) (*Account, error) {
	acc, err := a.findAt(ctx, key)
	if err != nil {
		return nil, err
	}
	if skeleton(acc.Name) != last(key) {
		return nil, ErrUnknown
	}
	return acc, nil
}

// ListPrefix is [Accounts.List] for the accounts whose names begin with prefix. Hyphens are ignored, and look-alike
// digits are equal. The list is empty for a prefix that no name can have.
//
// Errors: those of the Driver.
func (a *Accounts) ListPrefix(ctx context.Context, prefix, after string) iter.Seq2[*Account, error] {
	plainPrefix := plainName(prefix)
	if plainPrefix == "" || strings.Trim(plainPrefix, nameBytes) != "" || len(plainPrefix) > maxName {
		if prefix == "" {
			return a.List(ctx, after)
		}
		return func(func(*Account, error) bool) {}
	}
	list := ahead(a.prefixKeys(ctx, skeletons(prefix), after), func(key string) (*Account, error) {
		return a.readNamed(ctx, key)
	})
	return func(yield func(*Account, error) bool) {
		for acc, err := range list {
			if err == nil && !strings.HasPrefix(plainName(acc.Name), plainPrefix) {
				continue
			}
			if !yield(acc, err) {
				return
			}
		}
	}
}

// nameBytes are the bytes of plain names.
const nameBytes = "abcdefghijklmnopqrstuvwxyz23456789"

// plainName returns a name without hyphens and with letters in place of look-alike digits.
func plainName(name string) string {
	return strings.NewReplacer("-", "", "0", "o", "1", "l").Replace(name)
}

// skeletons returns what the skeletons of names with a prefix begin with, in ascending order. The last character of
// the skeleton of the prefix may become another one in a longer name: see skeleton.
func skeletons(prefix string) []string {
	skel := skeleton(prefix)
	switch head := skel[:len(skel)-1]; skel[len(skel)-1] {
	case 'r':
		return []string{head + "m", skel}
	case 'v':
		return []string{skel, head + "w"}
	}
	return []string{skel}
}

// prefixKeys yields the keys of the name records whose skeletons begin with one of prefixes, after the name after.
func (a *Accounts) prefixKeys(ctx context.Context, prefixes []string, after string) iter.Seq2[string, error] {
	if after != "" {
		after = nameKey(skeleton(after))
	}
	return func(yield func(string, error) bool) {
		for _, p := range prefixes {
			first := nameKey(p)
			if after < first && !yield(first, nil) { // the list begins after a key; a missing object is skipped
				return
			}
			for key, err := range a.keys(ctx, prefix+"n/", max(after, first)) {
				if err == nil && !strings.HasPrefix(key, first) {
					break
				}
				if !yield(key, err) || err != nil {
					return
				}
			}
		}
	}
}

package accounts

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/internal/parallel"
)

// Secret describes a personal access token of a user or a secret of a robot. It does not contain the value. A user
// can have 100 secrets, and a robot 20.
type Secret struct {
	// ID identifies the secret among those of its owner.
	ID    string `json:"id"`
	Owner ID     `json:"owner"`
	// Name is for display. Several secrets can have one name.
	Name    string    `json:"name"`
	Created time.Time `json:"created"`
	// Expires is the time at which the secret becomes invalid, or the zero Time. After a rotation, it is the end of
	// the grace period.
	Expires time.Time `json:"expires,omitzero"`
	// Rotated is the ID of the secret that replaces it, or "".
	Rotated string `json:"rotated,omitempty"`
	// Scopes narrow the permissions of the owner, except for pulls that everybody may do. Their patterns match complete
	// names of repositories, such as "acme/**". nil means all permissions of the owner.
	Scopes []Grant `json:"scopes,omitempty"`
	// LastUsed is the time of the last use, or the zero Time if none is known. It may be ten minutes out of date.
	// Only [Accounts.Secrets] sets it.
	LastUsed time.Time `json:"-"`
	// Hash is the SHA-256 of the secret, in hexadecimal digits.
	Hash string `json:"hash"`
}

// ended reports whether a secret is no longer valid.
func (s *Secret) ended(now time.Time) bool { return !s.Expires.IsZero() && !now.Before(s.Expires) }

// NewSecret is a new secret with its value. The value is not stored, so it cannot be shown again. It begins with
// "rkp_" for a user or "rkr_" for a robot, and ends with a checksum, so that scanners find it in leaked files; see
// [ParseSecret].
type NewSecret struct {
	Secret
	Value auth.Secret
}

const (
	// maxUserSecrets and maxRobotSecrets are the maximum numbers of secrets of one account.
	maxUserSecrets  = 100
	maxRobotSecrets = 20
)

func secretsPrefix(owner ID) string        { return prefix + "s/" + string(owner) + "/" }
func secretKey(owner ID, id string) string { return secretsPrefix(owner) + id }

// maxSecrets returns the maximum number of secrets of an account of a kind.
func maxSecrets(k Kind) int {
	if k == Robot {
		return maxRobotSecrets
	}
	return maxUserSecrets
}

// Secret implements [Directory].
func (a *Accounts) Secret(ctx context.Context, owner ID, id string) (*Secret, error) {
	if !validID(owner) || !validSecretID(id) {
		return nil, ErrUnknown
	}
	return cached[Secret](ctx, a, secretKey(owner, id))
}

// Secrets yields the secrets of an account, including expired ones, oldest first. The list of an account that does not
// exist is empty.
//
// Errors: those of the Driver.
func (a *Accounts) Secrets(ctx context.Context, owner ID) iter.Seq2[*Secret, error] {
	return func(yield func(*Secret, error) bool) {
		if !validID(owner) {
			return
		}
		all, err := a.secretsOf(ctx, owner)
		if err != nil {
			yield(nil, err)
			return
		}
		used, err := a.lastUses(ctx, owner)
		if err != nil {
			yield(nil, err)
			return
		}
		for _, s := range all {
			s.LastUsed = used[s.ID]
			if !yield(s, nil) {
				return
			}
		}
	}
}

// secretsOf reads the secrets of an account from the storage, oldest first.
func (a *Accounts) secretsOf(ctx context.Context, owner ID) ([]*Secret, error) {
	ids, err := a.secretIDs(ctx, owner)
	if err != nil {
		return nil, err
	}
	all := make([]*Secret, len(ids))
	err = parallel.Each(parallelRequests, len(ids), func(i int) error {
		s, _, err := get[Secret](ctx, a, secretKey(owner, ids[i]))
		if errors.Is(err, ErrUnknown) {
			return nil // revoked meanwhile
		}
		all[i] = s
		return err
	})
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(s *Secret) bool { return s == nil })
	slices.SortFunc(all, func(x, y *Secret) int {
		return cmp.Or(x.Created.Compare(y.Created), strings.Compare(x.ID, y.ID))
	})
	return all, nil
}

// secretIDs returns the IDs of the secrets of an account.
func (a *Accounts) secretIDs(ctx context.Context, owner ID) ([]string, error) {
	var ids []string
	p := secretsPrefix(owner)
	for key, err := range a.keys(ctx, p, "") {
		if err != nil {
			return nil, err
		}
		ids = append(ids, strings.TrimPrefix(key, p))
	}
	return ids, nil
}

// makeRoom enforces the maximum number of secrets after one was added: above the maximum, it deletes expired secrets.
// It counts after the addition, so that concurrent additions cannot exceed the maximum together.
//
// Errors: ErrLimit; those of the Driver.
func (a *Accounts) makeRoom(ctx context.Context, owner *Account) error {
	ids, err := a.secretIDs(ctx, owner.ID)
	most := maxSecrets(owner.Kind)
	if err != nil || len(ids) <= most {
		return err
	}
	all, err := a.secretsOf(ctx, owner.ID)
	if err != nil {
		return err
	}
	left, now := len(all), a.now()
	for _, s := range all {
		if !s.ended(now) {
			continue
		}
		if err := a.drop(ctx, secretKey(owner.ID, s.ID)); err != nil {
			return err
		}
		left--
	}
	if left > most {
		return fmt.Errorf("%w: the account has %d secrets; revoke an unused one", ErrLimit, most)
	}
	return nil
}

// tidySecrets deletes the secrets of a removed account, and the times of their last uses.
func (a *Accounts) tidySecrets(ctx context.Context, owner ID) error {
	ids, err := a.secretIDs(ctx, owner)
	if err != nil {
		return err
	}
	err = parallel.Each(parallelRequests, len(ids), func(i int) error { return a.drop(ctx, secretKey(owner, ids[i])) })
	return errors.Join(err, a.drop(ctx, usesKey(owner)))
}

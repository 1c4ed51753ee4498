package accounts

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// RotateSecret replaces a secret by a new one with the same name, scopes and lifetime. The old secret stays valid for
// the grace period, but never longer than without the rotation. grace must be at most 365 days. With zero, the old
// secret becomes invalid at once.
//
// If RotateSecret is interrupted, the old secret is unchanged, and a new secret may exist whose value nobody knows. If
// the Driver does not report whether the old secret was changed, RotateSecret returns the new secret and the error: the
// new secret is valid.
//
// Errors: those of CreateSecret; ErrInUse if the secret was rotated before: rotate its successor, Secret.Rotated.
func (a *Accounts) RotateSecret(ctx context.Context, by Actor, owner ID, id string,
	grace time.Duration) (NewSecret, error) {
	change := Change{Action: "secret.rotate"}
	acc, err := a.secretOwner(ctx, owner, &change)
	var made NewSecret
	if err == nil {
		made, err = a.rotate(ctx, by, acc, id, grace, &change)
	}
	if err == nil {
		change.After = made.ID
	}
	return made, a.settle(ctx, by, change, true, err)
}

// rotate first creates the new secret, and then changes the old one by compare-and-swap. So there is no time at which
// neither is valid.
func (a *Accounts) rotate(ctx context.Context, by Actor, owner *Account, id string, grace time.Duration,
	change *Change) (NewSecret, error) {
	if grace < 0 || grace > maxGrace {
		return NewSecret{}, fmt.Errorf("%w: the grace period must be 0 to 365 days", ErrInvalid)
	}
	if !validSecretID(id) {
		return NewSecret{}, fmt.Errorf("%w secret", ErrUnknown)
	}
	change.Secret = id
	old, _, err := get[Secret](ctx, a, secretKey(owner.ID, id))
	if err == nil {
		err = by.checkSecret(old)
	}
	if err == nil {
		err = notRotated(old)
	}
	if err != nil {
		return NewSecret{}, err
	}
	now := a.now().UTC()
	next := Secret{Name: old.Name, Scopes: old.Scopes, Created: now}
	if !old.Expires.IsZero() {
		next.Expires = now.Add(old.Expires.Sub(old.Created))
	}
	made, err := a.makeSecret(ctx, owner, next)
	if err != nil {
		return NewSecret{}, err
	}
	known, err := a.replace(ctx, by, old, made.ID, now.Add(grace))
	if err != nil && known {
		a.discard(ctx, &made.Secret)
		return NewSecret{}, err
	}
	return made, err
}

func notRotated(s *Secret) error {
	if s.Rotated != "" {
		return fmt.Errorf("%w: the secret was rotated before, into %s", ErrInUse, s.Rotated)
	}
	return nil
}

// replace sets the successor and the end of a secret. If it returns an error, known reports whether the secret is
// certainly unchanged: only then may the caller delete the successor.
func (a *Accounts) replace(ctx context.Context, by Actor, old *Secret, next string,
	end time.Time) (known bool, err error) {
	key := secretKey(old.Owner, old.ID)
	_, err = update(ctx, a, key, func(s *Secret) error {
		if s.Rotated == next {
			return errUnchanged // the response of an earlier attempt was lost
		}
		if err := by.checkSecret(s); err != nil {
			return err
		}
		if err := notRotated(s); err != nil {
			return err
		}
		s.Rotated = next
		if s.Expires.IsZero() || end.Before(s.Expires) {
			s.Expires = end
		}
		return nil
	})
	if err == nil || errors.Is(err, ErrUnknown) || errors.Is(err, ErrInUse) {
		return true, err
	}
	// The change may have been made although its response was lost.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanTimeout)
	defer cancel()
	now, _, gerr := get[Secret](ctx, a, key)
	switch {
	case errors.Is(gerr, ErrUnknown):
		return true, gerr
	case gerr != nil:
		return false, err
	case now.Rotated == next:
		return true, nil
	}
	return true, err
}

package accounts

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/objectkey"
	"github.com/registrykit/registry/reference"
)

// maxDescription is the maximum length of the description of a repository, in bytes. The rest of maxFact is for the
// escapes of JSON.
const maxDescription = 48 << 10

// repositoriesPrefix is the prefix of the keys of the repositories of a namespace. It is also the key of what is known
// of their visibility in the cache.
func repositoriesPrefix(namespace string) string { return prefix + "r/" + namespace + "/" }

// repositoryKey returns the key of a repository. The name is valid.
func repositoryKey(name string) string {
	return repositoriesPrefix(namespaceOf(name)) + objectkey.Escape(name)
}

// namespaceOf returns the first component of the name of a repository.
func namespaceOf(name string) string {
	namespace, _, _ := strings.Cut(name, "/")
	return namespace
}

// repositoryRecord is how a Repository is stored.
type repositoryRecord struct {
	Repository
	// Of is the account that the namespace belonged to when the record was written, or "" if it was nobody's. The
	// record does not count for a later account of that name, who has not made the repository public.
	Of ID `json:"of,omitempty"`
}

// countsFor reports whether the record counts while the namespace belongs to an account, or to nobody ("").
func (r *repositoryRecord) countsFor(owner ID) bool {
	return r.Of == "" || owner == "" || r.Of == owner
}

// ownerOf returns the account that the namespace of a repository belongs to, or "" if it is nobody's.
func (a *Accounts) ownerOf(ctx context.Context, repository string) (ID, error) {
	owner, err := a.Lookup(ctx, namespaceOf(repository))
	if err != nil {
		return "", ignore(err, ErrUnknown)
	}
	return owner.ID, nil
}

// Repository returns what is known of a repository. It need not exist: nothing is then set.
//
// Errors: ErrInvalid for what is no name.
func (a *Accounts) Repository(ctx context.Context, name string) (*Repository, error) {
	if err := checkRepository(name); err != nil {
		return nil, err
	}
	r, _, err := get[repositoryRecord](ctx, a, repositoryKey(name))
	if errors.Is(err, ErrUnknown) {
		return &Repository{Name: name}, nil
	}
	if err != nil {
		return nil, err
	}
	owner, err := a.ownerOf(ctx, name)
	if err != nil {
		return nil, err
	}
	if !r.countsFor(owner) {
		return &Repository{Name: name}, nil
	}
	return &r.Repository, nil
}

// UpdateRepository changes the visibility and the description of a repository. The description is UTF-8 of at most
// 48 KiB. change may be called several times.
//
// Errors: ErrInvalid, ErrNotified, those of change.
func (a *Accounts) UpdateRepository(ctx context.Context, by Actor, name string,
	change func(*Repository) error) (*Repository, error) {
	c := Change{Action: "repository.update"}
	changed := false
	err := checkRepository(name)
	var r *Repository
	if err == nil {
		c.Repository = name
		r, err = a.updateRepository(ctx, name, func(r *Repository) error {
			before := *r
			if err := change(r); err != nil {
				return err
			}
			if changed = *r != before; !changed {
				return errUnchanged
			}
			c.Before, c.After = string(before.Visibility), string(r.Visibility)
			return r.check(name)
		})
	}
	return result(r, a.settle(ctx, by, c, changed, err))
}

// updateRepository changes the record of a repository. What a former account of the namespace has left is forgotten.
//
// Errors: those of change and of the Driver.
func (a *Accounts) updateRepository(ctx context.Context, name string, change func(*Repository) error) (*Repository,
	error) {
	owner, err := a.ownerOf(ctx, name)
	if err != nil {
		return nil, err
	}
	r, err := updateOrCreate(ctx, a, repositoryKey(name), func(r *repositoryRecord) error {
		if !r.countsFor(owner) {
			*r = repositoryRecord{}
		}
		if r.Name = name; owner != "" {
			r.Of = owner
		}
		return change(&r.Repository)
	})
	a.facts.forget(repositoriesPrefix(namespaceOf(name)))
	if err != nil {
		return nil, err
	}
	return &r.Repository, nil
}

// checkRepository returns ErrInvalid for what is no name of a repository.
func checkRepository(name string) error {
	if err := reference.CheckName(name); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return nil
}

// check returns ErrInvalid for what must not be stored of the repository of this name.
func (r *Repository) check(name string) error {
	switch r.Visibility {
	case "", Private, Public:
	default:
		return fmt.Errorf("%w: a visibility is %q or %q, or none", ErrInvalid, Private, Public)
	}
	switch {
	case r.Name != name:
		return fmt.Errorf("%w: the name of a repository cannot be changed", ErrInvalid)
	case len(r.Description) > maxDescription:
		return fmt.Errorf("%w: the description is longer than %d bytes", ErrInvalid, maxDescription)
	case !utf8.ValidString(r.Description):
		return fmt.Errorf("%w: the description is not UTF-8", ErrInvalid)
	}
	return nil
}

// RepositoriesOf returns a function for Options.InUse, over the repositories of b.
func RepositoriesOf(b registry.Backend) func(ctx context.Context, name string) (bool, error) {
	return func(ctx context.Context, name string) (bool, error) {
		// The names below it need not follow it: "acme-x" and "acme.x" stand between "acme" and "acme/app".
		below := name + "/"
		for found, err := range b.Repositories(ctx, &registry.ListOptions{After: below, PageHint: 1}) {
			if err != nil {
				return false, err
			}
			if strings.HasPrefix(found, below) {
				return true, nil
			}
			break
		}
		for _, err := range b.Tags(ctx, name, &registry.ListOptions{PageHint: 1}) {
			if errors.Is(err, registry.ErrNameUnknown) {
				return false, nil
			}
			return err == nil, err
		}
		return true, nil // without tags
	}
}

// maxSummary is the maximum length of a summary, in bytes.
const maxSummary = 256

// Summary returns the first line of the description that is not empty, without the marks of a Markdown heading. It has
// at most 256 bytes.
func (r *Repository) Summary() string {
	for line := range strings.Lines(r.Description) {
		line = strings.TrimSpace(strings.TrimLeft(strings.TrimSpace(line), "#"))
		if line == "" {
			continue
		}
		if len(line) > maxSummary {
			n := maxSummary
			for !utf8.RuneStart(line[n]) {
				n--
			}
			line = line[:n]
		}
		return line
	}
	return ""
}

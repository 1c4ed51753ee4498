package accounts

import (
	"context"
	"errors"
	"strings"
	"sync"

	"github.com/registrykit/registry/internal/objectkey"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/storage/driver"
)

// maxListed is the maximum number of records of repositories of one namespace that are listed at a time.
const maxListed = 10_000

// visibilities are what is known of the repositories of a namespace. One list of keys and versions answers for all that
// have no record, which are most, and says which of the records that were read have not changed. So a catalog needs one
// request for a namespace, and one for each record that is new or has changed.
type visibilities struct {
	// last is the last name that was listed, as keys have it, if there are more; "" if all were listed.
	last string

	mu      sync.Mutex
	records map[string]visible // by name, as keys have it
}

// visible is what is known of a record.
type visible struct {
	version string
	read    bool
	value   Visibility
	of      ID // see repositoryRecord
}

// Visibility implements [Directory]. A change by another process takes effect within Options.Refresh.
func (a *Accounts) Visibility(ctx context.Context, repository string) (Visibility, error) {
	if reference.CheckName(repository) != nil {
		return "", nil
	}
	v, err := a.visible(ctx, repository)
	if err != nil || v.value == "" || v.of == "" {
		return v.value, err
	}
	owner, err := a.ownerOf(ctx, repository)
	if err != nil {
		return "", err
	}
	if r := (repositoryRecord{Of: v.of}); !r.countsFor(owner) {
		return "", nil
	}
	return v.value, nil
}

// visible returns what is known of a record. Whether it counts depends on the account of the namespace.
func (a *Accounts) visible(ctx context.Context, repository string) (visible, error) {
	p := repositoriesPrefix(namespaceOf(repository))
	list := func(ctx context.Context, old *visibilities, _ string) (*visibilities, string, error) {
		all, err := a.listVisibilities(ctx, p, old)
		return all, "", err
	}
	all, err := cachedValue(ctx, a, p, list)
	if err != nil {
		return visible{}, err
	}
	name := objectkey.Escape(repository)
	record, ok := all.get(name)
	switch {
	case record.read:
		return record, nil
	case ok:
		return a.readVisibility(ctx, all, name, p+name)
	case all.last == "" || name <= all.last:
		return visible{}, nil
	}
	return a.singleVisibility(ctx, p+name)
}

// listVisibilities lists the records with a prefix, and keeps what old knows of records that have not changed.
func (a *Accounts) listVisibilities(ctx context.Context, prefix string, old *visibilities) (*visibilities, error) {
	all := &visibilities{records: make(map[string]visible)}
	for info, err := range a.driver.List(ctx, prefix, nil) {
		if err != nil {
			return nil, err
		}
		name := strings.TrimPrefix(info.Key, prefix)
		record := visible{version: info.Version}
		if old != nil {
			if known, _ := old.get(name); known.version == info.Version {
				record = known
			}
		}
		all.records[name] = record
		if len(all.records) == maxListed {
			all.last = name
			break
		}
	}
	return all, nil
}

func (v *visibilities) get(name string) (visible, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	record, ok := v.records[name]
	return record, ok
}

// readVisibility reads a record that was listed.
func (a *Accounts) readVisibility(ctx context.Context, all *visibilities, name, key string) (visible, error) {
	r, version, err := get[repositoryRecord](ctx, a, key)
	if ignore(err, ErrUnknown) != nil {
		return visible{}, err
	}
	record := visible{read: true}
	if err == nil {
		record.version, record.value, record.of = version, r.Visibility, r.Of
	}
	all.mu.Lock()
	defer all.mu.Unlock()
	all.records[name] = record
	return record, nil
}

// singleVisibility returns what is known of a repository in a namespace with more records than are listed.
func (a *Accounts) singleVisibility(ctx context.Context, key string) (visible, error) {
	v, err := cachedValue(ctx, a, key, func(ctx context.Context, old *visible, version string) (*visible, string, error) {
		s, now, err := load[repositoryRecord](ctx, a.driver, key, version)
		switch {
		case errors.Is(err, driver.ErrNotModified):
			return old, version, nil
		case err != nil:
			return nil, "", err
		}
		return &visible{value: s.Fact.Visibility, of: s.Fact.Of}, now, nil
	})
	if err != nil {
		return visible{}, ignore(err, ErrUnknown)
	}
	return *v, nil
}

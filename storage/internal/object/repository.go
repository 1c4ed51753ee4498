package object

import (
	"context"
	"errors"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry/storage/driver"
)

// readRepository returns what the catalogue says of a repository. One that is not there has no
// version.
func (r Repo) ReadRepository(ctx context.Context) (*Repository, error) {
	b, info, err := r.Read(ctx, r.RepositoryKey())
	if errors.Is(err, driver.ErrNotExist) {
		return &Repository{}, nil
	}
	if err != nil {
		return nil, RegistryError(err)
	}
	return decodeRepository(b, info), nil
}

func decodeRepository(b []byte, info driver.Info) *Repository {
	c := &Repository{}
	if _, ok := Decode(b, c); !ok {
		c = &Repository{} // it says enough by being there
	}
	c.Version, c.ModTime = info.Version, info.ModTime
	return c
}

// Expectation says what a writer most probably finds where it writes. A wrong one costs a request.
type Expectation int

const (
	ExpectAbsent Expectation = iota
	ExpectPresent
)

// PutRepository ensures that the repository is in the catalog and not being deleted. It reports whether
// a delete of the repository had begun at any time since the repository is in the catalog. c is the
// record as it was just read, or nil.
func (r Repo) PutRepository(ctx context.Context, c *Repository, expect Expectation) (spared bool, err error) {
	key := r.RepositoryKey()
	readFirst := false // read first: the write would be in vain
	if c == nil {
		c = &Repository{}
		_, seen := r.Written.Get(key)
		readFirst = seen || expect == ExpectPresent
	}
	for range Attempts(ctx, &err) {
		if readFirst {
			if c, err = r.ReadRepository(ctx); err != nil {
				return false, err
			}
		}
		if c.Version == "" || c.Deleting != nil {
			_, err = r.Put(ctx, key, c.Version, c.revived(expect), nil, driver.Deferred)
			var o *Conflict
			switch {
			case errors.As(err, &o) && o.Info.Version != "":
				c, readFirst = decodeRepository(o.Content, o.Info), false
				continue
			case IsConflict(err):
				readFirst = true
				continue
			case err != nil:
				return false, RegistryError(err)
			}
		}
		r.Written.Add(key, struct{}{}, 1)
		return c.Deleting != nil || c.Spared, nil
	}
	return false, err
}

// revived returns the record that PutRepository writes in place of c.
func (c *Repository) revived(expect Expectation) *Repository {
	next := &Repository{Nonce: NewNonce(), Spared: c.Deleting != nil || c.Spared, Epochs: c.Epochs}
	switch {
	case c.Deleting != nil || expect == ExpectPresent: // the content, or what the record said, may be gone
		AnythingDeleted(&next.Epochs)
	case c.Version == "":
		next.Epochs = FirstEpochs()
	}
	return next
}

// hasManifest reports whether there is a manifest in the repository, visible or on its way, besides
// one.
func (r Repo) HasManifest(ctx context.Context, besides digest.Digest) (bool, error) {
	for info, err := range r.Driver.List(ctx, r.ManifestPrefix(), &driver.ListOptions{KeysOnly: true}) {
		if err != nil {
			return false, RegistryError(err)
		}
		d := PathDigest(info.Key)
		if d == "" || d == besides {
			continue
		}
		m, err := r.ReadManifest(ctx, d)
		if err != nil {
			return false, err
		}
		if !m.Absent() {
			return true, nil
		}
	}
	return false, nil
}

package object

import (
	"context"
	"errors"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry/internal/objectkey"
	"github.com/registrykit/registry/storage/driver"
)

// ReadRepository returns the record of the repository in the catalog. The record of a repository
// that is not in the catalog has no version.
func (r Repo) ReadRepository(ctx context.Context) (*Repository, error) {
	return readRecord(ctx, r.Store, r.RepositoryKey(), decodeRepository)
}

// decodeRepository returns the record of a repository in the catalog. A record that is cut short
// still says that the repository exists.
func decodeRepository(b []byte, info driver.Info) *Repository {
	c := &Repository{}
	if _, ok := Decode(b, c); !ok {
		c = &Repository{}
	}
	c.Version, c.ModTime = info.Version, info.ModTime
	return c
}

// Expectation says what a writer expects to find at a key. A wrong expectation costs one request.
type Expectation int

const (
	// ExpectAbsent expects no object.
	ExpectAbsent Expectation = iota
	// ExpectPresent expects an object.
	ExpectPresent
)

// PutRepository ensures that the repository is in the catalog and not being deleted. c is the
// record as it was just read, or nil. spared reports whether a delete of the repository has begun
// at any time since the repository is in the catalog.
//
// Errors: registry.ErrUnavailable and ErrNoSpace, and any other error of the driver.
func (r Repo) PutRepository(ctx context.Context, c *Repository, expect Expectation) (spared bool, err error) {
	key := r.RepositoryKey()
	readFirst := false // whether a write is likely to fail, so that a read first saves a request
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
			case driver.IsConflict(err):
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
	case c.Deleting != nil || expect == ExpectPresent: // content, or an older record, may be gone
		AnythingDeleted(&next.Epochs)
	case c.Version == "":
		next.Epochs = FirstEpochs()
	}
	return next
}

// HasManifest reports whether the repository has a manifest, visible or pending, other than
// besides.
func (r Repo) HasManifest(ctx context.Context, besides digest.Digest) (bool, error) {
	for info, err := range r.Driver.List(ctx, r.ManifestPrefix(), &driver.ListOptions{KeysOnly: true}) {
		if err != nil {
			return false, RegistryError(err)
		}
		d := objectkey.PathDigest(info.Key)
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

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
	return DecodeRepository(b, info), nil
}

func DecodeRepository(b []byte, info driver.Info) *Repository {
	c := &Repository{}
	if _, ok := Decode(b, c); !ok {
		c = &Repository{} // it says enough by being there
	}
	c.Version, c.ModTime = info.Version, info.ModTime
	return c
}

// putRepository sees to it that the repository is in the catalogue, and not about to be deleted,
// and reports whether it was at any time since it has been there. c is what the catalogue has just
// said of it, or nil. Where it probably is in the catalogue, a look comes before the write, which
// would be in vain.
func (r Repo) PutRepository(ctx context.Context, c *Repository, probably bool) (spared bool,
	err error) {
	key := r.RepositoryKey()
	look := false
	if c == nil {
		c = &Repository{}
		_, seen := r.Written.Get(key)
		look = seen || probably
	}
	for n := range MaxAttempts {
		err := Pause(ctx, n)
		if err == nil && look {
			c, err = r.ReadRepository(ctx)
		}
		if err != nil {
			return false, err
		}
		if c.Version == "" || c.Deleting != nil {
			next := &Repository{Nonce: NewNonce(), Spared: c.Deleting != nil || c.Spared, Epochs: c.Epochs}
			switch {
			case c.Deleting != nil || probably: // what was there may be gone, or what it said
				AnythingDeleted(&next.Epochs)
			case c.Version == "":
				next.Epochs = FirstEpochs()
			}
			_, err = r.Put(ctx, key, c.Version, next, nil, driver.Deferred)
			var o *Conflict
			switch {
			case errors.As(err, &o) && o.Info.Version != "":
				c, look = DecodeRepository(o.Content, o.Info), false
				continue
			case IsConflict(err):
				look = true
				continue
			case err != nil:
				return false, RegistryError(err)
			}
		}
		r.Written.Add(key, struct{}{}, 1)
		return c.Deleting != nil || c.Spared, nil
	}
	return false, ErrContended
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

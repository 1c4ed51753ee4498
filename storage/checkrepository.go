package storage

import (
	"context"
	"crypto/sha256"
	"iter"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/manifest"
	"github.com/registrykit/registry/internal/objectkey"
	"github.com/registrykit/registry/internal/parallel"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/internal/object"
)

// Repositories yields the names of the repositories that have any content, in the order of the storage,
// beginning after a repository, or with the first one if after is "". It makes one request for each.
func (c *Check) Repositories(ctx context.Context, after string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		from := ""
		if after != "" {
			from = object.ContentPrefix + objectkey.Escape(after) + "0" // "0" follows "/"
		}
		for {
			name, err := c.store.nextContent(ctx, from)
			if err != nil {
				yield("", err)
				return
			}
			if name == "" {
				return
			}
			if repo := objectkey.Unescape(name); reference.CheckName(repo) == nil && !yield(repo, nil) {
				return
			}
			from = object.ContentPrefix + name + "0"
		}
	}
}

// repoCheck is the check of one repository.
type repoCheck struct {
	*Check
	repo repo

	mu        sync.Mutex
	links     map[shortKey]struct{}            // the blobs that the repository serves
	manifests map[digest.Digest]manifestFacts  // the manifests that it serves, and are whole
	children  []childOf                        // what indexes name
	corrupt   map[digest.Digest]corruptContent // manifests that are damaged
	tags      map[string]damagedTag            // tags whose record cannot be read
	missing   map[digest.Digest]bool           // content whose absence was handled
	entries   map[shortKey]struct{}            // entries of referrers, by key
	hinted    map[shortKey]struct{}            // entries of referrers that have a hint, by key
}

// manifestFacts are what a check of a repository remembers of a manifest: about 200 bytes.
type manifestFacts struct {
	version      string
	size         int64
	subject      digest.Digest
	artifactType string
	deleting     bool
	time         time.Time
}

// childOf is something that an index names.
type childOf struct {
	parent digest.Digest
	child  manifest.Reference
}

// shortKey stands for a key or digest in a set: 16 bytes.
type shortKey [16]byte

func short[T ~string](s T) shortKey {
	sum := sha256.Sum256([]byte(s))
	return shortKey(sum[:16])
}

// Repository checks one repository: the bytes of its manifests and of the blobs that are in their
// record, the references between tags, manifests, blobs and referrers in both directions, the index of
// blobs, and the catalog. A repository that does not exist is no error.
//
// It holds about 40 bytes for each blob, 400 for each manifest and 100 for each child of an index in
// memory, and the manifests themselves only while it reads them.
//
// Errors: registry.ErrNameInvalid; any error of the driver, and of CheckOptions.Lost and
// CheckOptions.Unreadable.
func (c *Check) Repository(ctx context.Context, name string) error {
	if err := registry.CheckName(name); err != nil {
		return err
	}
	k := &repoCheck{
		Check: c, repo: c.repo(name),
		links: map[shortKey]struct{}{}, manifests: map[digest.Digest]manifestFacts{},
		corrupt: map[digest.Digest]corruptContent{}, tags: map[string]damagedTag{},
		missing: map[digest.Digest]bool{}, entries: map[shortKey]struct{}{}, hinted: map[shortKey]struct{}{},
	}
	lists := []struct {
		prefix string
		check  func(context.Context, driver.Info) error
		then   func(context.Context) error
	}{
		{k.repo.LinkPrefix(), k.checkLink, nil},
		{k.repo.ManifestPrefix(), k.checkManifest, k.checkChildren},
		{k.repo.TagPrefix(), k.checkTag, k.settleManifests},
		{k.repo.BackrefsPrefix(), k.checkBackref, k.settleTags},
		{k.repo.TypesPrefix(), k.checkHint, nil},
		{k.repo.ReferrersPrefix(), k.checkEntry, k.checkReferrers},
	}
	for _, l := range lists {
		if err := k.each(ctx, l.prefix, l.check); err != nil {
			return err
		}
		if l.then == nil {
			continue
		}
		if err := l.then(ctx); err != nil {
			return err
		}
	}
	if err := k.checkCatalog(ctx); err != nil {
		return err
	}
	c.opts.Counted(CheckCounts{Repositories: 1})
	return nil
}

// each calls check for each object below prefix, many at the same time.
func (k *repoCheck) each(ctx context.Context, prefix string, check func(context.Context, driver.Info) error) error {
	for batch, err := range object.BatchesInMemory(k.repo.Driver.List(ctx, prefix, nil)) {
		if err == nil {
			err = parallel.Each(k.opts.Parallel, len(batch), func(i int) error { return check(ctx, batch[i]) })
		}
		if err != nil {
			return err
		}
	}
	return ctx.Err()
}

// report reports damage of the repository.
func (k *repoCheck) report(d Damage) {
	d.Repository = k.repo.Name
	k.found(d)
}

// checkCatalog puts a repository with a manifest into the catalog.
func (k *repoCheck) checkCatalog(ctx context.Context) error {
	old := false
	for _, f := range k.manifests {
		old = old || !f.deleting && k.settled(f.time)
	}
	if !old {
		return nil
	}
	found, err := k.uncataloged(ctx)
	if err != nil || found == "" {
		return err
	}
	used, err := k.repo.HasManifest(ctx, "")
	if err != nil || !used {
		return err
	}
	if found, err = k.uncataloged(ctx); err != nil || found == "" {
		return err
	}
	damage := Damage{Kind: WrongCatalog, Expected: "an entry in the catalog", Found: found}
	if k.opts.Repair {
		if err := k.recatalog(ctx); err != nil {
			return err
		}
		damage.Repair = Repaired
	}
	k.report(damage)
	return nil
}

// uncataloged returns what is wrong with the record of the repository in the catalog, or "".
func (k *repoCheck) uncataloged(ctx context.Context) (string, error) {
	c, err := k.repo.ReadRepository(ctx)
	if err != nil {
		return "", err
	}
	switch {
	case c.Version == "":
		return "no entry", nil
	case c.Nonce == "": // every record has one, unless it cannot be read
		return "a record that cannot be read", nil
	}
	return "", nil
}

// recatalog writes the record of the repository in the catalog as a collection does. Nothing is known of
// what was deleted before, so all epochs are over.
func (k *repoCheck) recatalog(ctx context.Context) error {
	c, err := k.repo.ReadRepository(ctx)
	if err != nil {
		return err
	}
	if c.Version != "" && c.Nonce == "" {
		next := &object.Repository{Nonce: object.NewNonce(), Spared: true}
		object.AnythingDeleted(&next.Epochs)
		_, err = k.repo.Put(ctx, k.repo.RepositoryKey(), c.Version, next, nil, driver.Durable)
		if driver.IsConflict(err) {
			err = nil // another writer has written it
		}
		return object.RegistryError(err)
	}
	if _, err := k.repo.PutRepository(ctx, nil, object.ExpectAbsent); err != nil {
		return err
	}
	if err := k.repo.EndEpoch(ctx, "", object.AnythingDeleted, nil); err != nil {
		return err
	}
	return object.RegistryError(k.repo.Driver.Sync(ctx, k.repo.RepositoryKey()))
}

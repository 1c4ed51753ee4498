package usage

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry"
)

// Contents are the blobs and manifests of one repository with their sizes. They do not change.
type Contents struct {
	// Read is when the lists were begun that the contents are from, by the clock of this process.
	Read time.Time

	table *table
}

// Blobs yields the blobs and their sizes in bytes, in ascending order.
func (c *Contents) Blobs() iter.Seq2[digest.Digest, int64] { return visible(c.table.blobs) }

// Manifests yields the manifests and their sizes in bytes, in ascending order.
func (c *Contents) Manifests() iter.Seq2[digest.Digest, int64] { return visible(c.table.manifests) }

func visible(entries []entry) iter.Seq2[digest.Digest, int64] {
	return func(yield func(digest.Digest, int64) bool) {
		for i := range entries {
			e := &entries[i]
			if e.visible() && !yield(unpack(e.key), e.size) {
				return
			}
		}
	}
}

// Contents lists the blobs and manifests of a repository now. It takes their sizes from a table in the
// storage, whichever replica wrote it, and reads only the records that are new or changed since then. A
// repository without content is not an error. Quotas use it.
//
// It makes one request for each thousand blobs and manifests, at least one for the table, and one for
// each record that it reads. If it has read enough, it also writes the table. It holds about 100 bytes
// for each blob and manifest in memory.
//
// Errors: registry.ErrNameInvalid; any error of the driver. An error in writing the table is ignored: the
// next call reads the records again.
func (m *Meter) Contents(ctx context.Context, repo string) (*Contents, error) {
	if err := registry.CheckName(repo); err != nil {
		return nil, err
	}
	c := m.newCall(nil)
	if err := c.enter(ctx); err != nil {
		return nil, err
	}
	defer c.leave()
	t, read, err := m.refresh(ctx, repo, c)
	if err != nil {
		return nil, err
	}
	return &Contents{Read: read, table: t}, nil
}

// refresh returns the table of a repository as it is now, and when it began to list. The caller has
// called c.enter.
func (m *Meter) refresh(ctx context.Context, repo string, c *call) (*table, time.Time, error) {
	t, err := m.loadTable(ctx, repo, c)
	if err != nil {
		return nil, time.Time{}, err
	}
	began := time.Now()
	v := m.store.Inventory()
	// Manifests come first, so that the contents rarely have a manifest without its blobs.
	manifests := &refresher{merge: newMerge(t.manifests), call: c, read: m.readManifest(repo)}
	if err := c.request(ctx); err != nil {
		return nil, time.Time{}, err
	}
	for s, err := range v.Manifests(ctx, repo) {
		if err == nil {
			err = manifests.listed(ctx, s.Digest, s.Version)
		}
		if err != nil {
			return nil, time.Time{}, err
		}
	}
	if t.manifests, err = manifests.finish(ctx); err != nil {
		return nil, time.Time{}, err
	}
	blobs := &refresher{merge: newMerge(t.blobs), call: c, read: m.readBlob(repo)}
	if err := c.request(ctx); err != nil {
		return nil, time.Time{}, err
	}
	for s, err := range v.Blobs(ctx, repo) {
		if err == nil {
			c.blobs.Add(1)
			err = blobs.listed(ctx, s.Digest, s.Version)
		}
		if err != nil {
			return nil, time.Time{}, err
		}
	}
	if t.blobs, err = blobs.finish(ctx); err != nil {
		return nil, time.Time{}, err
	}
	t.changed = append(manifests.changed, blobs.changed...)
	return t, began, m.storeTable(ctx, repo, t, c)
}

// readBlob returns the function that reads the record of a blob.
func (m *Meter) readBlob(repo string) func(context.Context, *entry) error {
	return func(ctx context.Context, e *entry) error {
		data, err := m.store.Inventory().Data(ctx, repo, unpack(e.key))
		if errors.Is(err, registry.ErrBlobUnknown) {
			return nil
		}
		if err != nil {
			return err
		}
		e.size, e.inline = data.Size, min(data.Inline, data.Size)
		if data.Size > data.Inline {
			e.data = hashNames(data.Objects)
		}
		return nil
	}
}

// readManifest returns the function that reads the record of a manifest.
func (m *Meter) readManifest(repo string) func(context.Context, *entry) error {
	return func(ctx context.Context, e *entry) error {
		manifest, _, err := m.store.Inventory().Manifest(ctx, repo, unpack(e.key))
		if errors.Is(err, registry.ErrManifestUnknown) {
			return nil
		}
		if err != nil {
			return err
		}
		e.size = int64(len(manifest.Content))
		return nil
	}
}

// refresher brings entries up to date with a list of the storage, and reads the records that are new.
type refresher struct {
	*merge
	call *call
	// read reads the record of an entry and sets its fields. An absent record is not an error, and
	// leaves an entry that is not visible.
	read func(ctx context.Context, e *entry) error
}

// readAtOnce is the number of records that are collected before they are read in parallel.
const readAtOnce = 256

// listed adds a listed record, and reads new ones when there are enough of them.
func (r *refresher) listed(ctx context.Context, d digest.Digest, version string) error {
	if err := r.call.listed(ctx, r.elements); err != nil {
		return err
	}
	if r.add(pack(d), hash(version)); len(r.added)-r.done < readAtOnce {
		return nil
	}
	return r.readNew(ctx)
}

// finish reads the new records that are left, and returns the entries.
func (r *refresher) finish(ctx context.Context) ([]entry, error) {
	if err := r.readNew(ctx); err != nil {
		return nil, err
	}
	return r.entries(), nil
}

func (r *refresher) readNew(ctx context.Context) error {
	unread := r.added[r.done:]
	r.done = len(r.added)
	defer r.call.report()
	return r.call.each(len(unread), func(i int) error {
		if err := r.call.request(ctx); err != nil {
			return err
		}
		return r.read(ctx, &unread[i])
	})
}

package gc

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/registrykit/registry/internal/objectkey"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/internal/object"
)

// dataAtOnce is the maximum number of data objects that get a tombstone before the links are read
// again.
const dataAtOnce = 1 << 16

// collectData removes the data that no link and no upload names.
func (c *Collector) collectData(ctx context.Context) error {
	garbage := object.Filter(c.objects.Driver.List(ctx, object.DataPrefix, nil), func(info driver.Info) bool {
		c.Count(func(r *Report) { r.Data++; r.DataBytes += info.Size })
		// Data that are newer than the first look at the links are most likely named now. A
		// tombstone would stay, and prevent mounts of them.
		return isOver(c.opts.DataGrace, info.ModTime) && !info.ModTime.After(c.report.Started) &&
			!c.namedData.has(object.Base(info.Key))
	})
	for batch, err := range object.Batches(garbage, dataAtOnce) {
		if err == nil {
			err = c.removeUnnamed(ctx, batch)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// removeUnnamed writes tombstones for a batch of data, then checks whether an upload or a link
// names the data, and removes the data that neither names. Tombstones of the others stay as long as
// the data exist: other collections may rely on them.
func (c *Collector) removeUnnamed(ctx context.Context, batch []driver.Info) error {
	// A tombstone on data of an upload in progress would only make the upload fail.
	batch, err := c.withoutUploads(ctx, batch)
	if err != nil || len(batch) == 0 {
		return err
	}
	if c.opts.DryRun {
		c.Count(func(r *Report) {
			for _, info := range batch {
				r.Removed.Data++
				r.Removed.DataBytes += info.Size
			}
		})
		return nil
	}
	for len(batch) > 0 {
		marked, rest, err := c.writeTombstones(ctx, batch)
		if err != nil {
			return err
		}
		if err := c.removeMarked(ctx, marked); err != nil {
			return err
		}
		batch = rest
	}
	return nil
}

// removeMarked removes those data of a batch with tombstones that no upload and no link names. It
// looks at the records of uploads first, and at the links after them. It removes the tombstones
// once the removal of the data is durable.
func (c *Collector) removeMarked(ctx context.Context, batch []driver.Info) error {
	free, err := c.withoutUploads(ctx, batch)
	if err != nil {
		return err
	}
	if err := c.noteChangedLinks(ctx); err != nil {
		return err
	}
	free = slices.DeleteFunc(free, func(info driver.Info) bool { return c.namedData.has(object.Base(info.Key)) })
	err = c.parallel(len(free), func(i int) error {
		if err := c.objects.Remove(ctx, free[i].Key, ""); err != nil {
			return object.RegistryError(err)
		}
		c.Count(func(r *Report) { r.Removed.Data++; r.Removed.DataBytes += free[i].Size })
		return nil
	})
	if err != nil {
		return err
	}
	keys := make([]string, len(free))
	for i := range free {
		keys[i] = free[i].Key
	}
	if err := c.syncKeys(ctx, keys); err != nil {
		return err
	}
	return c.parallel(len(free), func(i int) error { return c.removeTombstone(ctx, object.Base(free[i].Key)) })
}

// writeTombstones writes durable tombstones for a batch of data. A full storage may not have space
// for all of them. Then rest is what has no tombstone yet: the removal of the marked data makes
// space for it.
//
// Errors: registry.ErrNoSpace if there is no space for any.
func (c *Collector) writeTombstones(ctx context.Context, batch []driver.Info) (marked, rest []driver.Info, err error) {
	var full atomic.Bool
	errs := make([]error, len(batch))
	err = c.parallel(len(batch), func(i int) error {
		key := object.DeadKey(object.Base(batch[i].Key))
		var err error
		if full.Load() {
			// A tombstone of an earlier collection is as good.
			if _, err = c.objects.Driver.Stat(ctx, key); errors.Is(err, driver.ErrNotExist) {
				err = driver.ErrNoSpace
			}
		} else {
			_, err = c.objects.Driver.Put(ctx, key, nil, &driver.PutOptions{IfAbsent: true, Durability: driver.Deferred})
		}
		switch {
		case errors.Is(err, driver.ErrExist):
			return nil
		case errors.Is(err, driver.ErrNoSpace):
			full.Store(true)
			errs[i] = err
			return nil
		}
		return object.RegistryError(err)
	})
	if err != nil {
		return nil, nil, err
	}
	var keys []string
	for i, info := range batch {
		if errs[i] != nil {
			rest = append(rest, info)
			continue
		}
		marked = append(marked, info)
		keys = append(keys, object.DeadKey(object.Base(info.Key)))
	}
	if len(marked) == 0 {
		return nil, nil, object.RegistryError(errs[0])
	}
	return marked, rest, c.syncKeys(ctx, keys)
}

// removeTombstone removes the tombstone of data that are gone.
func (c *Collector) removeTombstone(ctx context.Context, name string) error {
	return object.RegistryError(c.objects.Remove(ctx, object.DeadKey(name), ""))
}

// uploadOf returns the name of the upload that data come from.
func uploadOf(name string) string {
	upload, _, _ := strings.Cut(name, ".")
	return upload
}

// withoutUploads returns the data of a batch whose uploads are not in progress.
func (c *Collector) withoutUploads(ctx context.Context, batch []driver.Info) ([]driver.Info, error) {
	if len(batch) == 0 {
		return nil, nil
	}
	inProgress := make(map[string]bool, len(batch)) // by upload; only uploads of the batch
	for _, info := range batch {
		inProgress[uploadOf(object.Base(info.Key))] = false
	}
	for info, err := range c.objects.Driver.List(ctx, object.UploadPrefix, &driver.ListOptions{KeysOnly: true}) {
		if err != nil {
			return nil, object.RegistryError(err)
		}
		if _, inBatch := inProgress[object.Base(info.Key)]; inBatch {
			inProgress[object.Base(info.Key)] = true
		}
	}
	var rest []driver.Info
	for _, info := range batch {
		if !inProgress[uploadOf(object.Base(info.Key))] {
			rest = append(rest, info)
		}
	}
	return rest, nil
}

// noteChangedLinks notes the data that new and changed links name.
func (c *Collector) noteChangedLinks(ctx context.Context) error {
	return c.eachRepository(ctx, func(ctx context.Context, repo object.Repo) error {
		return c.forEachChanged(ctx, c.links, c.objects.Driver.List(ctx, repo.LinkPrefix(), nil), func(f listed) error {
			d := objectkey.PathDigest(f.Key)
			if d == "" {
				return nil
			}
			l, err := repo.ReadLink(ctx, d)
			if err == nil {
				c.noteLink(f.Key, l)
			}
			return err
		}, nil)
	})
}

// forEach calls check for each object of a list, many at the same time. After each batch it calls
// settle, unless settle is nil.
func (c *Collector) forEach(ctx context.Context, prefix string, opts *driver.ListOptions,
	check func(driver.Info) error, settle func() error) error {
	for batch, err := range object.BatchesInMemory(c.objects.Driver.List(ctx, prefix, opts)) {
		if err == nil {
			err = c.parallel(len(batch), func(i int) error { return check(batch[i]) })
		}
		if err == nil && settle != nil {
			err = settle()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// removeStrayTombstones removes the tombstones of data that are gone. A collection leaves them that
// dies between the removals of the data and of the tombstone.
func (c *Collector) removeStrayTombstones(ctx context.Context) error {
	if c.opts.DryRun {
		return nil
	}
	return c.forEach(ctx, object.DeadPrefix, &driver.ListOptions{KeysOnly: true}, func(info driver.Info) error {
		name := object.Base(info.Key)
		_, err := c.objects.Driver.Stat(ctx, object.DataKey(name))
		if errors.Is(err, driver.ErrNotExist) {
			return c.removeTombstone(ctx, name)
		}
		return object.RegistryError(err)
	}, nil)
}

// collectIndex removes the keys of the index whose links do not exist. They are hints: the removal
// of a key whose link is just being written costs at most a second copy of the data.
func (c *Collector) collectIndex(ctx context.Context) error {
	return c.forEach(ctx, object.IndexesPrefix, &driver.ListOptions{KeysOnly: true}, func(info driver.Info) error {
		repo, d, ok := object.Indexed(info.Key)
		if !ok {
			return nil
		}
		key := c.objects.Repo(repo).LinkKey(d)
		if c.remainingLinks.has(key) {
			return nil
		}
		_, err := c.objects.Driver.Stat(ctx, key)
		if !errors.Is(err, driver.ErrNotExist) {
			return object.RegistryError(err)
		}
		if err := c.removeUnlessDryRun(ctx, info.Key, ""); err != nil {
			return object.RegistryError(err)
		}
		c.Count(func(r *Report) { r.Removed.Pointers++ })
		return nil
	}, nil)
}

package storage

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/registrykit/registry/storage/driver"
)

// dataAtOnce is how many data objects are condemned before it is looked again who names them.
const dataAtOnce = 1 << 16

// data removes the bytes that nothing names.
func (c *collector) data(ctx context.Context) error {
	var batch []driver.Info
	for info, err := range c.s.driver.List(ctx, segments, nil) {
		if err != nil {
			return wire(err)
		}
		c.count(func(r *CollectReport) { r.Data++; r.DataBytes += info.Size })
		// What has come since the first look is most likely named by now; a mark on it would stay,
		// and keep it from being mounted.
		if !c.old(info.ModTime) || info.ModTime.After(c.report.Started) || c.named.has(base(info.Key)) {
			continue
		}
		if batch = append(batch, driver.Info{Key: info.Key, Size: info.Size}); len(batch) == dataAtOnce {
			if err := c.settleData(ctx, batch); err != nil {
				return err
			}
			batch = batch[:0]
		}
	}
	return c.settleData(ctx, batch)
}

// settleData marks data as condemned, then looks who names them, records of uploads first and links
// after, and then removes those that nobody does. The mark is never taken back as long as the data
// are there: others may rely on it.
func (c *collector) settleData(ctx context.Context, batch []driver.Info) error {
	// A mark on data of an upload in progress would only make that fail.
	batch, err := c.notUploading(ctx, batch)
	if err != nil || len(batch) == 0 {
		return err
	}
	if c.opts.DryRun {
		c.count(func(r *CollectReport) {
			for _, info := range batch {
				r.Removed.Data++
				r.Removed.DataBytes += info.Size
			}
		})
		return nil
	}
	for len(batch) > 0 {
		marked, rest, err := c.condemnData(ctx, batch)
		if err != nil {
			return err
		}
		if err := c.removeData(ctx, marked); err != nil {
			return err
		}
		batch = rest
	}
	return nil
}

// removeData removes those of a batch, which is marked, that nobody names.
func (c *collector) removeData(ctx context.Context, batch []driver.Info) error {
	free, err := c.notUploading(ctx, batch)
	if err != nil {
		return err
	}
	if err := c.nameLinks(ctx); err != nil {
		return err
	}
	free = slices.DeleteFunc(free, func(info driver.Info) bool { return c.named.has(base(info.Key)) })
	err = c.parallel(len(free), func(i int) error {
		if err := c.s.remove(ctx, free[i].Key, ""); err != nil {
			return wire(err)
		}
		c.count(func(r *CollectReport) { r.Removed.Data++; r.Removed.DataBytes += free[i].Size })
		return nil
	})
	if err != nil {
		return err
	}
	keys := make([]string, len(free))
	for i := range free {
		keys[i] = free[i].Key
	}
	if err := c.syncRemoved(ctx, keys); err != nil {
		return err
	}
	return c.parallel(len(free), func(i int) error { return c.unmark(ctx, base(free[i].Key)) })
}

// condemnData marks data as condemned, durably. Where the storage is full, there may be no room for
// all the marks: rest is left for when the data that are marked have made some.
func (c *collector) condemnData(ctx context.Context, batch []driver.Info) (marked, rest []driver.Info, err error) {
	var full atomic.Bool
	errs := make([]error, len(batch))
	err = c.parallel(len(batch), func(i int) error {
		key := deadKey(base(batch[i].Key))
		var err error
		if full.Load() {
			// One that an earlier collection has marked serves as well.
			if _, err = c.s.driver.Stat(ctx, key); errors.Is(err, driver.ErrNotExist) {
				err = driver.ErrNoSpace
			}
		} else {
			_, err = c.s.driver.Put(ctx, key, nil, &driver.PutOptions{IfAbsent: true, Durability: driver.Deferred})
		}
		switch {
		case errors.Is(err, driver.ErrExist):
			return nil
		case errors.Is(err, driver.ErrNoSpace):
			full.Store(true)
			errs[i] = err
			return nil
		}
		return wire(err)
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
		keys = append(keys, deadKey(base(info.Key)))
	}
	if len(marked) == 0 {
		return nil, nil, wire(errs[0])
	}
	return marked, rest, c.syncRemoved(ctx, keys)
}

// unmark removes the mark of data that are gone.
func (c *collector) unmark(ctx context.Context, name string) error {
	return wire(c.s.remove(ctx, deadKey(name), ""))
}

// uploadOf is the name of the upload that data come from.
func uploadOf(name string) string {
	upload, _, _ := strings.Cut(name, ".")
	return upload
}

// notUploading returns those of a batch whose uploads are not in progress.
func (c *collector) notUploading(ctx context.Context, batch []driver.Info) ([]driver.Info, error) {
	if len(batch) == 0 {
		return nil, nil
	}
	inProgress := make(map[string]bool, len(batch)) // of those of the batch
	for _, info := range batch {
		inProgress[uploadOf(base(info.Key))] = false
	}
	for info, err := range c.s.driver.List(ctx, uploads, &driver.ListOptions{KeysOnly: true}) {
		if err != nil {
			return nil, wire(err)
		}
		if _, asked := inProgress[base(info.Key)]; asked {
			inProgress[base(info.Key)] = true
		}
	}
	var rest []driver.Info
	for _, info := range batch {
		if !inProgress[uploadOf(base(info.Key))] {
			rest = append(rest, info)
		}
	}
	return rest, nil
}

// nameLinks notes what links name that are new or changed.
func (c *collector) nameLinks(ctx context.Context) error {
	return c.eachRepository(ctx, func(ctx context.Context, repo string) error {
		return c.look(ctx, c.links, c.s.driver.List(ctx, linkPrefix(repo), nil), func(f found) error {
			d := pathDigest(f.Key)
			if d == "" {
				return nil
			}
			l, err := c.s.readLink(ctx, repo, d)
			if err == nil {
				c.nameLink(f.Key, l)
			}
			return err
		}, nil)
	})
}

// someBytes is about how many bytes the objects have together whose content is kept in mind at
// once, unless one alone has more.
const someBytes = 16 << 20

// some calls f for the elements of a list, many at once, and now and then, and at the end, rest,
// unless it is nil.
func (c *collector) some(ctx context.Context, prefix string, opts *driver.ListOptions, f func(driver.Info) error,
	rest func() error) error {
	var batch []driver.Info
	size := int64(0)
	flush := func() error {
		err := c.parallel(len(batch), func(i int) error { return f(batch[i]) })
		batch, size = batch[:0], 0
		if err == nil && rest != nil {
			err = rest()
		}
		return err
	}
	for info, err := range c.s.driver.List(ctx, prefix, opts) {
		if err != nil {
			return wire(err)
		}
		batch = append(batch, info)
		if size += info.Size; len(batch) == readAtOnce || size >= someBytes {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

// marks removes the marks of data that are gone: of a collection that died between the two.
func (c *collector) marks(ctx context.Context) error {
	if c.opts.DryRun {
		return nil
	}
	return c.some(ctx, marks, &driver.ListOptions{KeysOnly: true}, func(info driver.Info) error {
		name := base(info.Key)
		_, err := c.s.driver.Stat(ctx, dataKey(name))
		if errors.Is(err, driver.ErrNotExist) {
			return c.unmark(ctx, name)
		}
		return wire(err)
	}, nil)
}

// index removes entries of the index for links that are not there. They are hints: that one is
// removed although its link is just being written only costs a copy of the bytes some day.
func (c *collector) index(ctx context.Context) error {
	return c.some(ctx, indexes, &driver.ListOptions{KeysOnly: true}, func(info driver.Info) error {
		repo, d, ok := indexed(info.Key)
		if !ok {
			return nil
		}
		key := linkKey(repo, d)
		if c.linked.has(key) {
			return nil
		}
		_, err := c.s.driver.Stat(ctx, key)
		if !errors.Is(err, driver.ErrNotExist) {
			return wire(err)
		}
		if err := c.drop(ctx, info.Key, ""); err != nil {
			return wire(err)
		}
		c.count(func(r *CollectReport) { r.Removed.Pointers++ })
		return nil
	}, nil)
}

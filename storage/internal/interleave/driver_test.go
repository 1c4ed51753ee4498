package interleave

import (
	"context"
	"io"
	"iter"

	"github.com/registrykit/registry/storage/driver"
)

// scheduled is a driver.Driver whose calls the schedule orders if their context is that of an
// actor.
type scheduled struct {
	s     *schedule
	below driver.Driver
}

func (d *scheduled) Open(ctx context.Context, key string, opts *driver.OpenOptions) (io.ReadCloser, driver.Info,
	error) {
	done, err := d.s.wait(ctx, "Open", key)
	if err != nil {
		return nil, driver.Info{}, err
	}
	r, info, err := d.below.Open(ctx, key, opts)
	done(err)
	return r, info, err
}

func (d *scheduled) Stat(ctx context.Context, key string) (driver.Info, error) {
	done, err := d.s.wait(ctx, "Stat", key)
	if err != nil {
		return driver.Info{}, err
	}
	info, err := d.below.Stat(ctx, key)
	done(err)
	return info, err
}

func (d *scheduled) Put(ctx context.Context, key string, body io.Reader, opts *driver.PutOptions) (driver.Info,
	error) {
	done, err := d.s.wait(ctx, "Put", key)
	if err != nil {
		return driver.Info{}, err
	}
	info, err := d.below.Put(ctx, key, body, opts)
	done(err)
	return info, err
}

func (d *scheduled) Delete(ctx context.Context, key, ifVersion string) error {
	done, err := d.s.wait(ctx, "Delete", key)
	if err != nil {
		return err
	}
	err = d.below.Delete(ctx, key, ifVersion)
	done(err)
	return err
}

func (d *scheduled) MaxObjectSize() int64 { return d.below.MaxObjectSize() }

func (d *scheduled) Sync(ctx context.Context, keys ...string) error {
	if len(keys) == 0 {
		return d.below.Sync(ctx)
	}
	done, err := d.s.wait(ctx, "Sync", keys[0])
	if err != nil {
		return err
	}
	err = d.below.Sync(ctx, keys...)
	done(err)
	return err
}

// List makes one scheduled call for each page. The actor decides how many elements a page has.
func (d *scheduled) List(ctx context.Context, prefix string, opts *driver.ListOptions) iter.Seq2[driver.Info, error] {
	a, ok := ctx.Value(actorKey{}).(*actor)
	if !ok {
		return d.below.List(ctx, prefix, opts)
	}
	o := driver.ListOptions{}
	if opts != nil {
		o = *opts
	}
	o.PageHint = a.page
	return func(yield func(driver.Info, error) bool) {
		for {
			done, err := d.s.wait(ctx, "List", prefix)
			if err != nil {
				yield(driver.Info{}, err)
				return
			}
			var page []driver.Info
			for info, lerr := range d.below.List(ctx, prefix, &o) {
				if err = lerr; err != nil {
					break
				}
				if page = append(page, info); len(page) == a.page {
					break
				}
			}
			done(err)
			for _, info := range page {
				if !yield(info, nil) {
					return
				}
			}
			if err != nil {
				yield(driver.Info{}, err)
				return
			}
			if len(page) < a.page {
				return
			}
			o.After = page[len(page)-1].Key
		}
	}
}

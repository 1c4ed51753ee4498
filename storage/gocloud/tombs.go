package gocloud

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/registrykit/registry/storage/driver"
)

// maxReplay is the size in bytes up to which the body of a Put is held, so that it can be written
// once more in the place of a tombstone. Whatever may be removed and put again is smaller.
const maxReplay = 64 << 10

// tombs are the tombstones of a [Burier].
type tombs struct {
	content string
	version string // "" if it is not always the same
}

func newTombs(s Store) *tombs {
	b, ok := s.(Burier)
	if !ok {
		return nil
	}
	content, version, ok := b.Tombstone()
	if !ok {
		return nil
	}
	return &tombs{content, version}
}

// errBuried is that an object is a tombstone.
var errBuried = fmt.Errorf("gocloud: there is a tombstone: %w", driver.ErrNotExist)

// buried reports whether an object is a tombstone. It is read only if that cannot be told
// otherwise.
func (m *remote) buried(ctx context.Context, info driver.Info) (bool, error) {
	if m.tombs == nil || info.Size != int64(len(m.tombs.content)) {
		return false, nil
	}
	if m.tombs.version != "" {
		return info.Version == m.tombs.version, nil
	}
	r, err := m.reader(ctx, info.Key, 0, -1, nil)
	if err != nil {
		if err = m.failure(err); errors.Is(err, driver.ErrNotExist) {
			return true, nil // it has gone meanwhile
		}
		return false, err
	}
	content, err := io.ReadAll(io.LimitReader(r, info.Size+1))
	if err = errors.Join(err, r.Close()); err != nil {
		return false, m.failure(err)
	}
	return string(content) == m.tombs.content, nil
}

// tombstone returns the version of the tombstone at a key, "" if there is none.
func (m *remote) tombstone(ctx context.Context, key string) (string, error) {
	actx, _, stop := newWatch(ctx, m.stall)
	defer stop()
	a, err := m.attributes(actx, key)
	if err != nil {
		if err = m.failure(stalled(actx, err)); errors.Is(err, driver.ErrNotExist) {
			err = nil
		}
		return "", err
	}
	info := driver.Info{Key: key, Size: a.Size, Version: m.store.Version(a.As)}
	if buried, err := m.buried(ctx, info); err != nil || !buried {
		return "", err
	}
	return info.Version, nil
}

// bury is remove where no DELETE is conditional.
func (m *remote) bury(ctx context.Context, key, ifVersion string) error {
	if ifVersion == "" {
		// No tombstone is left where none is needed. That one which is there already goes as well
		// does not harm: the caller says that nobody else is at work on this key, or that it does
		// not matter.
		return m.erase(ctx, key)
	}
	if ifVersion == m.tombs.version {
		return driver.ErrChanged
	}
	_, err := m.write(ctx, key, strings.NewReader(m.tombs.content),
		&driver.PutOptions{IfVersion: ifVersion, Size: int64(len(m.tombs.content))})
	return err
}

// Sweep implements [driver.Sweeper].
func (d *Driver) Sweep(ctx context.Context, prefix string, before time.Time) (int, error) {
	m, ok := d.engine.(*remote)
	if !ok || m.tombs == nil {
		return 0, nil
	}
	n := 0
	var failed error
	p := m.pager()
	err := p.list(ctx, prefix, &driver.ListOptions{}, func(info driver.Info) bool {
		if !info.ModTime.Before(before) {
			return true
		}
		var buried bool
		if buried, failed = m.buried(ctx, info); buried {
			failed = m.erase(ctx, info.Key)
			n++
		}
		return failed == nil
	})
	if err = errors.Join(failed, err); err != nil {
		err = d.failure("sweep", prefix, err)
	}
	return n, err
}

package gocloud

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/registrykit/registry/storage/driver"
)

// maxReplay is the maximum size of a body that a Put holds in memory, in bytes, so that it can be
// written a second time, over a tombstone. The objects that the registry deletes and puts
// again are smaller.
const maxReplay = 64 << 10

// tombstones are the tombstones of a [Tombstoner].
type tombstones struct {
	content string
	version string // "" if it is not always the same
}

func newTombstones(s Store) *tombstones {
	b, ok := s.(Tombstoner)
	if !ok {
		return nil
	}
	content, version, ok := b.Tombstone()
	if !ok {
		return nil
	}
	return &tombstones{content, version}
}

// errTombstone is returned when an object is a tombstone, and so counts as missing.
var errTombstone = fmt.Errorf("gocloud: there is a tombstone: %w", driver.ErrNotExist)

// isTombstone reports whether an object is a tombstone. It reads the object only if size and
// version leave that open.
func (m *remote) isTombstone(ctx context.Context, info driver.Info) (bool, error) {
	if m.tombstones == nil || info.Size != int64(len(m.tombstones.content)) {
		return false, nil
	}
	if m.tombstones.version != "" {
		return info.Version == m.tombstones.version, nil
	}
	r, err := m.reader(ctx, info.Key, 0, -1, nil)
	if err != nil {
		if err = m.failure(err); errors.Is(err, driver.ErrNotExist) {
			return true, nil // removed since it was described
		}
		return false, err
	}
	content, err := io.ReadAll(io.LimitReader(r, info.Size+1))
	if err = errors.Join(err, r.Close()); err != nil {
		return false, m.failure(err)
	}
	return string(content) == m.tombstones.content, nil
}

// tombstoneVersion returns the version of the tombstone at a key, or "" if there is none.
func (m *remote) tombstoneVersion(ctx context.Context, key string) (string, error) {
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
	if dead, err := m.isTombstone(ctx, info); err != nil || !dead {
		return "", err
	}
	return info.Version, nil
}

// putTombstone implements remove for a store that has no conditional delete.
func (m *remote) putTombstone(ctx context.Context, key, ifVersion string) error {
	if ifVersion == "" {
		// A delete without a condition needs no tombstone. It may remove a tombstone that is already
		// there: the caller states that no other writer uses this key, or that it does not matter.
		return m.delete(ctx, key)
	}
	if ifVersion == m.tombstones.version {
		return driver.ErrChanged
	}
	_, err := m.write(ctx, key, strings.NewReader(m.tombstones.content),
		&driver.PutOptions{IfVersion: ifVersion, Size: int64(len(m.tombstones.content))})
	return err
}

// isTombstoneBody is isTombstone for an object that is being read from body, as opts select. It may
// read body to the end; unless the object is a tombstone, body then yields the same bytes again.
func (m *remote) isTombstoneBody(ctx context.Context, info driver.Info, opts *driver.OpenOptions,
	body *watchedReader) (bool, error) {
	if m.tombstones == nil || m.tombstones.version != "" || info.Size != int64(len(m.tombstones.content)) ||
		opts.Offset > 0 ||
		opts.Length > 0 {
		return m.isTombstone(ctx, info)
	}
	content, err := io.ReadAll(body)
	if err != nil {
		return false, err
	}
	body.r = readCloser{bytes.NewReader(content), body.r}
	return string(content) == m.tombstones.content, nil
}

// readCloser reads from one source and closes another.
type readCloser struct {
	io.Reader
	io.Closer
}

// replace writes an object over a tombstone, on the condition that the tombstone has not changed.
func (m *remote) replace(ctx context.Context, key string, from io.Reader, opts *driver.PutOptions,
	version string) (driver.Info, error) {
	o := *opts
	o.IfAbsent, o.IfVersion = false, version
	info, err := m.write(ctx, key, from, &o)
	if errors.Is(err, driver.ErrChanged) {
		err = &conditionError{driver.ErrExist, err}
	}
	return info, err
}

// Sweep implements [driver.Sweeper].
func (d *Driver) Sweep(ctx context.Context, prefix string, before time.Time) (int, error) {
	m, ok := d.engine.(*remote)
	if !ok || m.tombstones == nil {
		return 0, nil
	}
	n := 0
	var failed error
	p := m.pager()
	err := p.list(ctx, prefix, &driver.ListOptions{}, func(info driver.Info) bool {
		if !info.ModTime.Before(before) {
			return true
		}
		var dead bool
		if dead, failed = m.isTombstone(ctx, info); dead {
			failed = m.delete(ctx, info.Key)
			n++
		}
		return failed == nil
	})
	if err = errors.Join(failed, err); err != nil {
		err = d.failure("sweep", prefix, err)
	}
	return n, err
}

package object

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/parallel"
	"github.com/registrykit/registry/storage/driver"
)

// errCondemned is why a link was withdrawn: a collector had condemned the data it names.
var ErrCondemned = errors.New("storage: the data are condemned")

// readLink returns the link of a blob as it is now. One that is absent or cut short has the state
// gone, and the version to be named by a Put that replaces it.
func (r Repo) ReadLink(ctx context.Context, d digest.Digest) (*Link, error) {
	b, info, err := r.Read(ctx, r.LinkKey(d))
	if errors.Is(err, driver.ErrNotExist) {
		return &Link{}, nil
	}
	if err != nil {
		return nil, RegistryError(err)
	}
	l := &Link{}
	content, ok := Decode(b, l)
	if !ok || Checksum(content) != l.Sum || l.length() != l.Size-int64(len(content)) {
		return &Link{Version: info.Version, ModTime: info.ModTime}, nil
	}
	l.Tail, l.Version, l.ModTime = content, info.Version, info.ModTime
	return l, nil
}

// length is the number of bytes in the segments.
func (l *Link) length() int64 {
	var n int64
	for _, seg := range l.Segments {
		n += seg.Size
	}
	return n
}

// setLink changes a link that is known in the version l has, to a state, and returns it as it is
// then.
//
// Errors: ErrExist or ErrChanged if it is another by now.
func (r Repo) SetLink(ctx context.Context, d digest.Digest, l *Link, to State) (*Link, error) {
	n := *l
	n.State, n.Nonce, n.Sum, n.ModTime = to, NewNonce(), Checksum(l.Tail), time.Time{}
	n.Unproven = to == Condemned && (l.State == Pending || l.Unproven)
	var err error
	durability := driver.Deferred
	if l.State == Gone || l.State == Pending {
		durability = driver.Relaxed // nobody relies on what is replaced
	}
	n.Version, err = r.Put(ctx, r.LinkKey(d), l.Version, &n, l.Tail, durability)
	return &n, err
}

// publishing says how a link is published.
type Publishing struct {
	Verify bool // replace a link whose data are lost: who pushes a blob again mends it
	Absent bool // there is probably no link yet, so begin with writing one
}

// publish makes a blob known in the repository, with its bytes where want says, unless it is known
// already. named is false if no key has ever named the data of want to others, so that they may be
// dropped. A link that names data becomes pending first, so that collectors see it; then a mark of
// condemned data is looked for; only then it becomes live. One that is condemned is turned back: a
// manifest may rely on it. When publish returns, the link is not durable yet.
//
// Errors: errCondemned, and the link has been withdrawn.
func (r Repo) Publish(ctx context.Context, d digest.Digest, want *Link, how Publishing) (named bool,
	err error) {
	for n := range Attempts(ctx, &err) {
		cur := &Link{}
		if n > 0 || !how.Absent {
			if cur, err = r.ReadLink(ctx, d); err != nil {
				return named, err
			}
		}
		// One that is hidden has named its data all the time, too. To write over it would take it
		// from a restore, if who does so dies or withdraws.
		if (cur.Readable() || cur.State == Hidden) && (!how.Verify || r.dataPresent(ctx, cur)) {
			if cur.State != Live || r.Stale(cur.ModTime) {
				if _, err = r.SetLink(ctx, d, cur, Live); IsConflict(err) {
					continue
				}
			}
			r.IndexBlob(ctx, d) // who wrote the link may have died before
			return named || slices.Equal(cur.Segments, want.Segments), RegistryError(err)
		}
		l := &Link{Size: want.Size, Segments: want.Segments, Tail: want.Tail, Version: cur.Version}
		if len(l.Segments) > 0 {
			if l, err = r.SetLink(ctx, d, l, Pending); IsConflict(err) {
				continue
			} else if err != nil {
				return named, RegistryError(err)
			}
			if err := r.checkCondemned(ctx, l); err != nil {
				return named, errors.Join(err, r.withdraw(ctx, d, l))
			}
		}
		named = len(l.Segments) > 0
		// The entry in the index is a hint, so it may as well be there before the link.
		_ = parallel.Each(Parallelism, 2, func(i int) error {
			if i == 0 {
				_, err = r.SetLink(ctx, d, l, Live)
			} else {
				r.IndexBlob(ctx, d)
			}
			return nil
		})
		if IsConflict(err) {
			continue
		} else if err != nil {
			return named, RegistryError(err)
		}
		r.Written.Add(r.LinkKey(d), struct{}{}, 1)
		return named, nil
	}
	return named, err
}

// present reports whether the data of a link are there, as far as can be known.
func (s *Store) dataPresent(ctx context.Context, l *Link) bool {
	return parallel.Each(Parallelism, len(l.Segments), func(i int) error {
		if lost, _ := s.dataLost(ctx, l.Segments[i]); lost {
			return ErrMissing
		}
		return nil
	}) == nil
}

// lost reports whether the data of a segment are not there, or cut short.
func (s *Store) dataLost(ctx context.Context, seg Segment) (bool, error) {
	info, err := s.Driver.Stat(ctx, DataKey(seg.Name))
	if errors.Is(err, driver.ErrNotExist) {
		return true, nil
	}
	return err == nil && info.Size != seg.Size, RegistryError(err)
}

// look returns errCondemned if a collector has condemned any of the data a link names, which is
// pending: a mark is looked for, and then the data themselves, since the mark is gone again once
// they are. The other way round, both could go between the two looks.
func (s *Store) checkCondemned(ctx context.Context, l *Link) error {
	return parallel.Each(Parallelism, len(l.Segments), func(i int) error {
		seg := l.Segments[i]
		_, err := s.Driver.Stat(ctx, DeadKey(seg.Name))
		if err == nil {
			return ErrCondemned
		}
		if !errors.Is(err, driver.ErrNotExist) {
			return RegistryError(err)
		}
		lost, err := s.dataLost(ctx, seg)
		if lost {
			return ErrCondemned
		}
		return err
	})
}

// withdraw removes a link that has not become live, if nobody has changed it.
func (r Repo) withdraw(ctx context.Context, d digest.Digest, l *Link) error {
	err := r.Driver.Delete(ctx, r.LinkKey(d), l.Version)
	if err == nil || errors.Is(err, driver.ErrNotExist) || errors.Is(err, driver.ErrChanged) {
		return nil
	}
	return RegistryError(err)
}

// index notes that a repository has a blob, where mounts and deduplication look. It is a hint: that
// it fails harms nothing.
func (r Repo) IndexBlob(ctx context.Context, d digest.Digest) {
	_, _ = r.Driver.Put(ctx, r.IndexKey(d), nil, &driver.PutOptions{IfAbsent: true, Durability: driver.Relaxed})
}

// need makes sure that a blob stays in the repository for a manifest that is pending there, and
// returns its link. A link that a collector has condemned is turned back to live.
//
// Errors: errMissing.
func (r Repo) KeepLink(ctx context.Context, d digest.Digest) (*Link, error) {
	var err error
	for range Attempts(ctx, &err) {
		l, err := r.ReadLink(ctx, d)
		if err != nil {
			return nil, err
		}
		switch {
		case l.State == Live:
			return l, nil
		case !l.Readable():
			return nil, ErrMissing
		}
		if l, err = r.SetLink(ctx, d, l, Live); err == nil {
			return l, nil
		} else if !IsConflict(err) {
			return nil, RegistryError(err)
		}
	}
	return nil, err
}

// errMissing is that a manifest names something that the repository does not have.
var ErrMissing = errors.New("storage: not in the repository")

// DropSegments deletes segments that no key names any more. What remains for an error is left to the
// collector.
func (s *Store) DropSegments(ctx context.Context, segments []Segment) {
	_ = parallel.Each(Parallelism, len(segments), func(i int) error {
		return s.Driver.Delete(ctx, DataKey(segments[i].Name), "")
	})
}

// removeLink removes a link that is still as it was read, and what points to it.
//
// Errors: ErrChanged if it is not.
func (r Repo) RemoveLink(ctx context.Context, d digest.Digest, l *Link) error {
	if err := r.Remove(ctx, r.IndexKey(d), ""); err != nil {
		return err
	}
	return r.Remove(ctx, r.LinkKey(d), l.Version)
}

// readableLink returns the link of a blob that may be read.
func (r Repo) ReadableLink(ctx context.Context, d digest.Digest) (*Link, error) {
	l, err := r.ReadLink(ctx, d)
	if err != nil {
		return nil, err
	}
	if !l.Readable() {
		return nil, registry.ErrBlobUnknown.WithDetail(map[string]string{"digest": string(d)})
	}
	return l, nil
}

// refreshLink writes a link again, which takes the mark of a collector off, and returns it as it is
// then.
//
// Errors: registry.ErrBlobUnknown if it is gone by now.
func (r Repo) TouchLink(ctx context.Context, d digest.Digest, l *Link) (*Link, error) {
	var err error
	for range Attempts(ctx, &err) {
		now, err := r.SetLink(ctx, d, l, Live)
		if !IsConflict(err) {
			return now, RegistryError(err)
		}
		if l, err = r.ReadableLink(ctx, d); err != nil {
			return nil, err
		}
		if l.State == Live && !r.Stale(l.ModTime) {
			return l, nil
		}
	}
	return nil, err
}

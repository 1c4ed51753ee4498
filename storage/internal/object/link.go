package object

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/storage/driver"
)

// ErrCondemned is returned when a link was withdrawn because a collection had condemned the data
// that it names. The caller uses other data.
var ErrCondemned = errors.New("storage: the data are condemned")

// ReadLink returns the current link of a blob. A link that is absent or cut short has the state
// Gone, and the version on which a Put replaces it.
//
// Errors: registry.ErrUnavailable, or any other error of the driver.
func (r Repo) ReadLink(ctx context.Context, d digest.Digest) (*Link, error) {
	return readRecord(ctx, r.Store, r.LinkKey(d), decodeLink)
}

// decodeLink returns the link of the record b. A record that is cut short has the state Gone.
func decodeLink(b []byte, info driver.Info) *Link {
	l := &Link{}
	content, ok := Decode(b, l)
	if !ok || Checksum(content) != l.Sum || l.length() != l.Size-int64(len(content)) {
		return &Link{Version: info.Version, ModTime: info.ModTime}
	}
	l.Tail, l.Version, l.ModTime = content, info.Version, info.ModTime
	return l
}

// length returns the number of bytes in the segments.
func (l *Link) length() int64 {
	var n int64
	for _, seg := range l.Segments {
		n += seg.Size
	}
	return n
}

// SetLink changes the state of a link that still has the version of l, and returns the new link. l
// itself does not change. The new link is not durable until Sync.
//
// Errors: driver.ErrExist or driver.ErrChanged if the link is another one now.
func (r Repo) SetLink(ctx context.Context, d digest.Digest, l *Link, to State) (*Link, error) {
	n := *l
	n.State, n.Nonce, n.Sum, n.ModTime = to, NewNonce(), Checksum(l.Tail), time.Time{}
	n.Unproven = to == Condemned && (l.State == Pending || l.Unproven)
	var err error
	durability := driver.Deferred
	if l.State == Gone || l.State == Pending {
		durability = driver.Relaxed // no reader relies on the link that is replaced
	}
	n.Version, err = r.Put(ctx, r.LinkKey(d), l.Version, &n, l.Tail, durability)
	return &n, err
}

// Publishing says how Publish publishes a link.
type Publishing struct {
	// Verify replaces a link whose data are lost: a push of a blob repairs the blob.
	Verify bool
	// Absent is a hint that there is probably no link yet, so that Publish begins with a write.
	Absent bool
}

// Publish adds a blob to the repository, with its bytes where want says, unless the repository
// already has the blob. named is false if no key has ever named the data of want; then the caller
// may drop the data.
//
// A link that names data is written as Pending first, so that collections see it. Then Publish
// looks for tombstones of the data. Only after that does the link become Live. A condemned link is
// restored, because a manifest may rely on it. The link is not durable when Publish returns.
//
// Errors: ErrCondemned, and then the link has been withdrawn; registry.ErrUnavailable and
// ErrNoSpace.
func (r Repo) Publish(ctx context.Context, d digest.Digest, want *Link, how Publishing) (named bool, err error) {
	for n := range Attempts(ctx, &err) {
		cur := &Link{}
		if n > 0 || !how.Absent {
			if cur, err = r.ReadLink(ctx, d); err != nil {
				return named, err
			}
		}
		// A hidden link names its data, too, so they are still there. If this push replaced the
		// link and then died or withdrew it, a restore would not find it.
		if (cur.Readable() || cur.State == Hidden) && (!how.Verify || r.dataPresent(ctx, cur)) {
			if cur.State != Live || r.Stale(cur.ModTime) {
				if _, err = r.SetLink(ctx, d, cur, Live); driver.IsConflict(err) {
					continue
				}
			}
			r.IndexBlob(ctx, d) // the writer of the link may have died before it did so
			return named || slices.Equal(cur.Segments, want.Segments), RegistryError(err)
		}
		l := &Link{Size: want.Size, Segments: want.Segments, Tail: want.Tail, Version: cur.Version}
		if len(l.Segments) > 0 {
			if l, err = r.SetLink(ctx, d, l, Pending); driver.IsConflict(err) {
				continue
			} else if err != nil {
				return named, RegistryError(err)
			}
			if err := r.checkCondemned(ctx, l); err != nil {
				return named, errors.Join(err, r.withdraw(ctx, d, l))
			}
		}
		named = len(l.Segments) > 0
		// The key in the index is a hint, so it may exist before the link.
		_ = r.Each(2, func(i int) error {
			if i == 0 {
				_, err = r.SetLink(ctx, d, l, Live)
			} else {
				r.IndexBlob(ctx, d)
			}
			return nil
		})
		if driver.IsConflict(err) {
			continue
		} else if err != nil {
			return named, RegistryError(err)
		}
		r.Written.Add(r.LinkKey(d), struct{}{}, 1)
		return named, nil
	}
	return named, err
}

// dataPresent reports whether the data of a link exist in full. A segment of which nothing can be
// learned counts as present.
func (s *Store) dataPresent(ctx context.Context, l *Link) bool {
	return s.Each(len(l.Segments), func(i int) error {
		if lost, _ := s.dataLost(ctx, l.Segments[i]); lost {
			return ErrMissing
		}
		return nil
	}) == nil
}

// dataLost reports whether the data of a segment are missing or cut short.
func (s *Store) dataLost(ctx context.Context, seg Segment) (bool, error) {
	info, err := s.Driver.Stat(ctx, DataKey(seg.Name))
	if errors.Is(err, driver.ErrNotExist) {
		return true, nil
	}
	return err == nil && info.Size != seg.Size, RegistryError(err)
}

// checkCondemned returns ErrCondemned if a collection has condemned any of the data that l, which
// is pending, names. It looks for the tombstone first and for the data after it, because a
// collection removes the tombstone once the data are gone. In the other order, both could go
// between the two looks.
func (s *Store) checkCondemned(ctx context.Context, l *Link) error {
	return s.Each(len(l.Segments), func(i int) error {
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

// withdraw removes a link that has not become live, if no other writer has changed it.
func (r Repo) withdraw(ctx context.Context, d digest.Digest, l *Link) error {
	err := r.Driver.Delete(ctx, r.LinkKey(d), l.Version)
	if err == nil || errors.Is(err, driver.ErrNotExist) || errors.Is(err, driver.ErrChanged) {
		return nil
	}
	return RegistryError(err)
}

// IndexBlob notes in the index that the repository has a blob. Mounts and deduplication look there.
// The key is a hint, so an error has no effect.
func (r Repo) IndexBlob(ctx context.Context, d digest.Digest) {
	_, _ = r.Driver.Put(ctx, r.IndexKey(d), nil, &driver.PutOptions{IfAbsent: true, Durability: driver.Relaxed})
}

// KeepLink ensures that a blob stays in the repository for a manifest that is pending there, and
// returns its link. It restores a condemned link.
//
// Errors: ErrMissing if the repository does not have the blob; registry.ErrUnavailable and
// ErrNoSpace.
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
		} else if !driver.IsConflict(err) {
			return nil, RegistryError(err)
		}
	}
	return nil, err
}

// ErrMissing is returned when the repository does not have something that a manifest names.
var ErrMissing = errors.New("storage: not in the repository")

// DropSegments deletes the data of segments that no key names any more. After an error, a
// collection removes the rest.
func (s *Store) DropSegments(ctx context.Context, segments []Segment) {
	_ = s.Each(len(segments), func(i int) error {
		return s.Driver.Delete(ctx, DataKey(segments[i].Name), "")
	})
}

// RemoveLink removes a link that still has the version of l. It removes the key in the index first.
//
// Errors: driver.ErrChanged if the link has changed. The key in the index is gone then; the caller
// calls IndexBlob.
func (r Repo) RemoveLink(ctx context.Context, d digest.Digest, l *Link) error {
	if err := r.Remove(ctx, r.IndexKey(d), ""); err != nil {
		return err
	}
	return r.Remove(ctx, r.LinkKey(d), l.Version)
}

// ReadableLink returns the link of a blob that may be read.
//
// Errors: registry.ErrBlobUnknown if the repository does not have the blob.
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

// TouchLink writes the link l again, which restores a condemned link and makes the link young, and
// returns the new link.
//
// Errors: registry.ErrBlobUnknown if the link is gone.
func (r Repo) TouchLink(ctx context.Context, d digest.Digest, l *Link) (*Link, error) {
	var err error
	for range Attempts(ctx, &err) {
		now, err := r.SetLink(ctx, d, l, Live)
		if !driver.IsConflict(err) {
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

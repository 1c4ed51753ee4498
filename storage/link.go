package storage

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry/internal/parallel"
	"github.com/registrykit/registry/storage/driver"
)

// errCondemned is why a link was withdrawn: a collector had condemned the data it names.
var errCondemned = errors.New("storage: the data are condemned")

// readLink returns the link of a blob as it is now. One that is absent or cut short has the state
// gone, and the version to be named by a Put that replaces it.
func (s *Store) readLink(ctx context.Context, repo string, d digest.Digest) (*link, error) {
	b, info, err := s.read(ctx, linkKey(repo, d))
	if errors.Is(err, driver.ErrNotExist) {
		return &link{}, nil
	}
	if err != nil {
		return nil, wire(err)
	}
	l := &link{}
	content, ok := decode(b, l)
	if !ok || checksum(content) != l.Sum || l.length() != l.Size-int64(len(content)) {
		return &link{version: info.Version, modTime: info.ModTime}, nil
	}
	l.tail, l.version, l.modTime = content, info.Version, info.ModTime
	return l, nil
}

// length is the number of bytes in the segments.
func (l *link) length() int64 {
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
func (s *Store) setLink(ctx context.Context, repo string, d digest.Digest, l *link, to state) (*link, error) {
	n := *l
	n.State, n.Nonce, n.Sum, n.modTime = to, nonce(), checksum(l.tail), time.Time{}
	n.Unproven = to == condemned && (l.State == pending || l.Unproven)
	var err error
	durability := driver.Deferred
	if l.State == gone || l.State == pending {
		durability = driver.Relaxed // nobody relies on what is replaced
	}
	n.version, err = s.put(ctx, linkKey(repo, d), l.version, &n, l.tail, durability)
	return &n, err
}

// changed reports whether a conditional write failed because somebody else was first.
func changed(err error) bool {
	return errors.Is(err, driver.ErrExist) || errors.Is(err, driver.ErrChanged)
}

// publishing says how a link is published.
type publishing struct {
	verify bool // replace a link whose data are lost: who pushes a blob again mends it
	absent bool // there is probably no link yet, so begin with writing one
}

// publish makes a blob known in the repository, with its bytes where want says, unless it is known
// already. named is false if no key has ever named the data of want to others, so that they may be
// dropped. A link that names data becomes pending first, so that collectors see it; then a mark of
// condemned data is looked for; only then it becomes live. One that is condemned is turned back: a
// manifest may rely on it. When publish returns, the link is not durable yet.
//
// Errors: errCondemned, and the link has been withdrawn.
func (s *Store) publish(ctx context.Context, repo string, d digest.Digest, want *link, how publishing) (named bool,
	err error) {
	for n := range attempts {
		if err := pause(ctx, n); err != nil {
			return named, err
		}
		cur := &link{}
		if n > 0 || !how.absent {
			if cur, err = s.readLink(ctx, repo, d); err != nil {
				return named, err
			}
		}
		// One that is hidden has named its data all the time, too. To write over it would take it
		// from a restore, if who does so dies or withdraws.
		if (cur.readable() || cur.State == hidden) && (!how.verify || s.present(ctx, cur)) {
			if cur.State != live || s.stale(cur.modTime) {
				if _, err = s.setLink(ctx, repo, d, cur, live); changed(err) {
					continue
				}
			}
			s.index(ctx, repo, d) // who wrote the link may have died before
			return named || slices.Equal(cur.Segments, want.Segments), wire(err)
		}
		l := &link{Size: want.Size, Segments: want.Segments, tail: want.tail, version: cur.version}
		if len(l.Segments) > 0 {
			if l, err = s.setLink(ctx, repo, d, l, pending); changed(err) {
				continue
			} else if err != nil {
				return named, wire(err)
			}
			if err := s.look(ctx, l); err != nil {
				return named, errors.Join(err, s.withdraw(ctx, repo, d, l))
			}
		}
		named = len(l.Segments) > 0
		// The entry in the index is a hint, so it may as well be there before the link.
		_ = parallel.Each(parallelism, 2, func(i int) error {
			if i == 0 {
				_, err = s.setLink(ctx, repo, d, l, live)
			} else {
				s.index(ctx, repo, d)
			}
			return nil
		})
		if changed(err) {
			continue
		} else if err != nil {
			return named, wire(err)
		}
		s.fresh.Add(linkKey(repo, d), struct{}{}, 1)
		return named, nil
	}
	return named, errContended
}

// present reports whether the data of a link are there, as far as can be known.
func (s *Store) present(ctx context.Context, l *link) bool {
	return parallel.Each(parallelism, len(l.Segments), func(i int) error {
		if lost, _ := s.lost(ctx, l.Segments[i]); lost {
			return errMissing
		}
		return nil
	}) == nil
}

// lost reports whether the data of a segment are not there, or cut short.
func (s *Store) lost(ctx context.Context, seg segment) (bool, error) {
	info, err := s.driver.Stat(ctx, dataKey(seg.Name))
	if errors.Is(err, driver.ErrNotExist) {
		return true, nil
	}
	return err == nil && info.Size != seg.Size, wire(err)
}

// look returns errCondemned if a collector has condemned any of the data a link names, which is
// pending: a mark is looked for, and then the data themselves, since the mark is gone again once
// they are. The other way round, both could go between the two looks.
func (s *Store) look(ctx context.Context, l *link) error {
	return parallel.Each(parallelism, len(l.Segments), func(i int) error {
		seg := l.Segments[i]
		_, err := s.driver.Stat(ctx, deadKey(seg.Name))
		if err == nil {
			return errCondemned
		}
		if !errors.Is(err, driver.ErrNotExist) {
			return wire(err)
		}
		lost, err := s.lost(ctx, seg)
		if lost {
			return errCondemned
		}
		return err
	})
}

// withdraw removes a link that has not become live, if nobody has changed it.
func (s *Store) withdraw(ctx context.Context, repo string, d digest.Digest, l *link) error {
	err := s.driver.Delete(ctx, linkKey(repo, d), l.version)
	if err == nil || errors.Is(err, driver.ErrNotExist) || errors.Is(err, driver.ErrChanged) {
		return nil
	}
	return wire(err)
}

// index notes that a repository has a blob, where mounts and deduplication look. It is a hint: that
// it fails harms nothing.
func (s *Store) index(ctx context.Context, repo string, d digest.Digest) {
	_, _ = s.driver.Put(ctx, indexKey(d, repo), nil, &driver.PutOptions{IfAbsent: true, Durability: driver.Relaxed})
}

// need makes sure that a blob stays in the repository for a manifest that is pending there, and
// returns its link. A link that a collector has condemned is turned back to live.
//
// Errors: errMissing.
func (s *Store) need(ctx context.Context, repo string, d digest.Digest) (*link, error) {
	for n := range attempts {
		if err := pause(ctx, n); err != nil {
			return nil, err
		}
		l, err := s.readLink(ctx, repo, d)
		if err != nil {
			return nil, err
		}
		switch {
		case l.State == live:
			return l, nil
		case !l.readable():
			return nil, errMissing
		}
		if l, err = s.setLink(ctx, repo, d, l, live); err == nil {
			return l, nil
		} else if !changed(err) {
			return nil, wire(err)
		}
	}
	return nil, errContended
}

// errMissing is that a manifest names something that the repository does not have.
var errMissing = errors.New("storage: not in the repository")

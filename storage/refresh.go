package storage

import (
	"context"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry"
)

// Who finds content in the storage, and does not send it, relies on its staying until a manifest
// names it. So a push, a mount, and a HEAD of who may push write the link or manifest again if it
// is old: its time is what a collection compares with the grace. Half of it is left to who came
// just before that.

// stale reports whether so much of the grace is over for what was put at t that who relies on it
// should put it again.
func (s *Store) stale(t time.Time) bool {
	return s.opts.Grace > 0 && !t.IsZero() && time.Since(t) > s.opts.Grace/2
}

// mayRefresh reports whether the caller of a Stat wants what is old refreshed, and may.
func mayRefresh(ctx context.Context, opts *registry.StatOptions, old bool) bool {
	return old && opts != nil && opts.Renew != nil && opts.Renew(ctx)
}

// refreshLink writes a link again, which takes the mark of a collector off, and returns it as it is
// then.
//
// Errors: registry.ErrBlobUnknown if it is gone by now.
func (s *Store) refreshLink(ctx context.Context, repo string, d digest.Digest, l *link) (*link, error) {
	for n := range attempts {
		if err := pause(ctx, n); err != nil {
			return nil, err
		}
		now, err := s.setLink(ctx, repo, d, l, live)
		if !changed(err) {
			return now, wire(err)
		}
		if l, err = s.readableLink(ctx, repo, d); err != nil {
			return nil, err
		}
		if l.State == live && !s.stale(l.modTime) {
			return l, nil
		}
	}
	return nil, errContended
}

// isWaning reports whether a collection may be about to take a manifest away.
func (s *Store) isWaning(m *manifestRecord) bool {
	return m.State == visible && s.stale(m.modTime) || m.State == deleting && m.Collected
}

// refreshManifest is refreshLink for a manifest that is waning. One that somebody deletes, or has
// deleted, is returned as it is.
func (s *Store) refreshManifest(ctx context.Context, repo string, d digest.Digest,
	m *manifestRecord) (*manifestRecord, error) {
	for n := range attempts {
		if err := pause(ctx, n); err != nil {
			return nil, err
		}
		now, err := s.setVisible(ctx, repo, d, m)
		if !changed(err) {
			return now, wire(err)
		}
		if m, err = s.readManifest(ctx, repo, d); err != nil || !s.isWaning(m) {
			return m, err
		}
	}
	return nil, errContended
}

package object

import (
	"context"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry/internal/manifest"
	"github.com/registrykit/registry/storage/driver"
)

// IsAwaitable reports whether a collection may put a record of the state Awaited in place of m: the
// manifest is absent, and nothing suggests that it is about to be pushed.
func (m *Manifest) IsAwaitable() bool { return m.State == Gone || m.State == Awaited }

// Descriptor returns the descriptor of m, whose digest is d.
func (m *Manifest) Descriptor(d digest.Digest) *ocispec.Descriptor {
	return &ocispec.Descriptor{MediaType: m.MediaType, Digest: d, Size: m.Size}
}

// References returns what a stored manifest names. An error means that the manifest cannot be
// parsed, although it could be parsed when it was pushed.
func References(m *Manifest) ([]manifest.Reference, error) {
	parsed, err := manifest.ParseStored(m.MediaType, m.Content)
	if err != nil {
		return nil, err
	}
	return parsed.References, nil
}

// KeepManifest takes the mark of a delete or a collection off a manifest that another manifest
// needs, and returns the new manifest. The delete then leaves the manifest alone, as one that has
// been pushed again. A manifest in another state is returned unchanged.
func (r Repo) KeepManifest(ctx context.Context, d digest.Digest) (*Manifest, error) {
	var err error
	for range Attempts(ctx, &err) {
		m, err := r.ReadManifest(ctx, d)
		if err != nil || m.State != Deleting {
			return m, err
		}
		now, err := r.SetVisible(ctx, d, m)
		if driver.IsConflict(err) {
			continue
		}
		if err == nil && !m.Collected {
			err = r.restoreReferrer(ctx, d, now)
		}
		return now, RegistryError(err)
	}
	return nil, err
}

// restoreReferrer writes the entry of the referrer m with its subject again: a delete may have
// removed the entry before the mark was taken off m. The entry goes with m if another delete has marked
// or removed m since.
func (r Repo) restoreReferrer(ctx context.Context, d digest.Digest, m *Manifest) error {
	if m.Subject == "" {
		return nil
	}
	parsed, err := manifest.ParseStored(m.MediaType, m.Content)
	if err != nil {
		return err // unexpected: it was parsed when it was pushed
	}
	info, err := r.PutReferrer(ctx, m.Subject, parsed.Descriptor(d, m.Size))
	if err != nil {
		return err
	}
	if err := r.SettlePointer(ctx, info.Key, d); err != nil {
		return err
	}
	return r.Driver.Sync(ctx, info.Key)
}

// SetVisible makes a manifest visible that still has the version of m, and returns the new
// manifest. It takes off the mark of a delete or a collection. The manifest counts as pushed now. It
// is not durable until Sync.
//
// Errors: driver.ErrChanged or driver.ErrExist if the manifest is another one now.
func (r Repo) SetVisible(ctx context.Context, d digest.Digest, m *Manifest) (*Manifest, error) {
	n := *m
	n.State, n.Nonce, n.Collected, n.Delete, n.Pushed = Visible, NewNonce(), false, "", time.Time{}
	var err error
	n.Version, err = r.Put(ctx, r.ManifestKey(d), m.Version, &n, m.Content, driver.Deferred)
	return &n, err
}

// RewriteManifest gives a manifest that still has the version of m a new version. Otherwise the
// manifest stays as it is, and so does its PushTime: nobody has pushed it. If the rewrite counted as
// a push, retention would take every manifest that a collection rewrites for one that a client has
// pushed again, and would let it stay.
//
// Errors: driver.ErrChanged or driver.ErrExist if the manifest is another one now.
func (r Repo) RewriteManifest(ctx context.Context, d digest.Digest, m *Manifest) error {
	n := *m
	n.Nonce, n.Pushed = NewNonce(), m.PushTime()
	_, err := r.Put(ctx, r.ManifestKey(d), m.Version, &n, m.Content, driver.Deferred)
	return err
}

// ReadManifest returns the current manifest. A manifest that is absent or cut short has the state
// Gone, and the version on which a Put replaces it.
func (r Repo) ReadManifest(ctx context.Context, d digest.Digest) (*Manifest, error) {
	return readRecord(ctx, r.Store, r.ManifestKey(d), DecodeManifest)
}

// DecodeManifest returns the manifest of the record b. A record that is cut short has the state
// Gone.
func DecodeManifest(b []byte, info driver.Info) *Manifest {
	m := &Manifest{}
	content, ok := Decode(b, m)
	if !ok || Checksum(content) != m.Sum || int64(len(content)) != m.Size || m.Subject != "" && !isDigest(m.Subject) {
		return &Manifest{Version: info.Version, ModTime: info.ModTime}
	}
	m.Content, m.Version, m.ModTime = content, info.Version, info.ModTime
	return m
}

// ExpiresSoon reports whether a collection, or a delete of an unused manifest, may be about to remove
// a manifest: the last push of m is older than half the grace period, or m has the mark of a
// collection.
func (s *Store) ExpiresSoon(m *Manifest) bool {
	return m.State == Visible && s.Stale(m.PushTime()) || m.State == Deleting && m.Collected
}

// TouchManifest writes a manifest for which ExpiresSoon is true again, and returns the new
// manifest. A manifest that a delete has marked or removed since is returned as it is.
func (r Repo) TouchManifest(ctx context.Context, d digest.Digest, m *Manifest) (*Manifest, error) {
	var err error
	for range Attempts(ctx, &err) {
		now, err := r.SetVisible(ctx, d, m)
		if !driver.IsConflict(err) {
			return now, RegistryError(err)
		}
		if m, err = r.ReadManifest(ctx, d); err != nil || !r.ExpiresSoon(m) {
			return m, err
		}
	}
	return nil, err
}

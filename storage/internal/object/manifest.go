package object

import (
	"context"
	"errors"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry/internal/manifest"
	"github.com/registrykit/registry/storage/driver"
)

// isAwaitable reports whether a collector may put a record of the state awaited in the place of m:
// there is nothing, nor will there soon be.
func (m *Manifest) IsAwaitable() bool { return m.State == Gone || m.State == Awaited }

// descriptor returns the descriptor of the manifest.
func (m *Manifest) Descriptor(d digest.Digest) *ocispec.Descriptor {
	return &ocispec.Descriptor{MediaType: m.MediaType, Digest: d, Size: m.Size}
}

// references returns what a manifest that is stored names.
func References(m *Manifest) ([]manifest.Reference, error) {
	parsed, err := manifest.ParseStored(m.MediaType, m.Content)
	if err != nil {
		return nil, err // it could be parsed when it was pushed
	}
	return parsed.References, nil
}

// unmark takes the mark of a delete off a manifest that another one needs, and returns it as it is
// then: the delete leaves that alone, as one that has been pushed again.
func (r Repo) KeepManifest(ctx context.Context, d digest.Digest) (*Manifest, error) {
	var err error
	for range Attempts(ctx, &err) {
		m, err := r.ReadManifest(ctx, d)
		if err != nil || m.State != Deleting {
			return m, err
		}
		now, err := r.SetVisible(ctx, d, m)
		if IsConflict(err) {
			continue
		}
		if err == nil && !m.Collected {
			err = r.restoreReferrer(ctx, d, now)
		}
		return now, RegistryError(err)
	}
	return nil, err
}

// enter writes the entry of a referrer with its subject again, which a delete may have removed
// before the mark was taken off. Unless another delete has come meanwhile, whoever looks finds it.
func (r Repo) restoreReferrer(ctx context.Context, d digest.Digest, m *Manifest) error {
	if m.Subject == "" {
		return nil
	}
	parsed, err := manifest.ParseStored(m.MediaType, m.Content)
	if err != nil {
		return err // it could be parsed when it was pushed
	}
	info, err := r.PutReferrer(ctx, m.Subject, parsed.Descriptor(d, m.Size))
	if err != nil {
		return err
	}
	if m, err = r.ReadManifest(ctx, d); err != nil {
		return err
	} else if m.Absent() {
		return r.RemoveIfUnchanged(ctx, info.Key, info.Version)
	}
	return r.Driver.Sync(ctx, info.Key)
}

// setVisible makes a manifest visible that is known as m, and returns it as it is then.
//
// Errors: ErrChanged if it is another by now.
func (r Repo) SetVisible(ctx context.Context, d digest.Digest, m *Manifest) (*Manifest,
	error) {
	n := *m
	n.State, n.Nonce, n.Collected, n.Delete = Visible, NewNonce(), false, ""
	var err error
	n.Version, err = r.Put(ctx, r.ManifestKey(d), m.Version, &n, m.Content, driver.Deferred)
	return &n, err
}

// readManifest returns a manifest as it is now. One that is absent or cut short has the state gone,
// and the version to be named by a Put that replaces it.
func (r Repo) ReadManifest(ctx context.Context, d digest.Digest) (*Manifest, error) {
	b, info, err := r.Read(ctx, r.ManifestKey(d))
	if errors.Is(err, driver.ErrNotExist) {
		return &Manifest{}, nil
	}
	if err != nil {
		return nil, RegistryError(err)
	}
	return DecodeManifest(b, info), nil
}

// decodeManifest returns a manifest as the object b tells it.
func DecodeManifest(b []byte, info driver.Info) *Manifest {
	m := &Manifest{}
	content, ok := Decode(b, m)
	if !ok || Checksum(content) != m.Sum || int64(len(content)) != m.Size || m.Subject != "" && !isDigest(m.Subject) {
		return &Manifest{Version: info.Version, ModTime: info.ModTime}
	}
	m.Content, m.Version, m.ModTime = content, info.Version, info.ModTime
	return m
}

// isWaning reports whether a collection may be about to take a manifest away.
func (s *Store) ExpiresSoon(m *Manifest) bool {
	return m.State == Visible && s.Stale(m.ModTime) || m.State == Deleting && m.Collected
}

// refreshManifest is refreshLink for a manifest that is waning. One that somebody deletes, or has
// deleted, is returned as it is.
func (r Repo) TouchManifest(ctx context.Context, d digest.Digest,
	m *Manifest) (*Manifest, error) {
	var err error
	for range Attempts(ctx, &err) {
		now, err := r.SetVisible(ctx, d, m)
		if !IsConflict(err) {
			return now, RegistryError(err)
		}
		if m, err = r.ReadManifest(ctx, d); err != nil || !r.ExpiresSoon(m) {
			return m, err
		}
	}
	return nil, err
}

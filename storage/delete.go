package storage

import (
	"context"
	"errors"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/reference"
)

// DeleteBlob implements [registry.Deleter]. The bytes remain where they are until they are collected, as another repository may
// share them. That a manifest of the repository names the blob does not keep it from being deleted.
func (s *Store) DeleteBlob(ctx context.Context, repo string, d digest.Digest) error {
	if err := checkBlob(repo, d); err != nil {
		return err
	}
	for n := range attempts {
		if err := pause(ctx, n); err != nil {
			return err
		}
		l, err := s.readLink(ctx, repo, d)
		if err != nil {
			return err
		}
		if !l.readable() {
			return registry.ErrBlobUnknown.WithDetail(map[string]string{"digest": string(d)})
		}
		if err := s.removeLink(ctx, repo, d, l); !changed(err) {
			return errors.Join(wire(err), s.sync(ctx, err, linkKey(repo, d)))
		}
	}
	return errContended
}

// removeLink removes a link that is still as it was read, and what points to it.
//
// Errors: ErrChanged if it is not.
func (s *Store) removeLink(ctx context.Context, repo string, d digest.Digest, l *link) error {
	if err := s.remove(ctx, indexKey(d, repo), ""); err != nil {
		return err
	}
	return s.remove(ctx, linkKey(repo, d), l.version)
}

// remove deletes an object that may be gone already.
//
// Errors: ErrChanged if it has not the version given.
func (s *Store) remove(ctx context.Context, key, version string) error {
	err := s.driver.Delete(ctx, key, version)
	if errors.Is(err, ErrNotExist) {
		return nil
	}
	return err
}

// sync makes deletes durable, unless they have failed with err.
func (s *Store) sync(ctx context.Context, err error, keys ...string) error {
	if err != nil {
		return nil
	}
	return wire(s.driver.Sync(ctx, keys...))
}

// DeleteManifest implements [registry.Deleter]. Of a manifest, the tags and its entry with its subject go with it.
func (s *Store) DeleteManifest(ctx context.Context, repo string, ref reference.Ref) error {
	if err := checkRef(repo, ref); err != nil {
		return err
	}
	// Once begun, it is brought to its end.
	ctx = context.WithoutCancel(ctx)
	if ref.Tag != "" {
		return s.deleteTag(ctx, repo, ref.Tag)
	}
	return s.deleteManifest(ctx, repo, ref.Digest)
}

func (s *Store) deleteTag(ctx context.Context, repo, tag string) error {
	for n := range attempts {
		if err := pause(ctx, n); err != nil {
			return err
		}
		t, err := s.readTag(ctx, repo, tag)
		if err != nil {
			return err
		}
		err = s.driver.Delete(ctx, tagKey(repo, tag), t.version)
		if errors.Is(err, ErrNotExist) {
			return manifestUnknown(reference.Ref{Tag: tag})
		}
		if !changed(err) {
			return errors.Join(wire(err), s.sync(ctx, err, tagKey(repo, tag)))
		}
	}
	return errContended
}

// deleteManifest turns the manifest into a tombstone, from which moment it is not in the repository any more; then it removes what
// leads to it; then the tombstone. A push of the same manifest that writes a tag meanwhile either did so before there was a tombstone,
// and its tag is found here, or sees the tombstone afterwards and begins again. A delete that died half-way is finished by the next.
func (s *Store) deleteManifest(ctx context.Context, repo string, d digest.Digest) error {
	key := manifestKey(repo, d)
	for n := range attempts {
		if err := pause(ctx, n); err != nil {
			return err
		}
		m, err := s.readManifest(ctx, repo, d)
		if err != nil {
			return err
		}
		if m.State == pending || m.version == "" {
			return manifestUnknown(reference.Ref{Digest: d})
		}
		existed := m.State == visible
		if existed {
			tombstone := &manifestRecord{State: gone, Nonce: nonce(), MediaType: m.MediaType, Subject: m.Subject}
			version, err := s.put(ctx, key, m.version, tombstone, nil, Deferred)
			if changed(err) {
				continue
			}
			if err != nil {
				return wire(err)
			}
			m.version = version
		}
		keys, err := s.removePointers(ctx, repo, d, m.Subject)
		if err != nil {
			return err
		}
		if err := s.remove(ctx, key, m.version); err != nil && !changed(err) {
			return wire(err)
		}
		if !existed {
			return manifestUnknown(reference.Ref{Digest: d})
		}
		return wire(s.driver.Sync(ctx, append(keys, key)...))
	}
	return errContended
}

// removePointers removes the tags that point at a manifest, their back references, and its entry with its subject, and returns their keys.
// Each is removed as it was seen only: what a push has written again stays.
func (s *Store) removePointers(ctx context.Context, repo string, d, subject digest.Digest) ([]string, error) {
	var keys []string
	var infos []Info
	for info, err := range s.driver.List(ctx, backrefPrefix(repo, d), nil) {
		if err != nil {
			return nil, wire(err)
		}
		infos = append(infos, info)
	}
	if subject != "" {
		info, err := s.driver.Stat(ctx, referrerKey(repo, subject, d))
		if err == nil {
			infos = append(infos, info)
		} else if !errors.Is(err, ErrNotExist) {
			return nil, wire(err)
		}
	}
	backrefs := backrefPrefix(repo, d)
	err := inParallel(len(infos), func(i int) error {
		key := infos[i].Key
		if len(key) > len(backrefs) && key[:len(backrefs)] == backrefs {
			if err := s.untag(ctx, repo, key[len(backrefs):], d); err != nil {
				return err
			}
		}
		if err := s.remove(ctx, key, infos[i].Version); err != nil && !changed(err) {
			return wire(err)
		}
		return nil
	})
	for _, info := range infos {
		keys = append(keys, info.Key)
		if len(info.Key) > len(backrefs) && info.Key[:len(backrefs)] == backrefs {
			keys = append(keys, tagKey(repo, info.Key[len(backrefs):]))
		}
	}
	return keys, err
}

// untag removes a tag if it points at the manifest d.
func (s *Store) untag(ctx context.Context, repo, tag string, d digest.Digest) error {
	for n := range attempts {
		if err := pause(ctx, n); err != nil {
			return err
		}
		t, err := s.readEntry(ctx, tagKey(repo, tag))
		if err != nil || t.version == "" || t.Descriptor.Digest != d {
			return err
		}
		if err := s.remove(ctx, tagKey(repo, tag), t.version); !changed(err) {
			return wire(err)
		}
	}
	return errContended
}

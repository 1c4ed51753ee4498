package object

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry/internal/parallel"
	"github.com/registrykit/registry/storage/driver"
)

// RawLink returns the link of a blob as it is stored, whatever its sizes and checksum say. ok is false
// if the record is absent or its header cannot be read. A record that is there has a version.
func (r Repo) RawLink(ctx context.Context, d digest.Digest) (l *Link, ok bool, err error) {
	l = &Link{}
	b, info, err := r.Read(ctx, r.LinkKey(d))
	if errors.Is(err, driver.ErrNotExist) {
		return l, false, nil
	}
	if err != nil {
		return nil, false, RegistryError(err)
	}
	l.Tail, ok = Decode(b, l)
	l.Version, l.ModTime = info.Version, info.ModTime
	return l, ok, nil
}

// RawManifest returns a manifest as it is stored, whatever its size and checksum say. The header is
// zero if it cannot be read: Content is then what follows the first line, or the whole record if it has
// only one line. A record that is there has a version.
func (r Repo) RawManifest(ctx context.Context, d digest.Digest) (*Manifest, error) {
	b, info, err := r.Read(ctx, r.ManifestKey(d))
	if errors.Is(err, driver.ErrNotExist) {
		return &Manifest{}, nil
	}
	if err != nil {
		return nil, RegistryError(err)
	}
	m := &Manifest{}
	content, ok := Decode(b, m)
	if !ok {
		m = &Manifest{}
		for i, c := range b {
			if c == '\n' {
				content = b[i+1:]
				break
			}
		}
	}
	m.Content, m.Version, m.ModTime = content, info.Version, info.ModTime
	return m, nil
}

// DataID returns the identity of the bytes that a link names. Links with the same DataID have the same
// bytes. It never panics, also for a link that is damaged.
func (l *Link) DataID() [sha256.Size]byte {
	h := sha256.New()
	_ = json.NewEncoder(h).Encode(l.Segments) // a hash accepts everything
	h.Write(l.Tail)
	return [sha256.Size]byte(h.Sum(nil))
}

// Condemn writes durable tombstones for segments that must not be shared any more, because their bytes
// are damaged. A segment whose data do not exist, or whose name is damaged, gets none. From now on, no
// new link to the segments becomes live, see Publish. Links that are live stay so.
func (s *Store) Condemn(ctx context.Context, segments []Segment) error {
	return parallel.Each(Parallelism, len(segments), func(i int) error {
		if !driver.ValidKey(DataKey(segments[i].Name)) {
			return nil
		}
		_, err := s.Driver.Stat(ctx, DataKey(segments[i].Name))
		if errors.Is(err, driver.ErrNotExist) {
			return nil
		}
		key := DeadKey(segments[i].Name)
		if err == nil {
			_, err = s.Driver.Put(ctx, key, nil, &driver.PutOptions{IfAbsent: true, Durability: driver.Deferred})
		}
		if errors.Is(err, driver.ErrExist) {
			err = nil
		}
		if err == nil {
			err = s.Driver.Sync(ctx, key)
		}
		return RegistryError(err)
	})
}

// RestoreReferrer writes the entry of the referrer m with its subject again, and removes it again if m
// has been removed since.
func (r Repo) RestoreReferrer(ctx context.Context, d digest.Digest, m *Manifest) error {
	return r.restoreReferrer(ctx, d, m)
}

// HintKey returns the key of the hint of the referrer d of subject.
func (r Repo) HintKey(subject, d digest.Digest, artifactType string) string {
	return r.typeKey(subject, d, artifactType)
}

// WithoutHistory returns a Store whose operations write no events. It shares everything else with s.
func (s *Store) WithoutHistory() *Store {
	over := *s
	over.History = 0
	return &over
}

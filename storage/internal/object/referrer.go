package object

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry/internal/objectkey"
	"github.com/registrykit/registry/internal/parallel"
	"github.com/registrykit/registry/storage/driver"
)

// ReferrersAtOnce is the maximum number of entries of referrers that are read at the same time.
const ReferrersAtOnce = 64

// ReleaseReferrers takes the marks of collections off the referrers of a subject that is awaited,
// and removes the entries of referrers that are gone. A push of the subject calls it before it
// writes the subject, so that no collection removes a referrer of a subject that is there. The
// model is internal/model/refs.pml.
func (r Repo) ReleaseReferrers(ctx context.Context, subject digest.Digest) error {
	for batch, err := range Batches(r.Driver.List(ctx, r.ReferrerPrefix(subject), nil), ReferrersAtOnce) {
		if err != nil {
			return err
		}
		err := parallel.Each(Parallelism, len(batch), func(i int) error { return r.releaseReferrer(ctx, batch[i]) })
		if err != nil {
			return err
		}
	}
	return nil
}

// releaseReferrer is ReleaseReferrers for the referrer of one entry.
func (r Repo) releaseReferrer(ctx context.Context, entry driver.Info) error {
	d := objectkey.PathDigest(entry.Key)
	if d == "" {
		return nil
	}
	var err error
	for range Attempts(ctx, &err) {
		m, err := r.ReadManifest(ctx, d)
		switch {
		case err != nil:
			return err
		case m.Absent():
			return r.RemoveIfUnchanged(ctx, entry.Key, entry.Version)
		case m.State != Deleting || !m.Collected:
			return nil
		}
		if _, err := r.SetVisible(ctx, d, m); !driver.IsConflict(err) {
			return RegistryError(err)
		}
	}
	return err
}

// PutAwaited puts a record of the state Awaited in place of a manifest, and returns its version. It
// returns "" if the manifest is there or pending. Whoever removes a referrer of an absent subject
// calls it after it has marked the referrer: either a push of the subject finds the record and takes
// the mark off, or the referrer is gone before the subject came. The model is
// internal/model/refs.pml, inline await.
func (r Repo) PutAwaited(ctx context.Context, d digest.Digest) (version string, err error) {
	current := &Manifest{} // most likely still absent
	for n := range Attempts(ctx, &err) {
		if n > 0 {
			if current, err = r.ReadManifest(ctx, d); err != nil {
				return "", err
			}
		}
		if !current.IsAwaitable() {
			return "", nil
		}
		// An Awaited record that is already there is written again: a push that has found it may
		// have taken the marks off before the caller set its own.
		m := &Manifest{State: Awaited, Nonce: NewNonce(), Sum: Checksum(nil)}
		version, err = r.Put(ctx, r.ManifestKey(d), current.Version, m, nil, driver.Relaxed)
		if !driver.IsConflict(err) {
			return version, RegistryError(err)
		}
	}
	return "", err
}

// RemoveAwaited takes the marks off the referrers of a subject, and then removes its Awaited record
// on a version.
func (r Repo) RemoveAwaited(ctx context.Context, subject digest.Digest, version string) error {
	if err := r.ReleaseReferrers(ctx, subject); err != nil {
		return err
	}
	return r.RemoveIfUnchanged(ctx, r.ManifestKey(subject), version)
}

// PutReferrer writes the entry of a referrer with its subject, and its hint. It returns the Info of
// the entry. The entry is not durable until Sync.
func (r Repo) PutReferrer(ctx context.Context, subject digest.Digest,
	desc ocispec.Descriptor) (info driver.Info, err error) {
	err = r.Each(2, func(i int) (err error) {
		if i == 0 {
			info, err = r.Overwrite(ctx, r.ReferrerKey(subject, desc.Digest), &Entry{Nonce: NewNonce(), Descriptor: desc})
		} else {
			r.PutHint(ctx, subject, desc)
		}
		return err
	})
	return info, err
}

// PutHint writes the hint of a referrer. Filters work without hints, so PutHint ignores errors.
func (r Repo) PutHint(ctx context.Context, subject digest.Digest, desc ocispec.Descriptor) {
	b, err := Encode(&Mark{Nonce: NewNonce()}, nil)
	if err != nil {
		return
	}
	key := r.typeKey(subject, desc.Digest, desc.ArtifactType)
	_, _ = r.Driver.Put(ctx, key, bytes.NewReader(b), &driver.PutOptions{Durability: driver.Relaxed, Size: int64(len(b))})
}

// TypeID stands for an artifact type in a key. Types with the same ID are told apart by the
// entries.
func TypeID(artifactType string) string {
	sum := sha256.Sum256([]byte(artifactType))
	return hex.EncodeToString(sum[:8])
}

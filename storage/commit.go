package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/internal/object"
)

// Commit implements [registry.Upload]. It compares the digests before it publishes the blob. An
// upload that does not match is ended, unless another request has begun to commit it.
func (u *upload) Commit(ctx context.Context, d digest.Digest, last *registry.Chunk,
	also ...digest.Digest) (ocispec.Descriptor, error) {
	digests := append([]digest.Digest{d}, also...)
	for _, d := range digests {
		if err := reference.CheckDigest(string(d)); err != nil {
			return ocispec.Descriptor{}, registry.ErrDigestInvalid.WithMessage(err.Error())
		}
	}
	if u.rec.State == cancelled {
		return ocispec.Descriptor{}, registry.ErrUploadUnknown
	}
	u.contested = u.rec.State == committing
	if last != nil {
		_, err := u.add(ctx, last.Offset, last.Length, last.Body, committing)
		u.contested = errors.Is(err, errCommitting)
		if err != nil && !u.contested {
			return ocispec.Descriptor{}, err
		}
	}
	ctx = context.WithoutCancel(ctx)
	if u.alone {
		done, err := u.begin(ctx)
		if err != nil {
			return ocispec.Descriptor{}, err
		}
		defer done()
	}
	wrong, err := u.mismatch(ctx, digests)
	if err == nil && wrong != "" && u.assumed && !u.alone {
		// Another process may have added to the upload.
		if err = u.load(ctx); err == nil {
			u.contested = u.rec.State == committing
			wrong, err = u.mismatch(ctx, digests)
		}
	}
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	if wrong != "" {
		if err := u.endMismatched(ctx); err != nil {
			return ocispec.Descriptor{}, err
		}
		return ocispec.Descriptor{}, registry.ErrDigestInvalid.WithDetail(map[string]string{"digest": string(wrong)})
	}
	if err := u.commit(ctx, d); err != nil {
		return ocispec.Descriptor{}, err
	}
	return blobDescriptor(d, u.rec.Size), nil
}

// begin keeps other requests to this process from committing the upload alone as well, until done. An
// upload of which each request has all bytes may be committed by several processes: each publishes what
// it has received.
//
// Errors: registry.ErrRangeInvalid, as if the other request had written a record; registry.ErrUploadUnknown.
func (u *upload) begin(ctx context.Context) (done func(), err error) {
	s := u.repo.store
	if _, busy := s.committing.LoadOrStore(u.id.random, struct{}{}); busy {
		err = registry.ErrRangeInvalid
	} else if _, ended := s.ended.Get(u.id.random); ended {
		s.committing.Delete(u.id.random)
		err = registry.ErrUploadUnknown
	}
	if err != nil {
		if !u.contested {
			u.repo.DropSegments(ctx, u.rec.Segments)
		}
		return nil, err
	}
	return func() { s.committing.Delete(u.id.random) }, nil
}

// endMismatched ends an upload whose bytes do not have the digest of the commit. If others change the
// upload at the same time, it is left to them.
//
// Errors: registry.ErrRangeInvalid and ErrUploadUnknown as change, if all bytes came with the commit and
// others have begun the upload with other bytes.
func (u *upload) endMismatched(ctx context.Context) error {
	if u.contested {
		return nil
	}
	segments := u.rec.Segments
	err := u.end(ctx)
	if err != nil && u.alone {
		u.repo.DropSegments(ctx, segments)
		u.alone = false
		if driver.IsConflict(err) {
			if err = u.load(ctx); err == nil {
				err = registry.ErrRangeInvalid
			}
		}
	}
	if driver.IsConflict(err) {
		return nil
	}
	return object.RegistryError(err)
}

// mismatch returns the first of digests that is not the digest of the received bytes, or "" if all
// of them match.
func (u *upload) mismatch(ctx context.Context, digests []digest.Digest) (wrong digest.Digest, err error) {
	for _, d := range digests {
		if got, err := u.digest(ctx, d.Algorithm()); err != nil || got != d {
			return d, err
		}
	}
	return "", nil
}

// digest returns the digest of the received bytes. It reads the bytes again only if alg is not the
// algorithm that the upload announced.
func (u *upload) digest(ctx context.Context, alg digest.Algorithm) (digest.Digest, error) {
	if alg == u.rec.Algorithm {
		return u.Digest()
	}
	b := u.repo.newBody(ctx, "", u.link())
	h := alg.Hash()
	_, err := io.Copy(h, b)
	if cerr := b.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return "", fmt.Errorf("storage: reading an upload again: %w", object.RegistryError(err))
	}
	return digest.NewDigest(alg, h), nil
}

// link returns the link that a blob of the received bytes would have.
func (u *upload) link() *object.Link {
	return &object.Link{State: object.Live, Size: u.rec.Size, Segments: u.rec.Segments, Tail: u.rec.tail}
}

// commit makes the received bytes the blob d of the repository, and removes the record of the
// upload.
//
// Errors: registry.ErrUploadUnknown.
func (u *upload) commit(ctx context.Context, d digest.Digest) error {
	l := u.link()
	var named bool
	var err error
	if len(l.Segments) == 0 {
		_, err = u.repo.Publish(ctx, d, l, object.Publishing{Verify: true, Absent: true})
	} else {
		named, err = u.publishData(ctx, d, l)
	}
	if errors.Is(err, object.ErrCondemned) {
		// The record had expired, and a collection has removed the bytes.
		return registry.ErrUploadUnknown.WithCause(err)
	}
	if err != nil {
		return err
	}
	if err := u.repo.Driver.Sync(ctx, u.repo.LinkKey(d)); err != nil {
		return object.RegistryError(err)
	}
	removed, err := u.removeRecord(ctx)
	// After the removal, or without a record, no other request can publish the bytes. The request that
	// contested the commit may already have done so.
	if (removed || u.alone) && !named && !u.contested {
		u.repo.DropSegments(ctx, l.Segments)
	}
	return err
}

// removeRecord removes the record of a committed upload. It reports whether this request has
// removed the record in the state from which it committed. Only then may the caller drop bytes that
// no link has named, because no other request can make a link name them any more.
//
// If the first write of the record is unconfirmed, the record stays until it expires. Otherwise
// that write could create the record again while a link names its bytes.
//
// Errors: registry.ErrUploadUnknown if another process has cancelled the upload, and this process
// did not know.
func (u *upload) removeRecord(ctx context.Context) (removed bool, err error) {
	assumed, version := u.assumed, u.rec.version
	u.markEnded()
	if version == "" || u.id.firstUnconfirmed && len(u.rec.Segments) > 0 {
		return false, nil
	}
	err = u.repo.Driver.Delete(ctx, u.key(), version)
	if assumed && errors.Is(err, driver.ErrChanged) {
		b, _, err := u.repo.Read(ctx, u.key())
		var r uploadRecord
		if _, ok := object.Decode(b, &r); err == nil && ok && r.State == cancelled {
			return false, registry.ErrUploadUnknown
		}
	}
	return err == nil, nil
}

// claim keeps other requests from adding to the upload, and from dropping its bytes, while they
// become a blob. If the process that holds a claim dies, the next Commit takes the claim over.
//
// Errors: as change.
func (u *upload) claim(ctx context.Context) error {
	r := u.rec
	r.State = committing
	return u.change(ctx, r)
}

// publishData publishes a blob whose bytes are in data objects. If a repository already has the
// same blob, the link names its bytes, otherwise those of the upload. named reports whether any key
// may have named the bytes of the upload; if not, they can be dropped.
//
// The upload is claimed first, unless this request has done so with its last chunk, or no other
// request knows of the bytes.
func (u *upload) publishData(ctx context.Context, d digest.Digest, l *object.Link) (named bool, err error) {
	sources, err := u.claimAndSearch(ctx, d)
	if err != nil {
		return false, err
	}
	if from, err := u.repo.share(ctx, d, sources); err == nil {
		// The shared link may name the bytes of this very upload. If the response to the first
		// write was lost, others may have committed the upload before that record was written
		// again.
		return slices.Equal(from.Segments, l.Segments), nil
	} else if !errors.Is(err, object.ErrMissing) {
		return false, err
	}
	keys := make([]string, len(l.Segments))
	for i, seg := range l.Segments {
		keys[i] = object.DataKey(seg.Name)
	}
	// A reader of a live link relies on the data, so the data must be durable first.
	if err := u.repo.Driver.Sync(ctx, keys...); err != nil {
		return false, object.RegistryError(err)
	}
	return u.repo.Publish(ctx, d, l, object.Publishing{Verify: true, Absent: !slices.Contains(sources, u.repo.Name)})
}

// claimAndSearch claims the upload if necessary, and returns repositories that may have the blob.
// It does both at the same time, because nothing is done with the result before the claim.
func (u *upload) claimAndSearch(ctx context.Context, d digest.Digest) (sources []string, err error) {
	claimed := u.rec.State == committing && !u.contested
	err = u.repo.Each(2, func(i int) (err error) {
		if i == 0 {
			sources, err = u.repo.store.sources(ctx, d)
		} else if !claimed {
			err = u.claim(ctx)
		}
		return err
	})
	return sources, err
}

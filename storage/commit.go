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
	"github.com/registrykit/registry/internal/parallel"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/internal/object"
)

// Commit implements [registry.Upload].
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
	taken := u.rec.State == committing // from somebody else, who may not be done with it
	if last != nil {
		_, err := u.add(ctx, last.Offset, last.Length, last.Body, committing)
		taken = errors.Is(err, errCommitting)
		if err != nil && !taken {
			return ocispec.Descriptor{}, err
		}
	}
	ctx = context.WithoutCancel(ctx)
	wrong, err := u.mismatch(ctx, digests)
	if err == nil && wrong != "" && u.assumed {
		// Somebody else may have added to it.
		if err = u.load(ctx); err == nil {
			taken = u.rec.State == committing
			wrong, err = u.mismatch(ctx, digests)
		}
	}
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	if wrong != "" {
		if !taken {
			if err := u.end(ctx); err != nil && !object.IsConflict(err) {
				return ocispec.Descriptor{}, object.RegistryError(err)
			}
		}
		return ocispec.Descriptor{}, registry.ErrDigestInvalid.WithDetail(map[string]string{"digest": string(wrong)})
	}
	if err := u.commit(ctx, d, taken); err != nil {
		return ocispec.Descriptor{}, err
	}
	return blobDescriptor(d, u.rec.Size), nil
}

// mismatch returns the first of digests that what has been received does not have, "" if it has
// all.
func (u *upload) mismatch(ctx context.Context, digests []digest.Digest) (wrong digest.Digest, err error) {
	for _, d := range digests {
		if got, err := u.digest(ctx, d.Algorithm()); err != nil || got != d {
			return d, err
		}
	}
	return "", nil
}

// digest is the digest of what has been received. Only if the algorithm is not the one that was
// announced, the bytes are read again.
func (u *upload) digest(ctx context.Context, alg digest.Algorithm) (digest.Digest, error) {
	if alg == u.rec.Algorithm {
		h, err := u.rec.restoreHash()
		if err != nil {
			return "", err
		}
		return digest.NewDigest(alg, h), nil
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

// link is the link that the bytes received so far would have.
func (u *upload) link() *object.Link {
	return &object.Link{State: object.Live, Size: u.rec.Size, Segments: u.rec.Segments, Tail: u.rec.tail}
}

// commit makes the bytes received the blob d of the repository. taken says that somebody else has
// begun to do so.
func (u *upload) commit(ctx context.Context, d digest.Digest, taken bool) error {
	l := u.link()
	var err error
	named := taken // who takes over does not know whether the other has made the data known
	if len(l.Segments) == 0 {
		_, err = u.repo.Publish(ctx, d, l, object.Publishing{Verify: true, Absent: true})
	} else {
		var now bool
		now, err = u.publish(ctx, d, l, taken || u.rec.State != committing)
		named = named || now
	}
	if errors.Is(err, object.ErrCondemned) {
		// The record had expired, and the bytes went with it.
		return registry.ErrUploadUnknown.WithCause(err)
	}
	if err != nil {
		return err
	}
	if err := u.repo.Driver.Sync(ctx, u.repo.LinkKey(d)); err != nil {
		return object.RegistryError(err)
	}
	return u.conclude(ctx, l.Segments, named)
}

// conclude removes the record of an upload that has been committed. Whoever removes it, in the
// state it was committed from, owns bytes that no key has named: nobody else can name them then.
// Where the caller is unsure of the first record, it stays until it expires, so that the first
// cannot be there again when a link names its bytes.
//
// Errors: registry.ErrUploadUnknown if it was cancelled elsewhere, while this process still knew it
// as it was.
func (u *upload) conclude(ctx context.Context, segments []object.Segment, named bool) error {
	assumed, version := u.assumed, u.rec.version
	u.markEnded()
	if version == "" || u.id.firstUnconfirmed && len(segments) > 0 {
		return nil
	}
	err := u.repo.Driver.Delete(ctx, u.key(), version)
	switch {
	case err == nil && !named:
		u.repo.DropSegments(ctx, segments)
	case assumed && errors.Is(err, driver.ErrChanged):
		b, _, err := u.repo.Read(ctx, u.key())
		var r uploadRecord
		if _, ok := object.Decode(b, &r); err == nil && ok && r.State == cancelled {
			return registry.ErrUploadUnknown
		}
	}
	return nil
}

// claim keeps others from adding to the upload, and from dropping its bytes, while they become a
// blob. A claim whose owner died is taken over by the next.
func (u *upload) claim(ctx context.Context) error {
	r := u.rec
	r.State = committing
	err := u.save(ctx, r)
	if !object.IsConflict(err) {
		return object.RegistryError(err)
	}
	if err := u.load(ctx); err != nil {
		return err
	}
	return registry.ErrRangeInvalid
}

// publish makes the blob known: with the bytes that a repository has already, if there is one, else
// with those of the upload, which is claimed first if claim says so. named is false if no key has
// named these.
func (u *upload) publish(ctx context.Context, d digest.Digest, l *object.Link, claim bool) (named bool, err error) {
	// Who has the content already can be looked up meanwhile: nothing is done with it before the
	// claim.
	var sources []string
	err = parallel.Each(object.Parallelism, 2, func(i int) (err error) {
		if i == 0 {
			sources, err = u.repo.store.sources(ctx, d, shareSearch)
		} else if claim {
			err = u.claim(ctx)
		}
		return err
	})
	if err != nil {
		return false, err
	}
	if from, err := u.repo.share(ctx, d, sources); err == nil {
		// Where the answer to the first record was lost, others may have committed the upload
		// before that was written again.
		return slices.Equal(from.Segments, l.Segments), nil
	} else if !errors.Is(err, object.ErrMissing) {
		return false, err
	}
	keys := make([]string, len(l.Segments))
	for i, seg := range l.Segments {
		keys[i] = object.DataKey(seg.Name)
	}
	// Whoever sees the link live relies on the data: these must be durable first.
	if err := u.repo.Driver.Sync(ctx, keys...); err != nil {
		return false, object.RegistryError(err)
	}
	return u.repo.Publish(ctx, d, l, object.Publishing{Verify: true, Absent: !slices.Contains(sources, u.repo.Name)})
}

package storage

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/options"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/internal/object"
)

// AdoptOptions are the options of [Store.AdoptBlob]. nil means the zero AdoptOptions.
type AdoptOptions struct {
	// NoLink excludes hard links, see driver.AdoptOptions.NoLink. Default: false.
	NoLink bool
	// DryRun changes nothing. AdoptBlob then only returns how the driver would take over the source;
	// it does not look whether a repository has the blob. Default: false.
	DryRun bool
}

// AdoptBlob adds a blob to a repository whose bytes are in the storage already, such as a layer of
// another registry in the same file system. The driver takes the bytes over by a link, a clone or a copy
// of its own; they do not pass through the process. size is the size of the blob in bytes. The type of
// source is that of the driver, see [driver.Adopter]: for storage/disk, an *os.File.
//
// AdoptBlob does not read the bytes. The caller vouches that they have the digest, and that nothing
// writes to them in place.
//
// The result says how the bytes were taken over. It is "" if the storage has the same blob already:
// the new link then shares its bytes, and the source is not needed.
//
// Errors: errors.ErrUnsupported if the driver cannot take over the source, or the blob is so small
// that its bytes belong into its link: the caller uses registry.PushBlob. registry.ErrSizeInvalid if the
// source has another size. registry.ErrUploadUnknown if a collection was faster, which takes longer than
// Options.UploadTTL. Those of [registry.Upload].Commit.
func (s *Store) AdoptBlob(ctx context.Context, repo string, d digest.Digest, size int64, source any,
	opts *AdoptOptions) (driver.Adoption, error) {
	if err := checkBlob(repo, d); err != nil {
		return "", err
	}
	o := options.Value(opts)
	adopter, ok := s.objects.Driver.(driver.Adopter)
	limit := s.objects.Driver.MaxObjectSize()
	if !ok || size <= InlineSize || limit > 0 && size > limit {
		return "", fmt.Errorf("storage: the driver cannot take over these bytes: %w", errors.ErrUnsupported)
	}
	take := &driver.AdoptOptions{NoLink: o.NoLink, DryRun: o.DryRun}
	a := &adoption{upload: s.newAdoption(repo, d.Algorithm()), driver: adopter, opts: take}
	if o.DryRun {
		_, how, err := adopter.Adopt(ctx, object.DataKey(a.segmentName()), source, take)
		return how, object.RegistryError(err)
	}
	return a.run(ctx, d, size, source)
}

// adoption is an upload whose only segment is made by the driver. It goes through the states of an
// upload that is being committed, so collections and crashes meet nothing that they do not know:
//
//  1. The record of the upload is written as committing, and names a segment that does not exist yet.
//     From now on, collections leave the segment alone, however old the bytes of the source are.
//  2. The driver makes the segment.
//  3. The commit of an upload: share the bytes of another repository, or sync the segment and publish
//     the link; then remove the record.
//
// If the process dies, the record expires and a collection removes the segment.
type adoption struct {
	*upload
	driver driver.Adopter
	opts   *driver.AdoptOptions
}

// newAdoption returns an upload that no client knows. It counts for no owner.
func (s *Store) newAdoption(repo string, alg digest.Algorithm) *upload {
	u := &upload{repo: s.repo(repo), owner: adopting, id: newUploadID(alg)}
	u.reset()
	return u
}

// adopting is the owner of uploads by AdoptBlob: no identity has a name with a control character.
const adopting = "\x00adopt"

// segmentName returns a new name of a segment of the upload.
func (u *upload) segmentName() string {
	var random [8]byte
	rand.Read(random[:])
	return fmt.Sprintf("%s.%x", u.id.name(), random)
}

func (a *adoption) run(cancellable context.Context, d digest.Digest, size int64, source any) (driver.Adoption, error) {
	// What has begun is finished, except for a copy, which may take long.
	ctx := context.WithoutCancel(cancellable)
	sources, err := a.repo.store.sources(ctx, d)
	if err != nil {
		return "", err
	}
	if _, err := a.repo.share(ctx, d, sources); err == nil {
		return "", object.RegistryError(a.repo.Driver.Sync(ctx, a.repo.LinkKey(d)))
	} else if !errors.Is(err, object.ErrMissing) {
		return "", err
	}
	seg := object.Segment{Name: a.segmentName(), Size: size}
	r := a.rec
	r.State, r.Size, r.Segments = committing, size, []object.Segment{seg}
	if err := a.change(ctx, r); err != nil {
		return "", err
	}
	info, how, err := a.driver.Adopt(cancellable, object.DataKey(seg.Name), source, a.opts)
	if err == nil && info.Size != size {
		err = registry.ErrSizeInvalid.WithMessage(fmt.Sprintf("the blob has %d bytes instead of %d", info.Size, size))
	}
	if err != nil {
		return "", errors.Join(object.RegistryError(err), a.abandon(ctx))
	}
	return how, a.commit(ctx, d)
}

// abandon removes the record, and then the segment, which no key names any more.
func (a *adoption) abandon(ctx context.Context) error {
	segments := a.rec.Segments
	removed, err := a.removeRecord(ctx)
	if removed {
		a.repo.DropSegments(ctx, segments)
	}
	return err
}

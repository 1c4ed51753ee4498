package storage

import (
	"context"
	"iter"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/objectkey"
	"github.com/registrykit/registry/internal/parallel"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/internal/object"
)

// Inventory lists what a Store has, with what housekeeping must know and clients never see: the times
// of records, and the data behind blobs. It changes nothing. Eviction, usage and retention use it.
//
// A list makes one request for each thousand elements. Content that is pushed or deleted while it runs may be
// in it or not.
type Inventory struct {
	store *Store // neither uses nor fills the cache of records, which a pass over everything would empty
	whole *Store
}

// Inventory returns the Inventory of the Store.
func (s *Store) Inventory() Inventory {
	pass := *s
	pass.objects = s.objects.WithoutCache()
	return Inventory{store: &pass, whole: s}
}

// StoredManifest is an element of [Inventory.Manifests].
type StoredManifest struct {
	// Digest is the digest of the manifest.
	Digest digest.Digest
	// Time is when its record was last written: the time of its push, unless a collection or a
	// client with push access has written it again since, or a delete has begun. See
	// StoredRecord.Pushed.
	Time time.Time
	// Version changes whenever the record does.
	Version string
}

// StoredTag is an element of [Inventory.Tags].
type StoredTag struct {
	// Name is the tag.
	Name string
	// Descriptor is that of the manifest that the tag points at. The manifest may be gone.
	Descriptor ocispec.Descriptor
	// Time is when the record of the tag was last written.
	Time time.Time
	// Set is when a push or restore last set the tag, to this manifest or again to the same one, by the
	// clock of that process; see registry.TagPut.Time. Two settings of a tag never have the same Set,
	// unless the caller chose it. A restore of a tag that was deleted brings its Set back. For a tag
	// that an earlier version of this package wrote, Set is the time at which that version last wrote
	// its record.
	Set time.Time
	// Pending are manifests that pushes are about to point the tag at. A delete treats each of them as
	// if the tag pointed at it already. It is nil unless a push is in progress or has died.
	Pending []digest.Digest
}

// StoredLink is an element of [Inventory.Blobs].
type StoredLink struct {
	// Digest is the digest of the blob.
	Digest digest.Digest
	// Time is when the blob came into the repository, unless its record was renewed since.
	Time time.Time
	// Version changes whenever the blob may have other data, see [Inventory.Data].
	Version string
}

// StoredData are the data of a blob in one repository.
type StoredData struct {
	// Size is the size of the blob in bytes. Inline are those among them that are in the record of
	// this repository; no other repository shares them.
	Size, Inline int64
	// Objects names the data objects with the other bytes. Repositories with equal Objects share
	// them, so these bytes exist once.
	Objects []string
}

// Repositories yields the names of the repositories below prefix that have any content, in ascending
// byte order. A prefix is one or more components of names, such as "docker.io"; "" means all. Unlike
// [Store.Repositories], it also yields those without a manifest. It makes one request for each
// repository.
func (v Inventory) Repositories(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		start := object.ContentPrefix
		if prefix != "" {
			start += objectkey.Escape(prefix + "/")
		}
		for after := start; ; {
			name := ""
			opts := &driver.ListOptions{After: after, KeysOnly: true, PageHint: 1}
			for info, err := range v.store.objects.Driver.List(ctx, object.ContentPrefix, opts) {
				if err != nil {
					yield("", object.RegistryError(err))
					return
				}
				if strings.HasPrefix(info.Key, start) {
					name, _, _ = strings.Cut(info.Key[len(object.ContentPrefix):], "/")
				}
				break
			}
			if name == "" {
				return
			}
			if repo := objectkey.Unescape(name); reference.CheckName(repo) == nil && !yield(repo, nil) {
				return
			}
			after = object.ContentPrefix + name + "0" // "0" follows "/"
		}
	}
}

// Manifests yields the manifests of a repository, in ascending order of their digests. It reads none,
// so a manifest whose push has not ended, or was refused, may be among them; [Store.GetManifest] does
// not return it.
func (v Inventory) Manifests(ctx context.Context, repo string) iter.Seq2[StoredManifest, error] {
	return listOf(ctx, v, repo, object.Repo.ManifestPrefix, func(d digest.Digest, info driver.Info) StoredManifest {
		return StoredManifest{Digest: d, Time: info.ModTime, Version: info.Version}
	})
}

// Manifest returns a manifest of a repository. deleting reports whether a delete of it has begun. Such a
// manifest is still served. Either the delete is in progress, or its process has died; a further delete
// finishes it.
//
// Errors: registry.ErrManifestUnknown.
func (v Inventory) Manifest(ctx context.Context, repo string, d digest.Digest) (m *registry.Manifest, deleting bool,
	err error) {
	ref := reference.Ref{Digest: d}
	if err := checkRef(repo, ref); err != nil {
		return nil, false, err
	}
	r, err := v.store.repo(repo).ReadManifest(ctx, d)
	if err != nil {
		return nil, false, err
	}
	if !r.Readable() {
		return nil, false, manifestUnknown(ref)
	}
	deleting = r.State == object.Deleting && !r.Collected
	return &registry.Manifest{Descriptor: *r.Descriptor(d), Content: r.Content}, deleting, nil
}

// Tags yields the tags of a repository, in ascending byte order. It reads each tag that this process
// has not read in the same version before; about 20,000 are remembered.
func (v Inventory) Tags(ctx context.Context, repo string) iter.Seq2[StoredTag, error] {
	return func(yield func(StoredTag, error) bool) {
		if err := registry.CheckName(repo); err != nil {
			yield(StoredTag{}, err)
			return
		}
		objects := v.store.objects
		list := objects.Driver.List(ctx, v.store.repo(repo).TagPrefix(), nil)
		for batch, err := range object.Batches(list, tagsAtOnce) {
			entries := make([]*object.Entry, len(batch))
			if err == nil {
				err = parallel.Each(object.Parallelism, len(batch), func(i int) (err error) {
					entries[i], err = objects.ListedEntry(ctx, batch[i])
					return err
				})
			}
			if err != nil {
				yield(StoredTag{}, err)
				return
			}
			for i, e := range entries {
				t := storedTag(object.Base(batch[i].Key), e)
				t.Time = batch[i].ModTime
				if e.Descriptor.Digest != "" && !yield(t, nil) {
					return
				}
			}
		}
	}
}

// Tag returns a tag of a repository. It makes one request.
//
// Errors: registry.ErrManifestUnknown if there is no such tag.
func (v Inventory) Tag(ctx context.Context, repo, tag string) (StoredTag, error) {
	ref := reference.Ref{Tag: tag}
	if err := checkRef(repo, ref); err != nil {
		return StoredTag{}, err
	}
	e, err := v.store.repo(repo).readTag(ctx, tag)
	if err != nil {
		return StoredTag{}, err
	}
	return storedTag(tag, e), nil
}

// storedTag returns the element of a list of tags for an entry.
func storedTag(name string, e *object.Entry) StoredTag {
	t := StoredTag{Name: name, Descriptor: e.Descriptor, Time: e.ModTime, Set: e.SetTime()}
	for _, move := range e.Pending {
		t.Pending = append(t.Pending, move.Descriptor.Digest)
	}
	return t
}

// Blobs yields the blobs of a repository, in ascending order of their digests. It reads none.
func (v Inventory) Blobs(ctx context.Context, repo string) iter.Seq2[StoredLink, error] {
	return listOf(ctx, v, repo, object.Repo.LinkPrefix, func(d digest.Digest, info driver.Info) StoredLink {
		return StoredLink{Digest: d, Time: info.ModTime, Version: info.Version}
	})
}

// Data returns the data of a blob of a repository. It makes one request.
//
// Errors: registry.ErrBlobUnknown.
func (v Inventory) Data(ctx context.Context, repo string, d digest.Digest) (StoredData, error) {
	if err := checkBlob(repo, d); err != nil {
		return StoredData{}, err
	}
	l, err := v.store.repo(repo).ReadableLink(ctx, d)
	if err != nil {
		return StoredData{}, err
	}
	data := StoredData{Size: l.Size, Inline: int64(len(l.Tail))}
	for _, s := range l.Segments {
		data.Objects = append(data.Objects, s.Name)
	}
	return data, nil
}

// Bytes returns the number of the data objects in the storage, and their size in bytes. It includes
// uploads in progress, and data that a collection has not removed yet; it does not include blobs that
// are small enough to be in their record. It makes one request for each thousand data objects.
func (v Inventory) Bytes(ctx context.Context) (objects, bytes int64, err error) {
	for info, err := range v.store.objects.Driver.List(ctx, object.DataPrefix, nil) {
		if err != nil {
			return 0, 0, object.RegistryError(err)
		}
		objects++
		bytes += info.Size
	}
	return objects, bytes, nil
}

// listOf yields what element makes of the objects below a prefix of a repository whose keys end in a
// digest.
func listOf[T any](ctx context.Context, v Inventory, repo string, prefix func(object.Repo) string,
	element func(digest.Digest, driver.Info) T) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var zero T
		if err := registry.CheckName(repo); err != nil {
			yield(zero, err)
			return
		}
		for info, err := range v.store.objects.Driver.List(ctx, prefix(v.store.repo(repo).Repo), nil) {
			if err != nil {
				yield(zero, object.RegistryError(err))
				return
			}
			if d := objectkey.PathDigest(info.Key); d != "" && !yield(element(d, info), nil) {
				return
			}
		}
	}
}

package storage

import (
	"context"
	"iter"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/objectkey"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/internal/object"
)

// View is what a Store has, for reading.
type View interface {
	registry.Reader
	registry.Lister
	// History yields the changes of a repository, see registry.Restorer.
	History(ctx context.Context, repo string, opts *registry.HistoryOptions) iter.Seq2[registry.HistoryEntry, error]
}

// View returns the Store for reading, below the registry: nothing is authorised, no event is made, and
// a mirror does not ask its upstream. A management API shows the facts of what it lists with it, after
// it has authorised the list.
func (v Inventory) View() View { return v.whole }

// TagNames yields the names of tags that may point at a manifest, in ascending byte order. A tag in
// the list may have moved or gone since; see [Inventory.Tag]. It reads no tag, and makes one request
// for each thousand names. opts may be nil.
//
// Errors: registry.ErrNameInvalid; registry.ErrDigestInvalid.
func (v Inventory) TagNames(ctx context.Context, repo string, d digest.Digest,
	opts *registry.ListOptions) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		if err := checkBlob(repo, d); err != nil {
			yield("", err)
			return
		}
		v.store.names(ctx, v.store.repo(repo).BackrefKey(d, ""), opts, yield)
	}
}

// TagRecord is an element of [Inventory.TagRecords].
type TagRecord struct {
	// Name is the tag.
	Name string
	// Time is when the record of the tag was last written, see StoredTag.Time.
	Time time.Time
	// Version changes whenever the record does.
	Version string
}

// TagRecords yields the tags of a repository with the times of their records, in ascending byte order.
// It reads no tag, so a tag whose first push has not ended may be in the list.
//
// Errors: registry.ErrNameInvalid.
func (v Inventory) TagRecords(ctx context.Context, repo string) iter.Seq2[TagRecord, error] {
	return func(yield func(TagRecord, error) bool) {
		if err := registry.CheckName(repo); err != nil {
			yield(TagRecord{}, err)
			return
		}
		prefix := v.store.repo(repo).TagPrefix()
		for info, err := range v.store.objects.Driver.List(ctx, prefix, nil) {
			if err != nil {
				yield(TagRecord{}, object.RegistryError(err))
				return
			}
			if !yield(TagRecord{Name: info.Key[len(prefix):], Time: info.ModTime, Version: info.Version}, nil) {
				return
			}
		}
	}
}

// ManifestsAfter is [Inventory.Manifests] for the manifests whose digests are greater than after. hint
// is how many the caller expects to take, or 0.
//
// Errors: registry.ErrNameInvalid.
func (v Inventory) ManifestsAfter(ctx context.Context, repo string, after digest.Digest,
	hint int) iter.Seq2[StoredManifest, error] {
	return func(yield func(StoredManifest, error) bool) {
		if err := registry.CheckName(repo); err != nil {
			yield(StoredManifest{}, err)
			return
		}
		prefix, opts := v.store.repo(repo).ManifestPrefix(), &driver.ListOptions{PageHint: hint}
		if after != "" {
			opts.After = prefix + objectkey.DigestPath(after)
		}
		for info, err := range v.store.objects.Driver.List(ctx, prefix, opts) {
			if err != nil {
				yield(StoredManifest{}, object.RegistryError(err))
				return
			}
			d := objectkey.PathDigest(info.Key)
			m := StoredManifest{Digest: d, Time: info.ModTime, Version: info.Version}
			if d != "" && !yield(m, nil) {
				return
			}
		}
	}
}

// Children returns the manifests that a manifest of a list names, such as those of an index. It does not
// read a manifest again that this process has read in the same version; about 50,000 are remembered. A
// manifest that is gone names nothing. The caller must not change the result.
//
// Errors: an error if the manifest cannot be parsed, although it could be when it was pushed.
func (v Inventory) Children(ctx context.Context, repo string, m StoredManifest) ([]digest.Digest, error) {
	r := v.store.repo(repo)
	return r.ListedChildren(ctx, m.Digest, driver.Info{Key: r.ManifestKey(m.Digest), Version: m.Version})
}

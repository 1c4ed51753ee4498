package storage

import (
	"context"
	"iter"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/internal/object"
)

// ManifestState is the state of the record of a manifest, see [Inventory.Record].
type ManifestState string

// The states of records of manifests.
const (
	// ManifestAbsent means that the manifest is not in the repository.
	ManifestAbsent ManifestState = ""
	// ManifestDamaged means that the record is cut short, as a loss of power may leave one that
	// nobody relies on, or has other content than was written. The manifest is not served.
	ManifestDamaged ManifestState = "damaged"
	// ManifestPending means that a push of the manifest has not ended, or its process has died. The
	// manifest is not served, and what it names must stay.
	ManifestPending ManifestState = "pending"
	// ManifestRefused means that a push was refused because something was missing, and that the
	// client is likely to push the manifest again. What it names must stay.
	ManifestRefused ManifestState = "refused"
	// ManifestVisible means that the manifest is served.
	ManifestVisible ManifestState = "visible"
	// ManifestDeleting means that the manifest is served and a delete of it has begun. Either the
	// delete is in progress, or its process has died; a further delete finishes it.
	ManifestDeleting ManifestState = "deleting"
)

// StoredRecord is the record of a manifest.
type StoredRecord struct {
	// State is its state. An absent or damaged manifest has nothing else.
	State ManifestState
	// Manifest is the manifest. It is nil for the states ManifestAbsent and ManifestRefused.
	Manifest *registry.Manifest
	// Names is what a refused manifest names: manifests and blobs.
	Names []digest.Digest
	// Marked reports whether a collection, or a delete of an unused manifest, has begun to look whether
	// anything leads to the manifest. Time is then when that began.
	Marked bool
	// Time and Version are those of [StoredManifest].
	Time    time.Time
	Version string
	// Pushed is when the manifest was last pushed, or renewed by a client with push access. Time is
	// later if a collection has written the record again since. For a manifest that is being deleted,
	// or is Marked, Pushed may be when that began.
	Pushed time.Time
}

// Record returns the record of a manifest, also of one whose push has not ended. It makes one
// request.
//
// Errors: any error of the driver. An absent or damaged manifest is not an error.
func (v Inventory) Record(ctx context.Context, repo string, d digest.Digest) (StoredRecord, error) {
	if err := checkRef(repo, reference.Ref{Digest: d}); err != nil {
		return StoredRecord{}, err
	}
	m, err := v.store.repo(repo).ReadManifest(ctx, d)
	if err != nil {
		return StoredRecord{}, err
	}
	r := StoredRecord{Time: m.ModTime, Version: m.Version, Pushed: m.PushTime()}
	switch m.State {
	case object.Visible:
		r.State = ManifestVisible
	case object.Deleting:
		r.State, r.Marked = ManifestVisible, m.Collected
		if !m.Collected {
			r.State = ManifestDeleting
		}
	case object.Pending:
		r.State = ManifestPending
	case object.Refused:
		r.State, r.Names = ManifestRefused, m.References
		if len(m.Content) == 0 {
			return r, nil
		}
	case object.Gone:
		if m.Version != "" {
			r.State = ManifestDamaged
		}
		return r, nil
	default:
		return StoredRecord{}, nil
	}
	// A record that an earlier version wrote of a refused manifest has the content.
	r.Manifest = &registry.Manifest{Descriptor: *m.Descriptor(d), Content: m.Content}
	return r, nil
}

// Shared yields the blobs that more than one repository has, in ascending order of their digests,
// according to an index that the Store keeps to find the data of blobs. The index may lack a
// repository, or have one that has lost the blob, so the result is an estimate. It makes one
// request for each thousand blobs of the storage, once for each repository that has them.
func (v Inventory) Shared(ctx context.Context) iter.Seq2[digest.Digest, error] {
	return func(yield func(digest.Digest, error) bool) {
		var last digest.Digest
		repositories := 0
		opts := &driver.ListOptions{KeysOnly: true}
		for info, err := range v.store.objects.Driver.List(ctx, object.IndexesPrefix, opts) {
			if err != nil {
				yield("", object.RegistryError(err))
				return
			}
			_, d, ok := object.Indexed(info.Key)
			if !ok {
				continue
			}
			if d != last {
				last, repositories = d, 0
			}
			if repositories++; repositories == 2 && !yield(d, nil) {
				return
			}
		}
	}
}

// Grace returns the grace period of the Store, see Options.Grace. It is not negative.
func (v Inventory) Grace() time.Duration { return max(v.store.objects.Grace, 0) }

// HistoryTime returns how long the Store keeps history, see Options.History. Zero means that it
// keeps none.
func (v Inventory) HistoryTime() time.Duration { return v.store.opts.History }

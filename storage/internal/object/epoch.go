package object

import (
	"context"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry/storage/driver"
)

// Epochs are the names of the current epochs of a repository, or of the epochs in which everything
// that a manifest names was last seen. An epoch is a time during which nothing was deleted. Blobs
// and manifests have epochs of their own, because manifests are deleted more often and only indexes
// name them. "" is an unknown epoch and equals no other; records of versions without epochs have
// it.
//
// Epochs save a push of a known manifest the check of everything that the manifest names. Only a
// delete of a blob or a child can have removed any of that since the last check. A push sees from
// the epochs whether there was one, and it reads the two records that have them anyway.
//
// A delete marks what it deletes, then ends the epoch, and then removes it. A push that finds that
// the epochs differ begins a new epoch, then checks everything, and takes marks off. So either the
// delete finds that its mark is gone, or the push finds that something is missing. The model is
// internal/model/known.pml.
type Epochs struct {
	Blobs     string `json:"blobs,omitempty"`
	Manifests string `json:"manifests,omitempty"`
}

const (
	// firstEpoch is the epoch of a repository from which nothing has been deleted. A manifest whose
	// push did not read the epoch of its repository also has it.
	firstEpoch = "first"
	// epochOver stands for an epoch that a delete has ended. Repositories may have it, manifests do
	// not.
	epochOver = "over"
)

// FirstEpochs returns the epochs of a new repository, and of a manifest whose push did not read the
// epochs of its repository.
func FirstEpochs() Epochs { return Epochs{Blobs: firstEpoch, Manifests: firstEpoch} }

// Known returns e with "" in place of the epochs that are over.
func (e Epochs) Known() Epochs {
	if e.Blobs == epochOver {
		e.Blobs = ""
	}
	if e.Manifests == epochOver {
		e.Manifests = ""
	}
	return e
}

// BlobDeleted ends the epoch of blobs. It is an argument of EndEpoch, like the next two functions.
func BlobDeleted(e *Epochs) { e.Blobs = epochOver }

// ManifestDeleted ends the epoch of manifests.
func ManifestDeleted(e *Epochs) { e.Manifests = epochOver }

// AnythingDeleted ends both epochs.
func AnythingDeleted(e *Epochs) {
	BlobDeleted(e)
	ManifestDeleted(e)
}

// EndEpoch ends epochs of the repository: what sets those that end. A delete calls it after it has
// marked an object and before it removes the object. d is the digest of a manifest that is being
// deleted, or "". cataloged, unless nil, is the record of the repository as the caller knows it;
// EndEpoch updates it if the write replaces that version.
//
// All epochs are over in a repository that is being deleted, so EndEpoch does nothing there. A
// repository that is not in the catalog has no epoch to end, unless it has a manifest besides d:
// the push of that manifest may have checked what it names already.
//
// Errors: registry.ErrUnavailable and ErrNoSpace, and any other error of the driver.
func (r Repo) EndEpoch(ctx context.Context, d digest.Digest, what func(*Epochs), cataloged *Repository) error {
	var err error
	for range Attempts(ctx, &err) {
		c, err := r.ReadRepository(ctx)
		if err != nil {
			return err
		}
		next := *c
		what(&next.Epochs)
		if c.Version != "" && (c.Deleting != nil || next.Epochs == c.Epochs) {
			return nil
		}
		if c.Version == "" {
			if used, err := r.HasManifest(ctx, d); err != nil || !used {
				return err
			}
		}
		next.Nonce = NewNonce()
		next.Version, err = r.Put(ctx, r.RepositoryKey(), c.Version, &next, nil, driver.Durable)
		if driver.IsConflict(err) {
			continue
		}
		if err == nil && cataloged != nil && cataloged.Version == c.Version {
			*cataloged = next
		}
		return RegistryError(err)
	}
	return err
}

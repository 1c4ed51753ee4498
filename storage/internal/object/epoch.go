package object

import (
	"context"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry/storage/driver"
)

// epochs are names of epochs, of blobs and of manifests: manifests are deleted more often, and only
// indexes name them. "" is an epoch that is not known, and equals none: records written by versions
// of this package without epochs have it.
type Epochs struct {
	Blobs     string `json:"blobs,omitempty"`
	Manifests string `json:"manifests,omitempty"`
}

const (
	// firstEpoch is the epoch of a repository from which nothing has been deleted. A manifest whose
	// push did not read the epoch of its repository has it, too.
	firstEpoch = "first"
	// over stands in a repository, and in no manifest, for an epoch that a delete has ended.
	epochOver = "over"
)

// firstEpochs returns the epochs of a new repository, and of a manifest whose push did not read
// them.
func FirstEpochs() Epochs { return Epochs{Blobs: firstEpoch, Manifests: firstEpoch} }

// known returns the epochs with "" for those that are over.
func (e Epochs) Known() Epochs {
	if e.Blobs == epochOver {
		e.Blobs = ""
	}
	if e.Manifests == epochOver {
		e.Manifests = ""
	}
	return e
}

// blobDeleted and manifestDeleted are what ends an epoch, see endEpoch.
func BlobDeleted(e *Epochs) { e.Blobs = epochOver }

func ManifestDeleted(e *Epochs) { e.Manifests = epochOver }

func AnythingDeleted(e *Epochs) {
	BlobDeleted(e)
	ManifestDeleted(e)
}

// endEpoch ends an epoch of a repository, before d is removed, which is marked. Where the
// repository is being deleted, all epochs are over. Where it is not in the catalogue, there is no
// epoch to end, unless a manifest is on its way that may have been looked at already.
func (r Repo) EndEpoch(ctx context.Context, d digest.Digest, what func(*Epochs), catalogued *Repository) error {
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
		if IsConflict(err) {
			continue
		}
		if err == nil && catalogued != nil && catalogued.Version == c.Version {
			*catalogued = next
		}
		return RegistryError(err)
	}
	return err
}

// A push of a manifest that is in the repository already does not look at all that the manifest
// names: only a delete of a blob or a child can have removed any of it. Whether there was one,
// epochs tell, which the push reads with the records that it needs anyway. A manifest has the epoch
// in which all that it names was last seen, the repository has the one that it is in. A delete
// marks what it deletes, then ends the epoch, and then removes it. A push that finds that the
// epochs differ begins a new one, then looks at everything, and takes marks off. So either the
// delete finds that its mark is gone, or the push finds that something is missing. The model is
// internal/model/known.pml.

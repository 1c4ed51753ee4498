package scrub

import (
	"context"
	"crypto/rand"
	"errors"
	"iter"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/objectkey"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/storage/driver"
)

// lossPrefix is the prefix of the records of losses: z/l/<R>/<alg>/<hex>. R is the name of the
// repository as objectkey.Escape returns it.
const lossPrefix = "z/l/"

func lossKey(repo string, d digest.Digest) string {
	return lossPrefix + objectkey.Escape(repo) + "/" + objectkey.DigestPath(d)
}

// lossRecord is the content of an object below lossPrefix.
type lossRecord struct {
	Nonce string    `json:"nonce"`
	Time  time.Time `json:"time"` // when it was found, by the clock of that process
	Loss
}

// Losses yields what is lost: content that runs with Options.Repair have found to be damaged or
// gone, and that had not been pushed again at the end of the last run. It makes one request for
// each loss, and one for each thousand. d is the driver of the registry.
func Losses(ctx context.Context, d driver.Driver) iter.Seq2[Loss, error] {
	return losses(ctx, d, "")
}

// LossesAfter is Losses for the losses after one, for a list in pages. The order is that of the
// repositories, and then of the digests. The loss itself need not exist any more.
//
// Errors: registry.ErrNameInvalid and ErrDigestInvalid for an invalid name or digest.
func LossesAfter(ctx context.Context, d driver.Driver, repo string, content digest.Digest) iter.Seq2[Loss, error] {
	if err := checkLoss(repo, content); err != nil {
		return func(yield func(Loss, error) bool) { yield(Loss{}, err) }
	}
	return losses(ctx, d, lossKey(repo, content))
}

// FindLoss returns the loss of a blob or manifest of a repository.
//
// Errors: driver.ErrNotExist if it is not lost; registry.ErrNameInvalid and ErrDigestInvalid for an
// invalid name or digest; any other error of the driver.
func FindLoss(ctx context.Context, d driver.Driver, repo string, content digest.Digest) (Loss, error) {
	if err := checkLoss(repo, content); err != nil {
		return Loss{}, err
	}
	var rec lossRecord
	if _, err := readRecord(ctx, d, lossKey(repo, content), &rec); err != nil {
		return Loss{}, err
	}
	rec.Repository, rec.Digest = repo, content
	return rec.Loss, nil
}

// checkLoss rejects an invalid name or digest.
func checkLoss(repo string, content digest.Digest) error {
	if err := reference.CheckName(repo); err != nil {
		return registry.ErrNameInvalid.WithMessage(err.Error())
	}
	return registry.CheckDigest(content)
}

// losses yields the losses whose keys are after a key.
func losses(ctx context.Context, d driver.Driver, after string) iter.Seq2[Loss, error] {
	return func(yield func(Loss, error) bool) {
		for rec, err := range lossRecords(ctx, d, after) {
			if !yield(rec.Loss, err) || err != nil {
				return
			}
		}
	}
}

// storedLoss is a record of a loss with its key and version.
type storedLoss struct {
	lossRecord
	key, version string
}

// lossRecords yields the records of the losses. A damaged record has what its key says.
func lossRecords(ctx context.Context, d driver.Driver, after string) iter.Seq2[storedLoss, error] {
	return func(yield func(storedLoss, error) bool) {
		for info, err := range d.List(ctx, lossPrefix, &driver.ListOptions{KeysOnly: true, After: after}) {
			if err != nil {
				yield(storedLoss{}, err)
				return
			}
			l := storedLoss{key: info.Key}
			if l.version, err = readRecord(ctx, d, info.Key, &l.lossRecord); errors.Is(err, driver.ErrNotExist) {
				continue
			}
			name, _, _ := cutName(info.Key)
			l.Repository, l.Digest = objectkey.Unescape(name), objectkey.PathDigest(info.Key)
			if err == nil && (reference.CheckName(l.Repository) != nil || l.Digest == "") {
				continue // not a record of this package
			}
			if !yield(l, err) || err != nil {
				return
			}
		}
	}
}

// Forget drops a loss that is of no interest any more, such as a manifest that nobody will push
// again. A loss that is not recorded is no error.
//
// Errors: any error of the driver.
func Forget(ctx context.Context, d driver.Driver, l Loss) error {
	if err := checkLoss(l.Repository, l.Digest); err != nil {
		return err
	}
	key := lossKey(l.Repository, l.Digest)
	if err := d.Delete(ctx, key, ""); err != nil && !errors.Is(err, driver.ErrNotExist) {
		return err
	}
	return d.Sync(ctx, key)
}

// lost records a loss, unless the run only reports. known reports whether it was recorded before.
// The record is durable before the content is taken out of service.
func (r *run) lost(ctx context.Context, l Loss) (known bool, err error) {
	key := lossKey(l.Repository, l.Digest)
	if !r.opts.Repair || l.Deleted {
		_, err := r.driver.Stat(ctx, key)
		if errors.Is(err, driver.ErrNotExist) {
			return false, nil
		}
		return err == nil, err
	}
	for range 8 {
		rec := lossRecord{}
		version, err := readRecord(ctx, r.driver, key, &rec)
		if err != nil && !errors.Is(err, driver.ErrNotExist) {
			return false, err
		}
		known = version != ""
		before := len(rec.Tags)
		tags := slices.Compact(slices.Sorted(slices.Values(slices.Concat(rec.Tags, l.Tags))))
		if known && rec.Nonce != "" && len(tags) == before {
			return true, nil
		}
		if rec.Nonce == "" {
			rec = lossRecord{Time: time.Now().UTC(), Loss: l}
		}
		rec.Nonce, rec.Tags = rand.Text(), tags
		for tag, set := range l.Sets {
			if rec.Sets == nil {
				rec.Sets = map[string]time.Time{}
			}
			rec.Sets[tag] = set
		}
		if _, err = putRecord(ctx, r.driver, key, version, rec, driver.Durable); !driver.IsConflict(err) {
			return known, err
		}
	}
	return known, driver.ErrUnavailable
}

// losses looks which losses are over. With Repair, it mends those that Options.Source has, and
// removes the records of those that are over.
func (r *run) losses(ctx context.Context) error {
	if err := r.check.LookAgain(ctx); err != nil {
		return err
	}
	// Blobs come first: the push of a manifest needs them.
	for _, manifests := range []bool{false, true} {
		for l, err := range lossRecords(ctx, r.driver, "") {
			if err != nil {
				return err
			}
			if l.Manifest != manifests {
				continue
			}
			over, err := r.settle(ctx, l)
			if err != nil {
				return err
			}
			r.mu.Lock()
			if over {
				r.report.Mended++
			} else {
				r.report.Lost++
			}
			r.mu.Unlock()
		}
	}
	return nil
}

// settle reports whether a loss is over, after an attempt to mend it.
func (r *run) settle(ctx context.Context, l storedLoss) (over bool, err error) {
	if over, err = r.present(ctx, l.Loss); err != nil {
		return false, err
	}
	if !over {
		if over, err = r.needless(ctx, l.Loss); err != nil {
			return false, err
		}
	}
	if !r.opts.Repair {
		return over, nil
	}
	if !over && r.opts.Source != nil {
		if err := r.mend(ctx, l.Loss); err != nil {
			if ctx.Err() != nil || errors.Is(err, driver.ErrUnavailable) {
				return false, err
			}
			r.note("mending " + l.Repository + "@" + string(l.Digest) + ": " + err.Error())
			return false, nil
		}
		over = true
	}
	if !over {
		return false, nil
	}
	if l.Manifest {
		if err := r.restoreTags(ctx, l.Loss); err != nil {
			return false, err
		}
	}
	err = r.driver.Delete(ctx, l.key, l.version)
	if errors.Is(err, driver.ErrNotExist) || driver.IsConflict(err) {
		err = nil
	}
	return true, err
}

// needless reports whether nobody misses the content of a loss any more: no manifest names it, and
// the tags that pointed at it exist.
func (r *run) needless(ctx context.Context, l Loss) (bool, error) {
	for _, tag := range l.Tags {
		_, err := r.store.StatManifest(ctx, l.Repository, reference.Ref{Tag: tag}, nil)
		if errors.Is(err, registry.ErrManifestUnknown) {
			return false, nil
		}
		if err != nil && !errors.Is(err, registry.ErrTagInvalid) {
			return false, err
		}
	}
	wanted, err := r.check.Wanted(ctx, l.Repository, l.Digest)
	return !wanted, err
}

// present reports whether the content of a loss is in its repository.
func (r *run) present(ctx context.Context, l Loss) (bool, error) {
	var err error
	if l.Manifest {
		_, err = r.store.StatManifest(ctx, l.Repository, reference.Ref{Digest: l.Digest}, nil)
	} else {
		_, err = r.store.StatBlob(ctx, l.Repository, l.Digest, nil)
	}
	if errors.Is(err, registry.ErrManifestUnknown) || errors.Is(err, registry.ErrBlobUnknown) {
		return false, nil
	}
	return err == nil, err
}

// restoreTags sets the tags again that a quarantine has removed, unless they exist or the manifest
// is gone. A tag gets back its age, because otherwise it would push tags out of what a retention
// rule keeps as the newest.
func (r *run) restoreTags(ctx context.Context, l Loss) error {
	if len(l.Tags) == 0 {
		return nil
	}
	m, err := r.store.GetManifest(ctx, l.Repository, reference.Ref{Digest: l.Digest})
	if errors.Is(err, registry.ErrManifestUnknown) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, tag := range l.Tags {
		opts := &registry.PutOptions{
			Digest: l.Digest, Tags: []registry.TagPut{{Name: tag, IfAbsent: true, Time: l.Sets[tag]}},
			AcceptWrongSizes: true, Sparse: true,
		}
		_, err := r.store.PutManifest(ctx, l.Repository, m.Descriptor.MediaType, m.Content, opts)
		if err != nil && !errors.Is(err, registry.ErrTagExists) && !errors.Is(err, registry.ErrTagInvalid) {
			return err
		}
	}
	return nil
}

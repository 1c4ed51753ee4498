package storage

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry/internal/objectkey"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/internal/object"
)

// checkLink checks the link of a blob, and the bytes that are in it. Check.Blobs checks the others,
// unless the index lacks the blob.
func (k *repoCheck) checkLink(ctx context.Context, info driver.Info) error {
	d := objectkey.PathDigest(info.Key)
	if d == "" {
		return nil
	}
	l, err := k.repo.ReadLink(ctx, d)
	if err != nil {
		return err
	}
	if l.State == object.Gone || !slices.Contains(linkStates, l.State) {
		return k.checkRecord(ctx, d, l)
	}
	if !l.Readable() {
		return nil
	}
	k.opts.Counted(CheckCounts{Blobs: 1})
	k.noteLink(d)
	indexed, err := k.checkIndexed(ctx, d, l)
	if err != nil {
		return err
	}
	if len(l.Segments) > 0 {
		if indexed {
			return nil
		}
		return k.checkCopies(ctx, &copies{digest: d, repos: []string{k.repo.Name},
			verdicts: map[[sha256.Size]byte]verdict{}})
	}
	v, l, err := k.examine(ctx, k.repo, d, l)
	if err != nil || v.whole {
		return err
	}
	return k.damagedLink(ctx, k.repo, d, l, v)
}

// linkStates are the states of the records of links.
var linkStates = []object.State{object.Pending, object.Live, object.Condemned, object.Hidden}

// noteLink notes that the repository serves a blob.
func (k *repoCheck) noteLink(d digest.Digest) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.links[short(d)] = struct{}{}
}

// checkIndexed adds a blob to the index that is not in it. It reports whether it was there. A push writes
// the entry of the index together with the link. A delete removes it before the link, and may die in
// between; it has marked the link before.
func (k *repoCheck) checkIndexed(ctx context.Context, d digest.Digest, l *object.Link) (bool, error) {
	for range 2 {
		_, err := k.repo.Driver.Stat(ctx, k.repo.IndexKey(d))
		if !errors.Is(err, driver.ErrNotExist) {
			return true, object.RegistryError(err)
		}
		now, err := k.repo.ReadLink(ctx, d)
		if err != nil || now.Version != l.Version || l.State != object.Live || !k.settled(l.ModTime) {
			return false, err
		}
	}
	damage := Damage{Kind: WrongBlobIndex, Digest: d, Expected: "an entry in the index of blobs", Found: "no entry"}
	if k.opts.Repair {
		k.repo.IndexBlob(ctx, d)
		damage.Repair = Repaired
	}
	k.report(damage)
	return false, nil
}

// checkRecord handles the record of a link that readers take for absent, known as l. A record that
// states wrong sizes or a wrong checksum of right bytes is written again. Any other one is removed: it
// is not served, and a push replaces it.
func (k *repoCheck) checkRecord(ctx context.Context, d digest.Digest, l *object.Link) error {
	raw, ok, err := k.repo.RawLink(ctx, d)
	if err != nil || raw.Version == "" || raw.Version != l.Version {
		return err
	}
	v := verdict{expected: "the record of a blob", found: "a record that cannot be read"}
	known := slices.Contains(linkStates, raw.State)
	if ok && (!known || raw.State == object.Live || raw.State == object.Condemned && !raw.Unproven) {
		if v, raw, err = k.examine(ctx, k.repo, d, raw); err != nil || v.whole && known {
			return err
		}
		if v.whole { // only the state is wrong
			v = verdict{right: raw, expected: "a live link", found: fmt.Sprintf("a link in the unknown state %q", raw.State)}
		}
	} else if ok {
		v.found = fmt.Sprintf("a damaged record in state %q", raw.State)
	}
	if v.right != nil {
		damage := Damage{Kind: WrongSize, Digest: d, Expected: v.expected, Found: v.found}
		repaired, err := k.correctLink(ctx, k.repo, d, raw, v.right)
		if err != nil {
			return err
		}
		if repaired {
			k.noteLink(d)
			damage.Repair = Repaired
		}
		if repaired || !k.opts.Repair {
			k.markMissing(d)
			k.report(damage)
			return nil
		}
	}
	return k.removeRecord(ctx, d, raw, v)
}

// removeRecord removes the damaged record of a link in the version of l, and restores the blob if
// another repository has it.
func (k *repoCheck) removeRecord(ctx context.Context, d digest.Digest, l *object.Link, v verdict) error {
	k.markMissing(d)
	damage := Damage{Kind: CorruptBlob, Digest: d, Expected: v.expected, Found: v.found}
	if _, err := k.opts.Lost(ctx, Loss{Repository: k.repo.Name, Digest: d, Reason: CorruptBlob}); err != nil {
		return err
	}
	if k.opts.Repair {
		if err := k.repo.EndEpoch(ctx, "", object.BlobDeleted, nil); err != nil {
			return err
		}
		if err := k.repo.RemoveIfUnchanged(ctx, k.repo.LinkKey(d), l.Version); err != nil {
			return err
		}
		damage.Repair = Quarantined
		if l.State != object.Hidden && l.State != object.Pending { // a record without a state cannot be read
			restored, err := k.restore(ctx, d)
			if err != nil {
				return err
			}
			if restored {
				damage.Repair = Repaired
			}
		}
	}
	k.report(damage)
	return nil
}

// restore gives the repository a blob that another one has with whole bytes, and reports whether there
// is one.
func (k *repoCheck) restore(ctx context.Context, d digest.Digest) (bool, error) {
	source, err := k.wholeSource(ctx, d)
	if err != nil || source == "" {
		return false, err
	}
	shared, err := k.share(ctx, k.repo, d, source)
	if shared {
		k.noteLink(d)
	}
	return shared, err
}

// markMissing notes that the absence of content is handled, and reports whether it was not before.
func (k *repoCheck) markMissing(d digest.Digest) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	was := k.missing[d]
	k.missing[d] = true
	return !was
}

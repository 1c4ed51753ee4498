package storage

import (
	"context"
	"errors"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry/internal/objectkey"
	"github.com/registrykit/registry/internal/parallel"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/internal/object"
)

// checkHint notes that a referrer has a hint, and removes the hint of a referrer that is not there.
func (k *repoCheck) checkHint(ctx context.Context, info driver.Info) error {
	entry, ok := k.repo.HintedEntry(info.Key)
	if !ok {
		return nil
	}
	d := objectkey.PathDigest(entry)
	k.mu.Lock()
	facts, there := k.manifests[d]
	if there && info.Key == k.repo.HintKey(facts.subject, d, facts.artifactType) {
		k.hinted[short(entry)] = struct{}{}
	}
	k.mu.Unlock()
	if there {
		return nil
	}
	return k.removeOrphan(ctx, info, d, Damage{Kind: WrongHint, Digest: d})
}

// checkEntry checks the entry of a referrer with its subject.
func (k *repoCheck) checkEntry(ctx context.Context, info driver.Info) error {
	d, subject := objectkey.PathDigest(info.Key), objectkey.PathDigest(object.Dir(object.Dir(info.Key)))
	if d == "" || subject == "" {
		return nil
	}
	k.mu.Lock()
	facts, there := k.manifests[d]
	k.mu.Unlock()
	if !there {
		return k.removeOrphan(ctx, info, d, Damage{Kind: WrongReferrer, Digest: d})
	}
	if facts.subject != subject {
		return k.removeForeign(ctx, info, d, subject)
	}
	e, err := k.repo.ListedEntry(ctx, info)
	if err != nil {
		return err
	}
	right := e.Descriptor.Digest == d && e.Descriptor.Size == facts.size && e.Descriptor.ArtifactType == facts.artifactType
	if right {
		k.mu.Lock()
		k.entries[short(info.Key)] = struct{}{}
		k.mu.Unlock()
		return nil
	}
	return nil // checkReferrers writes it again
}

// removeForeign removes the entry of a manifest with another subject than its own.
func (k *repoCheck) removeForeign(ctx context.Context, info driver.Info, d, subject digest.Digest) error {
	m, err := k.repo.ReadManifest(ctx, d)
	if err != nil || !m.Readable() || m.Subject == subject || !k.settled(info.ModTime) {
		return err
	}
	damage := Damage{Kind: WrongReferrer, Digest: d, Expected: "no referrer of " + string(subject), Found: "an entry"}
	if k.opts.Repair {
		if err := k.repo.RemoveIfUnchanged(ctx, info.Key, info.Version); err != nil {
			return err
		}
		damage.Repair = Removed
	}
	k.report(damage)
	return nil
}

// checkReferrers checks that each manifest with a subject has an entry and a hint.
func (k *repoCheck) checkReferrers(ctx context.Context) error {
	var referrers []digest.Digest
	for d, f := range k.manifests {
		if f.subject != "" && !f.deleting && k.settled(f.time) {
			referrers = append(referrers, d)
		}
	}
	return parallel.Each(k.opts.Parallel, len(referrers), func(i int) error {
		d := referrers[i]
		f := k.manifests[d]
		key := k.repo.ReferrerKey(f.subject, d)
		_, entered := k.entries[short(key)]
		_, hinted := k.hinted[short(key)]
		if !entered {
			return k.restoreEntry(ctx, d, f)
		}
		if !hinted {
			return k.restoreHint(ctx, d, f)
		}
		return nil
	})
}

// restoreEntry writes the entry of a referrer again. The look at the entry comes between two looks at
// the manifest, because a delete marks the manifest before it removes the entry.
func (k *repoCheck) restoreEntry(ctx context.Context, d digest.Digest, f manifestFacts) error {
	key := k.repo.ReferrerKey(f.subject, d)
	e, err := k.repo.ReadEntry(ctx, key)
	if err != nil {
		return err
	}
	if e.Descriptor.Digest == d && e.Descriptor.Size == f.size && e.Descriptor.ArtifactType == f.artifactType {
		return nil
	}
	m, err := k.repo.ReadManifest(ctx, d)
	if err != nil || m.State != object.Visible || m.Version != f.version {
		return err
	}
	damage := Damage{Kind: WrongReferrer, Digest: d, Found: "nothing",
		Expected: "an entry with the subject " + string(f.subject)}
	if e.Version != "" {
		damage.Found = "a wrong entry"
	}
	if k.opts.Repair {
		m.Subject = f.subject
		if err := k.repo.RestoreReferrer(ctx, d, m); err != nil {
			return object.RegistryError(err)
		}
		damage.Repair = Repaired
	}
	k.report(damage)
	return nil
}

// restoreHint writes the hint of a referrer again.
func (k *repoCheck) restoreHint(ctx context.Context, d digest.Digest, f manifestFacts) error {
	_, err := k.repo.Driver.Stat(ctx, k.repo.HintKey(f.subject, d, f.artifactType))
	if !errors.Is(err, driver.ErrNotExist) {
		return object.RegistryError(err)
	}
	e, err := k.repo.ReadEntry(ctx, k.repo.ReferrerKey(f.subject, d))
	if err != nil || e.Descriptor.Digest != d {
		return err
	}
	m, err := k.repo.ReadManifest(ctx, d)
	if err != nil || m.State != object.Visible || m.Version != f.version {
		return err
	}
	damage := Damage{Kind: WrongHint, Digest: d, Expected: "a hint of " + f.artifactType, Found: "nothing"}
	if k.opts.Repair {
		k.repo.PutHint(ctx, f.subject, e.Descriptor)
		damage.Repair = Repaired
	}
	k.report(damage)
	return nil
}

package gc

import (
	"context"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/internal/object"
)

// A referrer whose subject is not there is collected as any manifest is that nothing leads to. That
// its subject comes meanwhile, the push of that cannot tell the collector as others do: it would
// have to look for referrers, each time. So the collector tells the push: after it has marked
// referrers, it puts a record of the state awaited where the push will write its own. A push that
// finds one there, as its write fails, takes the marks off the referrers first, by their entries
// with the subject, and then writes on the version that it found. So the collector either finds
// that its mark is gone, or has removed the referrer before the subject came. A referrer goes
// before its entry, so that whoever takes marks off finds each that is there. Nobody else takes the
// record away without taking the marks off first: another collector may rely on it.

// wait is a subject that is awaited, by a record of the version.
type awaitedSubject struct {
	subject digest.Digest
	version string
}

// awaitSubjects has the subjects of referrers awaited that this collector has marked. Those whose
// subject has come are led to.
func (r *repoCollector) awaitSubjects(ctx context.Context, batch []garbageManifest) ([]awaitedSubject, error) {
	referrers := map[digest.Digest][]*garbageManifest{}
	var awaited []awaitedSubject
	for i := range batch {
		g := &batch[i]
		if g.mark == nil || !g.mark.Collected || g.mark.Subject == "" {
			continue
		}
		if referrers[g.mark.Subject] == nil {
			awaited = append(awaited, awaitedSubject{subject: g.mark.Subject})
		}
		referrers[g.mark.Subject] = append(referrers[g.mark.Subject], g)
	}
	err := r.parallel(len(awaited), func(i int) (err error) {
		awaited[i].version, err = r.putAwaited(ctx, awaited[i].subject)
		for _, g := range referrers[awaited[i].subject] {
			g.referenced = awaited[i].version == ""
		}
		return err
	})
	return slices.DeleteFunc(awaited, func(w awaitedSubject) bool { return w.version == "" }), err
}

// await puts a record of the state awaited in the place of a manifest, and returns its version; ""
// if the manifest is there, or on its way.
func (r *repoCollector) putAwaited(ctx context.Context, d digest.Digest) (version string, err error) {
	current := &object.Manifest{} // as it was a moment ago, most likely
	for n := range object.Attempts(ctx, &err) {
		if n > 0 {
			if current, err = r.repo.ReadManifest(ctx, d); err != nil {
				return "", err
			}
		}
		if !current.IsAwaitable() {
			return "", nil
		}
		// One that is there already is written again: who has found it may have taken the marks off
		// before there were these.
		m := &object.Manifest{State: object.Awaited, Nonce: object.NewNonce(), Sum: object.Checksum(nil)}
		version, err = r.objects.Put(ctx, r.repo.ManifestKey(d), current.Version, m, nil, driver.Relaxed)
		if !object.IsConflict(err) {
			return version, object.RegistryError(err)
		}
	}
	return "", err
}

// removeEntries removes the entries of referrers that were removed, as they were seen.
func (r *repoCollector) removeEntries(ctx context.Context, batch []garbageManifest) error {
	return r.parallel(len(batch), func(i int) error {
		if !batch[i].removed {
			return nil
		}
		return r.objects.RemovePointers(ctx, &object.Pointers{Entry: batch[i].pointers.Entry, Hint: batch[i].pointers.Hint})
	})
}

func (r *repoCollector) removeAllAwaited(ctx context.Context, awaited []awaitedSubject) error {
	return r.parallel(len(awaited), func(i int) error { return r.removeAwaited(ctx, awaited[i]) })
}

// endWait removes the record of a subject that is awaited, if it still has the version that was
// seen.
func (r *repoCollector) removeAwaited(ctx context.Context, a awaitedSubject) error {
	if err := r.repo.ReleaseReferrers(ctx, a.subject); err != nil {
		return err
	}
	return r.objects.RemoveIfUnchanged(ctx, r.repo.ManifestKey(a.subject), a.version)
}

package gc

import (
	"context"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry/storage/internal/object"
)

// awaitedSubject is a subject in place of which this collection has put a record of the state
// Awaited.
//
// A referrer of an absent subject is collected like any manifest that nothing leads to. A push of
// the subject cannot inform the collection as other pushes do: it would have to look for referrers
// each time. So the collection informs the push. After it has marked referrers, it puts a record of
// the state Awaited where the push will write the subject. The write of a push that does not expect
// the record fails. The push then takes the marks off the referrers, which it finds by their
// entries, and writes the subject on the version of the record. So either the collection finds that
// its mark is gone, or it has removed the referrer before the subject came.
//
// A referrer is removed before its entry, so that a push that takes marks off finds every referrer
// that is there. No process removes the record without taking the marks off first: another
// collection may rely on it. The model is internal/model/refs.pml.
type awaitedSubject struct {
	subject digest.Digest
	version string // of the record; "" if the subject is there or pending
}

// awaitSubjects puts records of the state Awaited in place of the subjects of the referrers in a
// batch that this collection has marked, and returns them. Referrers whose subject is there or
// pending become referenced.
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
		awaited[i].version, err = r.repo.PutAwaited(ctx, awaited[i].subject)
		for _, g := range referrers[awaited[i].subject] {
			g.referenced = awaited[i].version == ""
		}
		return err
	})
	return slices.DeleteFunc(awaited, func(w awaitedSubject) bool { return w.version == "" }), err
}

// removeEntries removes the entries and hints of the referrers that were removed, in the versions
// that were read.
func (r *repoCollector) removeEntries(ctx context.Context, batch []garbageManifest) error {
	return r.parallel(len(batch), func(i int) error {
		if !batch[i].removed {
			return nil
		}
		return r.objects.RemovePointers(ctx, &object.Pointers{Entry: batch[i].pointers.Entry, Hint: batch[i].pointers.Hint})
	})
}

// removeAllAwaited removes the Awaited records of the subjects.
func (r *repoCollector) removeAllAwaited(ctx context.Context, awaited []awaitedSubject) error {
	return r.parallel(len(awaited), func(i int) error {
		return r.repo.RemoveAwaited(ctx, awaited[i].subject, awaited[i].version)
	})
}

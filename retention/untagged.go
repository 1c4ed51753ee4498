package retention

import (
	"context"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/manifest"
)

// maxEvents is the maximum number of events that are read to find out since when manifests are
// untagged.
const maxEvents = 10_000

// findSince finds out since when the untagged manifests are untagged: from the history, or else
// from when an evaluation first saw them untagged. Both are at or after the truth, so the earlier
// one counts.
func (e *evaluator) findSince(ctx context.Context) error {
	if len(e.untagged) == 0 {
		return nil
	}
	if err := e.needNotes(ctx); err != nil {
		return err
	}
	e.firstSeen(time.Now())
	if e.p.store.Inventory().HistoryTime() == 0 {
		return nil
	}
	since, err := e.historySince(ctx)
	if err != nil {
		return err
	}
	for _, t := range e.untagged {
		if at, ok := since[t.digest]; ok && (t.set.IsZero() || at.Before(t.set)) {
			t.set = at
		}
	}
	return nil
}

// firstSeen sets since when the manifests were seen untagged by evaluations, and notes those that
// this one sees first.
//
// A manifest may have been tagged and untagged again between two evaluations. A push that sets a
// tag, and a HEAD before it, write the record of the manifest again if it is older than half the
// grace period. So a manifest counts as seen only once its record is that old: from then on, a tag
// changes the version of the record. Without a grace period, and if an index has named the manifest
// in between, that is not noticed.
func (e *evaluator) firstSeen(now time.Time) {
	settled := now.Add(-e.p.store.Inventory().Grace() / 2)
	seen := make(map[string]seconds, len(e.untagged))
	limit := e.p.noteLimit()
	var fresh []*item
	for _, t := range e.untagged {
		key := noteKey(t.node)
		if at, ok := e.notes.Seen[key]; ok && t.node.version != "" {
			seen[key], t.set = at, at.Time()
		} else if t.node.version != "" && t.node.time.Before(settled) {
			fresh = append(fresh, t)
		}
	}
	for _, t := range fresh {
		if len(seen) >= limit {
			break // these wait until there is room: others go before them
		}
		at := inSeconds(now)
		seen[noteKey(t.node)], t.set = at, at.Time()
		e.notes.changed = true
	}
	if len(seen) != len(e.notes.Seen) {
		e.notes.changed = true
	}
	e.notes.Seen = seen
}

// historySince returns since when manifests are untagged by the history. It has no answer for a
// manifest whose last tag is older than the history, or behind more than maxEvents events.
func (e *evaluator) historySince(ctx context.Context) (map[digest.Digest]time.Time, error) {
	since := make(map[digest.Digest]time.Time, len(e.untagged))
	subjects := map[digest.Digest]time.Time{}
	open := map[digest.Digest]bool{}
	for _, t := range e.untagged {
		open[t.digest] = true
	}
	var indexes time.Time // the last delete of a manifest that may have named others
	number := 0
	for h, err := range e.p.store.History(ctx, e.repo, nil) {
		if err != nil {
			return nil, err
		}
		if number++; number > maxEvents || len(open) == 0 {
			break
		}
		if h.Change == registry.ChangeDeleteRepository || h.Change == registry.ChangeDelete && namesManifests(h.Before) {
			indexes = later(indexes, h.Time)
		}
		for _, d := range []*ocispec.Descriptor{h.Before, h.After} {
			if d == nil {
				continue
			}
			if h.Change == registry.ChangeDelete {
				subjects[d.Digest] = later(subjects[d.Digest], h.Time)
			}
			if open[d.Digest] { // the newest event comes first
				delete(open, d.Digest)
				since[d.Digest] = later(h.Time, indexes)
			}
		}
	}
	for _, t := range e.untagged {
		if at, ok := since[t.digest]; ok && t.node.subject != "" {
			since[t.digest] = later(at, subjects[t.node.subject])
		}
	}
	return since, nil
}

// namesManifests reports whether a manifest of that type may name other manifests.
func namesManifests(d *ocispec.Descriptor) bool {
	return d == nil || d.MediaType != ocispec.MediaTypeImageManifest && d.MediaType != manifest.MediaTypeDockerManifest &&
		d.MediaType != manifest.MediaTypeArtifactManifest
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

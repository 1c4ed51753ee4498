package interleave

import (
	"context"
	"slices"
)

// deleted reports whether an operation may have deleted a manifest at the time given or later.
func (w *world) deleted(repo string, m, since int) bool {
	return slices.ContainsFunc(w.ops, func(o *op) bool {
		return o.repo == repo && until(o) >= since && (o.kind == opDeleteRepo || o.kind == opDelete && o.man == m)
	})
}

// deletedBlob reports whether a delete of a blob may have had an effect at the time given or later.
// A delete of the repository does not count, because the repository keeps a blob that one of its
// manifests still needs.
func (w *world) deletedBlob(repo string, b, since int) bool {
	return slices.ContainsFunc(w.ops, func(o *op) bool {
		return o.repo == repo && until(o) >= since && o.kind == opDeleteBlob && o.blob == b
	})
}

// deletedUnused reports whether a delete of unused manifests may have removed a manifest at the time
// given or later.
func (w *world) deletedUnused(repo string, m, since int) bool {
	return slices.ContainsFunc(w.ops, func(o *op) bool {
		return o.repo == repo && until(o) >= since && o.kind == opUnused && o.man == m
	})
}

// interfered reports whether a client may have deleted a manifest, or anything below it, at the
// time given or later.
func (w *world) interfered(repo string, m, since int) bool {
	return w.deleted(repo, m, since) || w.deletedUnused(repo, m, since) ||
		slices.ContainsFunc(w.mans[m].blobs, func(b int) bool { return w.deletedBlob(repo, b, since) }) ||
		slices.ContainsFunc(w.mans[m].children, func(c int) bool { return w.interfered(repo, c, since) })
}

// deletedBelow reports whether any client may have deleted a blob that a manifest reaches.
func (w *world) deletedBelow(repo string, m int) bool {
	return slices.ContainsFunc(w.mans[m].blobs, func(b int) bool { return w.deletedBlob(repo, b, 0) }) ||
		slices.ContainsFunc(w.mans[m].children, func(c int) bool { return w.deletedBelow(repo, c) })
}

// standingPuts returns the acknowledged pushes and restores of a manifest that no delete can have
// undone.
func (w *world) standingPuts(repo string, m int) []*op {
	var found []*op
	for _, o := range w.ops {
		if o.repo == repo && o.acked && (o.kind == opPut && o.man == m || slices.Contains(o.restored, m)) &&
			!w.deleted(repo, m, o.start) {
			found = append(found, o)
		}
	}
	return found
}

// referrers returns the referrers that a repository has, with their entries. Nothing but their
// subject protects them from a collection of untagged manifests. A referrer that is being pushed is
// left out: a collection may have removed it before, and its entry may not exist yet.
func (w *world) referrers(repo string) (found []int) {
	if !w.mode.untagged {
		return nil // no collection removes what was pushed
	}
	ctx := context.Background()
	for r, man := range w.mans {
		if man.subject < 0 || len(w.standingPuts(repo, r)) == 0 || w.pushing(repo, r) {
			continue
		}
		if _, err := w.observer.StatManifest(ctx, repo, byDigest(man.desc.Digest), nil); err == nil &&
			w.checkReferrer(ctx, repo, r) == nil {
			found = append(found, r)
		}
	}
	return found
}

// pushing reports whether an actor may be pushing a manifest, or has died while pushing it.
func (w *world) pushing(repo string, m int) bool {
	return slices.ContainsFunc(w.ops, func(o *op) bool {
		return o.repo == repo && o.end == 0 && (o.kind == opRestore || o.kind == opRestoreTag ||
			o.kind == opPut && o.man == m)
	})
}

// wasReferrer reports whether a referrer existed at the time given or later, and no delete can have
// removed it since. With the time from which its subject has existed, it reports whether the
// referrer must exist.
func (w *world) wasReferrer(repo string, r, since int) bool {
	return slices.ContainsFunc(w.ops, func(o *op) bool {
		return o.repo == repo && o.acked && o.end >= since && slices.Contains(o.referred, r) && !w.deleted(repo, r, o.end)
	})
}

// kept returns the manifests that keptTag reaches. No delete damages them.
func (w *world) kept(repo string) map[int]bool {
	kept := map[int]bool{}
	for _, o := range w.ops {
		if o.repo == repo && o.acked && o.kind == opPut && o.tag == keptTag {
			kept[o.man] = true
		}
	}
	w.addChildren(kept)
	return kept
}

// intact returns the manifests that must exist, with everything below them.
func (w *world) intact(repo string) []int {
	var found []int
	all := w.required(repo)
	for m, required := range all {
		if required && !w.damaged(repo, m, all) {
			found = append(found, m)
		}
	}
	slices.Sort(found)
	return found
}

// damaged reports whether anything below a manifest may be missing: a blob that was deleted, or a
// manifest that was deleted and is not required.
func (w *world) damaged(repo string, m int, required map[int]bool) bool {
	return slices.ContainsFunc(w.mans[m].blobs, func(b int) bool { return w.deletedBlob(repo, b, 0) }) ||
		slices.ContainsFunc(w.mans[m].children, func(c int) bool {
			return !required[c] && w.deleted(repo, c, 0) || w.damaged(repo, c, required)
		})
}

// addChildren adds to a set of manifests everything below them.
func (w *world) addChildren(mans map[int]bool) {
	for m := len(w.mans) - 1; m >= 0; m-- { // children come before those that name them
		if mans[m] {
			for _, c := range w.mans[m].children {
				mans[c] = true
			}
		}
	}
}

// required returns the manifests that must exist.
func (w *world) required(repo string) map[int]bool {
	stands, required := map[int]bool{}, map[int]bool{}
	for m := range w.mans {
		stands[m] = len(w.standingPuts(repo, m)) > 0
	}
	if !w.mode.untagged {
		required = stands
	} else {
		// Collections remove untagged manifests. A manifest is safe from them only if a tag points
		// at it, or if it is a referrer of such a manifest.
		for _, tag := range w.tags {
			m, since := w.certainTarget(repo, tag)
			if m < 0 || !stands[m] {
				continue
			}
			required[m] = true
			later := func(o *op) bool { return o.start > since }
			for r, man := range w.mans {
				if man.subject == m && (w.wasReferrer(repo, r, since) ||
					slices.ContainsFunc(w.standingPuts(repo, r), later)) {
					required[r] = true
				}
			}
		}
	}
	for m := range w.kept(repo) {
		required[m] = true
	}
	return required
}

package interleave

import (
	"context"
	"slices"
)

// deleted reports whether an operation that could still do something at a time or later deletes the
// manifest.
func (w *world) deleted(repo string, m, since int) bool {
	return slices.ContainsFunc(w.ops, func(o *op) bool {
		return o.repo == repo && until(o) >= since && (o.kind == opDeleteRepo || o.kind == opDelete && o.man == m)
	})
}

// deletedBlob is the same for a blob, which its repository keeps if it still has a manifest that
// needs it.
func (w *world) deletedBlob(repo string, b, since int) bool {
	return slices.ContainsFunc(w.ops, func(o *op) bool {
		return o.repo == repo && until(o) >= since && o.kind == opDeleteBlob && o.blob == b
	})
}

// interfered reports whether somebody may have deleted a manifest, or something below it, at a time
// or later.
func (w *world) interfered(repo string, m, since int) bool {
	return w.deleted(repo, m, since) || slices.ContainsFunc(w.mans[m].blobs,
		func(b int) bool { return w.deletedBlob(repo, b, since) }) ||
		slices.ContainsFunc(w.mans[m].children, func(c int) bool { return w.interfered(repo, c, since) })
}

// deletedBelow reports whether somebody may ever have deleted a blob that a manifest reaches.
func (w *world) deletedBelow(repo string, m int) bool {
	return slices.ContainsFunc(w.mans[m].blobs, func(b int) bool { return w.deletedBlob(repo, b, 0) }) ||
		slices.ContainsFunc(w.mans[m].children, func(c int) bool { return w.deletedBelow(repo, c) })
}

// standingPuts are the acknowledged pushes of a manifest that nobody can have undone.
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

// referrers are those of a repository that are there, pushed by somebody who has no other claim
// than that their subject be there. One that somebody is pushing again may have been collected
// before, and not have its entry yet.
func (w *world) referrers(repo string) (found []int) {
	if !w.mode.untagged {
		return nil // all that was pushed stays
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

// pushing reports whether somebody may be pushing a manifest, or has died while he did.
func (w *world) pushing(repo string, m int) bool {
	return slices.ContainsFunc(w.ops, func(o *op) bool {
		return o.repo == repo && o.end == 0 && (o.kind == opRestore || o.kind == opRestoreTag ||
			o.kind == opPut && o.man == m)
	})
}

// wasReferrer reports whether a referrer was there at some time since its subject is there, so that nobody
// but a delete can have removed it.
func (w *world) wasReferrer(repo string, r, since int) bool {
	return slices.ContainsFunc(w.ops, func(o *op) bool {
		return o.repo == repo && o.acked && o.end >= since && slices.Contains(o.referred, r) && !w.deleted(repo, r, o.end)
	})
}

// kept are the manifests that a kept tag reaches, which no delete harms.
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

// intact are the manifests that must be there with all that is below them.
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

// damaged reports whether a blob may be missing below a manifest because it was deleted, or a
// manifest that is not required.
func (w *world) damaged(repo string, m int, required map[int]bool) bool {
	return slices.ContainsFunc(w.mans[m].blobs, func(b int) bool { return w.deletedBlob(repo, b, 0) }) ||
		slices.ContainsFunc(w.mans[m].children, func(c int) bool {
			return !required[c] && w.deleted(repo, c, 0) || w.damaged(repo, c, required)
		})
}

// addChildren adds to manifests those that they name.
func (w *world) addChildren(mans map[int]bool) {
	for m := len(w.mans) - 1; m >= 0; m-- { // children come before those that name them
		if mans[m] {
			for _, c := range w.mans[m].children {
				mans[c] = true
			}
		}
	}
}

// required are the manifests that must be there.
func (w *world) required(repo string) map[int]bool {
	stands, required := map[int]bool{}, map[int]bool{}
	for m := range w.mans {
		stands[m] = len(w.standingPuts(repo, m)) > 0
	}
	if !w.mode.untagged {
		required = stands
	} else {
		// Whoever pushes without a tag has no claim, unless somebody else has one that the manifest
		// be there.
		for _, tag := range w.tags {
			m, since := w.certainTarget(repo, tag)
			if m < 0 || !stands[m] {
				continue
			}
			required[m] = true
			for r, man := range w.mans {
				if man.subject == m && (w.wasReferrer(repo, r, since) || slices.ContainsFunc(w.standingPuts(repo, r),
					func(o *op) bool { return o.start > since })) {
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

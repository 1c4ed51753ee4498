package interleave

import (
	"math"
	"slices"
)

// Where a tag points, if that is not the number of a manifest: anything if it may be any manifest,
// absent if the tag does not exist.
const (
	anything = -2
	absent   = -1
)

// write is a write or a delete of a tag.
type write struct {
	start, end int
	sure       bool // it was done, whatever the tag was before
	value      int
}

// writes returns the writes of a tag that no later write has certainly replaced. It also returns
// the deletes of manifests, each of which deletes the tag if it points at the manifest. A delete of an
// unused manifest never deletes a tag.
func (w *world) writes(repo, tag string) (last []write, deletes []*op) {
	writes := []write{{value: absent}}
	var created []write // those that had an effect only if the tag was absent
	for _, o := range w.ops {
		if o.repo != repo || o.tag != "" && o.tag != tag || o.kind == opDeleteBlob || o.kind == opUnused ||
			o.kind == opPut && o.tag == "" {
			continue
		}
		at := write{start: o.start, end: until(o), sure: o.acked}
		// An operation that failed has left the tag as it was, with one exception: it may have
		// created the tag, which another operation has moved since. A delete that failed did not
		// find the tag.
		to := &writes
		if o.end > 0 && !o.acked {
			to = &created
		}
		switch o.kind {
		case opPut:
			at.value = o.man
		case opUntag:
			at.value = absent
		case opDeleteRepo:
			at.value, to = absent, &writes // it may have been done in part
		case opDelete:
			deletes = append(deletes, o)
			continue
		case opRestoreTag:
			if at.value = anything; o.acked {
				at.value = o.man
			}
		case opRestore:
			at.value, at.sure, to = anything, false, &created
		}
		*to = append(*to, at)
	}
	for _, at := range created {
		if absentBetween(writes, deletes, at.start, at.end) {
			last = append(last, at)
		}
	}
	// A tag that a failed operation created either remains or is removed again. So a creation does
	// not replace other writes.
	last = slices.DeleteFunc(append(last, writes...), func(at write) bool {
		return slices.ContainsFunc(writes, func(later write) bool { return later.sure && later.start > at.end })
	})
	return last, deletes
}

// absentBetween reports whether, according to the writes and deletes given, a tag may have been
// absent at some time between start and end.
func absentBetween(writes []write, deletes []*op, start, end int) bool {
	return slices.ContainsFunc(writes, func(at write) bool {
		replaced := slices.ContainsFunc(writes, func(later write) bool {
			return later.sure && later.start > at.end && later.end < start
		})
		if at.start > end || replaced {
			return false
		}
		return at.value == absent || at.value == anything || slices.ContainsFunc(deletes, func(o *op) bool {
			return o.man == at.value && until(o) > at.start && o.start < end
		})
	})
}

// mayPointAt returns what a tag may point at: numbers of manifests, absent or anything.
func (w *world) mayPointAt(repo, tag string) []int {
	var values []int
	last, deletes := w.writes(repo, tag)
	for _, at := range last {
		gone := false
		for _, o := range deletes {
			if at.value == o.man || at.value == anything {
				if until(o) > at.start {
					values = append(values, absent)
				}
				gone = gone || at.value == o.man && o.acked && o.start > at.end
			}
		}
		if !gone {
			values = append(values, at.value)
		}
	}
	return values
}

// certainTarget returns the manifest that a tag points at, and since when it certainly has done so.
// It returns -1 if the manifest is not certain.
func (w *world) certainTarget(repo, tag string) (m, since int) {
	values := w.mayPointAt(repo, tag)
	if slices.ContainsFunc(values, func(v int) bool { return v != values[0] || v < 0 }) {
		return -1, 0
	}
	since = math.MaxInt
	last, _ := w.writes(repo, tag)
	for _, at := range last {
		if at.sure && at.value == values[0] {
			since = min(since, at.end)
		}
	}
	return values[0], since
}

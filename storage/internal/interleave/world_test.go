package interleave

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver"
)

// fixture is what the actors of a run push and delete: little, so that they get in each other's
// way.
type fixture struct {
	repos []string
	tags  []string
	blobs []fixtureBlob
	mans  []fixtureManifest
}

type fixtureBlob struct {
	content []byte
	desc    ocispec.Descriptor
}

type fixtureManifest struct {
	content  []byte
	desc     ocispec.Descriptor
	blobs    []int
	children []int
	subject  int // -1 is none
}

// keptTag is the tag that deletes keep, in the runs where they keep any.
const keptTag = "keep"

func newFixture() *fixture {
	f := &fixture{repos: []string{"a", "b/c"}, tags: []string{"t0", "t1"}}
	for i, b := range [][]byte{[]byte("{}"), []byte(`{"a":1}`), random(1, storage.InlineSize+1000),
		random(2, 2*storage.InlineSize)} {
		mediaType := ocispec.MediaTypeImageLayer
		if i < 2 {
			mediaType = ocispec.MediaTypeImageConfig
		}
		f.blobs = append(f.blobs, fixtureBlob{b, ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(b),
			Size: int64(len(b))}})
	}
	f.image("0", -1, 0, 2)
	f.image("1", -1, 0, 2, 3)
	f.image("2", -1, 1, 3)
	f.image("referrer", 0, 0)
	f.index([]int{0, 1})
	f.index([]int{2}, 2)
	return f
}

func (f *fixture) image(name string, subject int, blobs ...int) {
	var of *ocispec.Descriptor
	if subject >= 0 {
		of = &f.mans[subject].desc
	}
	var descs []ocispec.Descriptor
	for _, b := range blobs {
		descs = append(descs, f.blobs[b].desc)
	}
	content, _ := json.Marshal(ocispec.Manifest{
		Versioned:   specs.Versioned{SchemaVersion: 2},
		MediaType:   ocispec.MediaTypeImageManifest,
		Config:      descs[0],
		Layers:      descs[1:],
		Subject:     of,
		Annotations: map[string]string{"a": name},
	})
	f.mans = append(f.mans, fixtureManifest{content: content, blobs: blobs, subject: subject, desc: ocispec.Descriptor{
		MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromBytes(content), Size: int64(len(content)),
	}})
}

// index adds an index of manifests and blobs.
func (f *fixture) index(children []int, blobs ...int) {
	x := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex}
	for _, c := range children {
		x.Manifests = append(x.Manifests, f.mans[c].desc)
	}
	for _, b := range blobs {
		desc := f.blobs[b].desc
		desc.MediaType = "application/vnd.example.cache"
		x.Manifests = append(x.Manifests, desc)
	}
	content, _ := json.Marshal(x)
	f.mans = append(f.mans, fixtureManifest{content: content, blobs: blobs, children: children, subject: -1,
		desc: ocispec.Descriptor{
			MediaType: ocispec.MediaTypeImageIndex, Digest: digest.FromBytes(content), Size: int64(len(content)),
		}})
}

// number is the number of a manifest, -1 of one that is none.
func (f *fixture) number(d digest.Digest) int {
	return slices.IndexFunc(f.mans, func(m fixtureManifest) bool { return m.desc.Digest == d })
}

// opKind is what an actor does.
type opKind string

const (
	opPut        opKind = "put"
	opUntag      opKind = "untag"
	opDelete     opKind = "delete"
	opDeleteBlob opKind = "delete blob"
	opDeleteRepo opKind = "delete repository"
	opRestoreTag opKind = "restore tag"
	opRestore    opKind = "restore"
)

// op is an operation that changes what a repository has, with what is known of it. Times are those
// of the clock of the schedule.
type op struct {
	actor    *actor // nil is the test itself
	kind     opKind
	repo     string
	man      int // the manifest; of opRestoreTag the one that the tag points at since
	blob     int
	tag      string
	ensured  int // when its actor began to see to it that all is there that the manifest names; 0 if it did not
	start    int
	end      int // 0 if it has not ended
	acked    bool
	refused  bool      // it was told to send again what its manifest names
	from, to time.Time // when it began and ended, by the clock of the bubble
	restored []int     // manifests that a restore has told of
	had      []int     // manifests that a delete has found, whole
	referred []int     // referrers that were there, with their entries, when it was acknowledged
}

// world is the storage of a run and what its actors have been told.
type world struct {
	*fixture
	s      *schedule
	raw    driver.Driver
	stores []*storage.Store // the replicas
	eyes   *storage.Store   // sees what is stored, between two calls of the actors
	mode   mode
	// What the actors use, so that they meet.
	places []string
	images []int
	labels []string

	ops     []*op
	changes []*change
	refused []op // pushes that were refused
	acks    int

	collections int
}

// mode is how a run is.
type mode struct {
	history  bool   // a history is kept
	untagged bool   // collectors remove manifests without tags
	keep     bool   // deletes keep a tag
	grace    string // see graces
	theme    string // see themes
	expiring bool   // uploads expire soon
}

// begin notes that an operation begins.
func (w *world) begin(o op) *op {
	o.start, o.from = w.s.tick(o.actor, "begins: %s", w.text(&o)), time.Now()
	if o.kind == opDelete || o.kind == opDeleteRepo {
		o.had = w.whole(o.repo)
	}
	w.ops = append(w.ops, &o)
	return &o
}

// ended notes that an operation has ended, and checks the storage if it was acknowledged. expected
// are the errors that it may end with.
func (w *world) ended(o *op, err error, expected ...error) {
	if errors.Is(err, errOver) || o.actor != nil && o.actor.dead {
		return
	}
	o.end, o.to = w.s.tick(o.actor, "ended: %s: %v", w.text(o), err), time.Now()
	o.acked, o.refused = err == nil, errors.Is(err, registry.ErrManifestBlobUnknown)
	if err != nil {
		w.unexpected(o.actor, w.text(o), err, expected...)
		w.s.fail(w.checkOnce(o))
		return
	}
	w.acks++
	w.s.fail(w.check())
	o.referred = w.referrers(o.repo)
}

// unexpected fails the run if err is none of those expected.
func (w *world) unexpected(a *actor, what string, err error, expected ...error) {
	if err == nil || errors.Is(err, errOver) || slices.ContainsFunc(expected,
		func(e error) bool { return errors.Is(err, e) }) {
		return
	}
	var e *registry.Error
	if errors.As(err, &e) {
		err = errors.Join(err, errors.Unwrap(e))
	}
	name := "the test"
	if a != nil {
		name = fmt.Sprint(a.id, " ", a.name)
	}
	w.s.fail(fmt.Errorf("%s, %s: unexpected error: %w", name, what, err))
}

func (w *world) text(o *op) string {
	switch o.kind {
	case opPut:
		return fmt.Sprintf("put %s manifest %d tag %q", o.repo, o.man, o.tag)
	case opUntag, opRestoreTag:
		return fmt.Sprintf("%s %s:%s", o.kind, o.repo, o.tag)
	case opDeleteBlob:
		return fmt.Sprintf("delete %s blob %d", o.repo, o.blob)
	case opDeleteRepo:
		return fmt.Sprintf("delete %s", o.repo)
	}
	if o.man < 0 {
		return fmt.Sprintf("%s %s", o.kind, o.repo)
	}
	return fmt.Sprintf("%s %s manifest %d", o.kind, o.repo, o.man)
}

// until is when an operation can do nothing any more: its end, or when its actor died.
func until(o *op) int {
	switch {
	case o.end > 0:
		return o.end
	case o.actor != nil && o.actor.dead:
		return o.actor.diedAt
	}
	return math.MaxInt
}

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

// stands are the acknowledged pushes of a manifest that nobody can have undone.
func (w *world) stands(repo string, m int) []*op {
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
		if man.subject < 0 || len(w.stands(repo, r)) == 0 || w.pushing(repo, r) {
			continue
		}
		if _, err := w.eyes.StatManifest(ctx, repo, byDigest(man.desc.Digest), nil); err == nil &&
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

// came reports whether a referrer was there at some time since its subject is there, so that nobody
// but a delete can have removed it.
func (w *world) came(repo string, r, since int) bool {
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
	w.below(kept)
	return kept
}

// whole are the manifests that must be there with all that is below them.
func (w *world) whole(repo string) []int {
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

// below adds to manifests those that they name.
func (w *world) below(mans map[int]bool) {
	for m := len(w.mans) - 1; m >= 0; m-- { // children come before those that name them
		if mans[m] {
			for _, c := range w.mans[m].children {
				mans[c] = true
			}
		}
	}
}

// anything stands for a tag that may point at any manifest, absent for one that is not there.
const (
	anything = -2
	absent   = -1
)

// write is a write of a tag.
type write struct {
	start, end int
	sure       bool // it was done, whatever was there before
	value      int
}

// writes returns the writes of a tag that have not certainly been replaced, and the deletes of
// manifests, which are deletes of the tag if it points there.
func (w *world) writes(repo, tag string) (last []write, deletes []*op) {
	writes := []write{{value: absent}}
	var created []write // of a tag that is absent, or none
	for _, o := range w.ops {
		if o.repo != repo || o.tag != "" && o.tag != tag || o.kind == opDeleteBlob || o.kind == opPut && o.tag == "" {
			continue
		}
		at := write{start: o.start, end: until(o), sure: o.acked}
		// Who was refused has left the tag as it was, but for one that he has created and that is
		// another's by now, and who deletes one did not find it.
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
			at.value, to = absent, &writes // it may have come half-way
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
	// What was created stays or goes again, which leaves the tag as it was: so one that was created
	// does not let others be.
	last = slices.DeleteFunc(append(last, writes...), func(at write) bool {
		return slices.ContainsFunc(writes, func(later write) bool { return later.sure && later.start > at.end })
	})
	return last, deletes
}

// absentBetween reports whether a tag may have been absent at some time, as far as that follows
// from writes and deletes.
func absentBetween(writes []write, deletes []*op, start, end int) bool {
	return slices.ContainsFunc(writes, func(at write) bool {
		if at.start > end || slices.ContainsFunc(writes, func(later write) bool {
			return later.sure &&
				later.start > at.end && later.end < start
		}) {
			return false
		}
		return at.value == absent || at.value == anything || slices.ContainsFunc(deletes, func(o *op) bool {
			return o.man == at.value && until(o) > at.start && o.start < end
		})
	})
}

// may returns what a tag may point at.
func (w *world) may(repo, tag string) []int {
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

// settled returns the manifest that a tag points at, and since when it certainly has done so; -1 if
// that is not certain.
func (w *world) settled(repo, tag string) (m, since int) {
	values := w.may(repo, tag)
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

// required are the manifests that must be there.
func (w *world) required(repo string) map[int]bool {
	stands, required := map[int]bool{}, map[int]bool{}
	for m := range w.mans {
		stands[m] = len(w.stands(repo, m)) > 0
	}
	if !w.mode.untagged {
		required = stands
	} else {
		// Whoever pushes without a tag has no claim, unless somebody else has one that the manifest
		// be there.
		for _, tag := range w.tags {
			m, since := w.settled(repo, tag)
			if m < 0 || !stands[m] {
				continue
			}
			required[m] = true
			for r, man := range w.mans {
				if man.subject == m && (w.came(repo, r, since) || slices.ContainsFunc(w.stands(repo, r),
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

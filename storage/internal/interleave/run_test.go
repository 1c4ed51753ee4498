package interleave

import (
	"context"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/storage"
)

// runner runs seeds, one at a time.
type runner struct {
	fixture *fixture
	random  *seeded
}

// newRunner returns a runner. Until the test ends, it replaces the source of crypto/rand.
func newRunner(t *testing.T) *runner {
	return &runner{fixture: newFixture(), random: seededRandomness(t)}
}

// config selects a run.
type config struct {
	seed   uint64
	mix    string  // "" lets the seed choose a mix
	mutant *mutant // nil for a driver that keeps its contract
	detail bool    // the story says what objects hold, and is returned even if the run succeeds
}

// result is the outcome of a run.
type result struct {
	err   error
	story string // the calls of the run, one per line, if it failed or if detail was set
	calls int    // storage calls
	acks  int    // acknowledged changes
}

// run runs one seed, in a bubble of its own, whose clock always begins at the same time.
func (u *runner) run(t *testing.T, c config) (r result) {
	synctest.Test(t, func(t *testing.T) {
		u.random.seed(c.seed)
		w := newWorld(t, u.fixture, c)
		r.err = w.run(t.Context())
		r.story, r.calls, r.acks = "", w.s.calls, w.acks
		if r.err != nil || c.detail {
			r.story = w.s.story()
		}
	})
	return r
}

// mode holds the choices that are made once for a run.
type mode struct {
	history  bool   // the Stores keep a history
	untagged bool   // collectors remove untagged manifests
	keep     bool   // deletes keep keptTag
	grace    string // a key of graces
	mix      string // a key of mixes
	expiring bool   // uploads expire soon
}

// graces are the grace periods of the Stores: none, a few dozen calls, and more than any run takes.
// With "mixed", the pushes rely on a day but the collectors use no grace period. Then a push may be
// refused several times in a row, and nothing else may go wrong.
var graces = map[string]time.Duration{"none": -1, "short": 40 * step, "day": storage.DefaultGrace,
	"mixed": storage.DefaultGrace}

// historyKept is how long the Stores keep a history, if they keep one. It is longer than a run, and
// than the time until abandoned uploads expire.
const historyKept = 4 * storage.DefaultUploadTTL

// chooseMode draws the mode of a run.
func chooseMode(rnd *mathrand.Rand, c config) mode {
	m := mode{
		history: rnd.IntN(3) == 0, untagged: rnd.IntN(3) == 0, keep: rnd.IntN(4) == 0,
		grace: []string{"none", "none", "none", "short", "day"}[rnd.IntN(5)], expiring: rnd.IntN(4) == 0,
	}
	if m.grace == "day" && c.seed%4 == 1 {
		m.grace = "mixed"
	}
	m.mix = []string{"all", "all", "tags", "again", "bytes", "bytes", "undo", "whole"}[rnd.IntN(8)]
	if c.seed%8 == 7 {
		m.mix = "referrers"
	}
	if c.mix != "" {
		m.mix = c.mix
	}
	switch m.mix {
	case "undo":
		m.history = true
	case "bytes":
		m.grace = "none"
	case "referrers", "pointers", "unused":
		m.grace, m.untagged = "none", true
	}
	return m
}

func newWorld(t *testing.T, f *fixture, c config) *world {
	raw := newMemory(t)
	w := &world{fixture: f, raw: raw, s: newSchedule(c.seed, raw)}
	w.s.detail = c.detail
	rnd := w.s.rnd
	w.mode = chooseMode(rnd, c)
	w.s.tick(&actor{name: "mode"}, "%+v", w.mode)
	w.focus(rnd)
	below := raw
	if c.mutant != nil {
		below = c.mutant.on(raw)
	}
	for range 1 + rnd.IntN(3) {
		w.stores = append(w.stores, newStore(t, &scheduled{s: w.s, below: below}, w.options()))
	}
	w.observer = newStore(t, raw, w.options())
	w.addActors(c.seed)
	return w
}

// options returns the options of all Stores of a run.
func (w *world) options() *storage.Options {
	o := &storage.Options{Grace: graces[w.mode.grace]}
	if w.mode.history {
		o.History = historyKept
	}
	if w.mode.expiring {
		o.UploadTTL = 5 * time.Second
	}
	return o
}

// focus chooses the part of the fixture that the actors use. It is small, so that they conflict.
func (w *world) focus(rnd *mathrand.Rand) {
	w.places, w.labels = w.repos, w.tags
	if rnd.IntN(2) == 0 {
		w.places = w.repos[:1]
	}
	if rnd.IntN(2) == 0 {
		w.labels = w.tags[:1]
	}
	for range []int{1, 2, 2, 3, 12}[rnd.IntN(5)] {
		w.images = append(w.images, rnd.IntN(len(w.mans)))
	}
	switch w.mode.mix {
	case "whole": // a repository is deleted and pushed to again
		w.places = w.repos[:1]
	case "again": // one image is pushed and deleted again and again
		w.places, w.images = w.repos[:1], w.images[:1]
	case "bytes":
		w.places = w.repos
		w.images = []int{[]int{0, 2}[rnd.IntN(2)]}
	case "referrers":
		w.places, w.images = w.repos[:1], []int{0, 0, 3}
	case "conditions":
		w.ownFixture()
		w.places = w.repos[:1]
	case "unused": // an index, its children, a referrer and its subject
		w.places = w.repos[:1]
	case "pointers": // a tag leaves a manifest and returns to it while that is being deleted
		w.places, w.labels, w.images = w.repos[:1], w.tags[:1], []int{0, 1}
	}
}

// run prepares the storage, lets the actors work, and checks what they leave.
func (w *world) run(ctx context.Context) error {
	alone := &client{actor: &actor{name: "before"}, w: w, store: w.observer}
	alone.rnd = w.s.rnd
	if err := w.prepare(ctx, alone); err != nil {
		return err
	}
	w.s.run(ctx, func() {
		if w.s.rnd.IntN(2) == 0 {
			w.s.fail(w.collectBeside(ctx))
			w.s.fail(w.check())
		}
	})
	if w.s.failed != nil {
		return w.s.failed
	}
	return w.after(ctx, alone)
}

// prepare pushes content that the actors can delete and share, in most runs.
func (w *world) prepare(ctx context.Context, alone *client) error {
	for n := w.s.rnd.IntN(4); n > 0 && w.mode.mix != "bytes" && w.mode.mix != "referrers"; n-- {
		alone.push(ctx, alone.repo(), alone.image(), []string{"", "t0", "t1"}[w.s.rnd.IntN(3)])
	}
	switch w.mode.mix {
	case "referrers": // the referrer comes before its subject
		alone.push(ctx, w.places[0], 3, "")
	case "tags": // the tag is there to be moved
		alone.push(ctx, alone.repo(), alone.image(), w.labels[0])
	case "bytes": // the blob is there to be mounted before it is collected
		blobs := w.mans[w.images[0]].blobs
		if err := alone.upload(ctx, w.repos[0], blobs[len(blobs)-1]); err != nil {
			return err
		}
	}
	if w.mode.grace == "day" {
		return w.age(ctx, alone)
	}
	return nil
}

// age uploads blobs, some of which no manifest names, and lets everything become so old that its
// grace period is over or about to end.
func (w *world) age(ctx context.Context, alone *client) error {
	for _, m := range w.images {
		for _, b := range w.mans[m].blobs {
			if err := alone.upload(ctx, w.places[0], b); err != nil {
				return err
			}
		}
	}
	time.Sleep(graces["day"] - time.Duration(w.s.rnd.IntN(60))*step)
	return nil
}

// after checks what is left when all actors have ended or died, and again after collections that
// run alone.
func (w *world) after(ctx context.Context, alone *client) error {
	alone.actor.name = "after"
	w.s.over = false
	if err := errors.Join(w.check(), w.checkChanges(ctx), w.checkDangling(ctx)); err != nil {
		return fmt.Errorf("at the end: %w", err)
	}
	for range 2 {
		if err := errors.Join(w.collectAlone(ctx), w.check()); err != nil {
			return fmt.Errorf("after a collection: %w", err)
		}
	}
	// A push that was refused succeeds when it is alone.
	for _, o := range w.refused {
		err := alone.tryPush(ctx, o.repo, o.man, o.tag)
		if err != nil && !errors.Is(err, registry.ErrTagExists) {
			return fmt.Errorf("%s, pushed again alone: %w", w.text(&o), err)
		}
	}
	time.Sleep(2 * storage.DefaultUploadTTL) // unfinished uploads expire
	for range 4 {                            // one each for indexes, their manifests, referrers and blobs
		if err := errors.Join(w.collectAlone(ctx), w.s.failed, w.check()); err != nil {
			return fmt.Errorf("after pushes alone and a collection: %w", err)
		}
	}
	if err := errors.Join(w.checkSettled(ctx), w.audit(ctx)); err != nil {
		return fmt.Errorf("after collections: %w", err)
	}
	if err := w.restoreDeleted(ctx); err != nil {
		return err
	}
	return w.deleteAll(ctx)
}

// deleteAll deletes the repositories and checks that collections leave nothing of them.
func (w *world) deleteAll(ctx context.Context) error {
	for _, repo := range w.repos {
		if err := w.observer.DeleteRepository(ctx, repo, nil); err != nil && !errors.Is(err, registry.ErrNameUnknown) {
			return err
		}
	}
	time.Sleep(2 * historyKept)
	_, err := w.observer.ExpireHistory(ctx)
	return errors.Join(err, w.collectAlone(ctx), w.collectAlone(ctx), w.auditEmpty(ctx))
}

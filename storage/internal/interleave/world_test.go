package interleave

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver"
)

// opKind is what an actor does.
type opKind string

const (
	opPut        opKind = "put"
	opUntag      opKind = "untag"
	opDelete     opKind = "delete"
	opDeleteBlob opKind = "delete blob"
	opDeleteRepo opKind = "delete repository"
	opUnused     opKind = "delete unused"
	opRestoreTag opKind = "restore tag"
	opRestore    opKind = "restore"
)

// op is an operation that changes a repository, with its result. Times are those of the clock of
// the schedule.
type op struct {
	actor *actor // nil for the test itself
	kind  opKind
	repo  string
	man   int // the manifest; for opRestoreTag, the one that the tag points at afterwards
	blob  int
	tag   string
	// ensured is when the actor began to upload, or to look for, what the manifest names. 0 if it
	// did not.
	ensured  int
	start    int
	end      int // 0 if it has not ended
	acked    bool
	refused  bool      // it ended with ErrManifestBlobUnknown
	from, to time.Time // when it began and ended, by the clock of the bubble
	restored []int     // the manifests that a restore has returned
	had      []int     // the manifests that were intact when a delete began
	referred []int     // the referrers that existed, with their entries, when it was acknowledged
}

// world is the storage of a run, and the record of the operations of its actors.
type world struct {
	*fixture
	s        *schedule
	raw      driver.Driver
	stores   []*storage.Store // the replicas
	observer *storage.Store   // reads the storage between two calls of the actors
	mode     mode
	// The part of the fixture that the actors use, see focus.
	places []string
	images []int
	labels []string

	ops     []*op
	changes []*change
	refused []op // pushes that were refused
	acks    int
}

// begin records that an operation begins.
func (w *world) begin(o op) *op {
	o.start, o.from = w.s.tick(o.actor, "begins: %s", w.text(&o)), time.Now()
	if o.kind == opDelete || o.kind == opDeleteRepo {
		o.had = w.intact(o.repo)
	}
	w.ops = append(w.ops, &o)
	return &o
}

// ended records that an operation has ended, and checks the storage if the operation was
// acknowledged. It fails the run if err is an error other than those expected.
func (w *world) ended(o *op, err error, expected ...error) {
	if errors.Is(err, errOver) || o.actor != nil && o.actor.dead {
		return
	}
	o.end, o.to = w.s.tick(o.actor, "ended: %s: %v", w.text(o), err), time.Now()
	o.acked, o.refused = err == nil, errors.Is(err, registry.ErrManifestBlobUnknown)
	if err != nil {
		w.unexpected(o.actor, w.text(o), err, expected...)
		w.s.fail(w.checkRefusedOnce(o))
		return
	}
	w.acks++
	w.s.fail(w.check())
	o.referred = w.referrers(o.repo)
}

// unexpected fails the run if err is an error other than those expected.
func (w *world) unexpected(a *actor, what string, err error, expected ...error) {
	is := func(e error) bool { return errors.Is(err, e) }
	if err == nil || is(errOver) || slices.ContainsFunc(expected, is) {
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

// text describes an operation for messages and the trace.
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

// until returns the time after which an operation has no more effect: its end, or the death of its
// actor.
func until(o *op) int {
	switch {
	case o.end > 0:
		return o.end
	case o.actor != nil && o.actor.dead:
		return o.actor.diedAt
	}
	return math.MaxInt
}

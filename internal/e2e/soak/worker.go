package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/url"
	"slices"
	"syscall"
	"time"

	"github.com/registrykit/registry/internal/e2e/harness"
)

// worker is one client. Only this worker changes the images that it has pushed. Its tags have names
// that no other worker uses. Workers share layers.
type worker struct {
	s   *soaker
	id  int
	c   *harness.Client
	rng *rand.Rand

	began time.Time // start of the current operation

	mine []*image          // images that must exist, without the children of indexes
	gone []*image          // some of the deleted images
	tags map[string]*image // the image of each tag, by repository:tag
	kept []*image          // images with a tag that retention keeps and one that it removes; see keep.go
}

const (
	// opDeadline is the time after which an operation counts as stuck.
	opDeadline = time.Minute
	// A worker with most images deletes instead of pushing. It remembers the last mostGone deleted
	// images.
	most, mostGone = 30, 12
	sharedRepos    = 5
	tagsPerRepo    = 5
	commonImages   = 6
)

// operation is a kind of operation from which a worker chooses.
type operation struct {
	kind   string
	weight int
	do     func(w *worker, ctx context.Context) error
}

func operations() []operation {
	return []operation{
		{"push image", 28, (*worker).pushNew},
		{"push image again", 10, (*worker).pushAgain},
		{"push index", 6, (*worker).pushIndex},
		{"push referrer", 6, (*worker).pushReferrer},
		{"push image of others", 4, (*worker).pushCommon},
		{"move tag", 8, (*worker).moveTag},
		{"delete tag", 6, (*worker).deleteTag},
		{"delete manifest", 12, (*worker).deleteSome},
		{"delete blob", 4, (*worker).deleteBlob},
		{"delete repository", 1, (*worker).deleteRepository},
		{"abandon upload", 3, (*worker).abandonUpload},
		{"cancel upload", 1, (*worker).cancelUpload},
		{"pull image", 20, (*worker).pullSome},
		{"pull by tag", 6, (*worker).pullTag},
		{"list tags", 4, (*worker).listTags},
		{"list referrers", 4, (*worker).listReferrers},
		{"look for deleted", 4, (*worker).lookForDeleted},
	}
}

// run runs one operation after the other until the limit of operations is reached or ctx ends. It
// completes the last operation.
func (w *worker) run(ctx context.Context) {
	all := operations()
	sum := 0
	if w.s.config.keep {
		all = append(all, operation{"push temporary image", 10, (*worker).pushTemporary},
			operation{"pull kept images", 2, (*worker).checkKept})
	}
	for _, op := range all {
		sum += op.weight
	}
	for ctx.Err() == nil {
		n := w.rng.IntN(sum)
		i := 0
		for ; n >= all[i].weight; i++ {
			n -= all[i].weight
		}
		op := all[i]
		if len(w.mine) > most && op.kind == "push image" {
			op.kind, op.do = "delete manifest", (*worker).deleteSome
		}
		if !w.s.report.op(op.kind) {
			return
		}
		w.began = time.Now()
		opCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), opDeadline)
		if err := op.do(w, opCtx); err != nil {
			w.s.failed(fmt.Sprintf("w%d, %s", w.id, op.kind), err)
		}
		cancel()
	}
}

// failure is an error that makes the soak fail.
type failure struct {
	kind string
	err  error
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

func fail(kind, format string, args ...any) error {
	return &failure{kind, fmt.Errorf(format, args...)}
}

// missing returns the error of a request for content that must exist.
func missing(err error) error {
	if err == nil || isNetwork(err) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	var e *harness.Error
	if errors.As(err, &e) && e.Response.Status != 404 {
		return err
	}
	return &failure{lost, err} // a 404 response, or other bytes
}

// isNetwork reports whether a request got no response or only a part of one.
func isNetwork(err error) bool {
	var u *url.Error
	var n net.Error
	return !errors.Is(err, context.DeadlineExceeded) && (errors.As(err, &u) || errors.As(err, &n) ||
		errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE))
}

// status returns the status of an unexpected response, or 0 for any other error.
func status(err error) int {
	var e *harness.Error
	if errors.As(err, &e) {
		return e.Response.Status
	}
	return 0
}

// again calls f until no kill interrupts its request. cut reports whether an earlier request was
// interrupted. The server may have performed that request.
func (w *worker) again(ctx context.Context, f func() error) (cut bool, err error) {
	for n := 0; ; n++ {
		start := time.Now()
		err := f()
		if err == nil || n == 20 || !w.s.cutOff(start, err) {
			return n > 0, err
		}
		if err := w.waitOut(ctx); err != nil {
			return true, err
		}
	}
}

// once calls f once. cut reports whether the request was interrupted, so that its result is
// unknown.
func (w *worker) once(ctx context.Context, f func() error) (cut bool, err error) {
	start := time.Now()
	if err = f(); err != nil && w.s.cutOff(start, err) {
		return true, w.waitOut(ctx)
	}
	return false, err
}

// waitOut waits until requests of a killed server to the storage can no longer take effect.
func (w *worker) waitOut(ctx context.Context) error {
	w.s.report.event("requests cut off by a kill", 1)
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(700 * time.Millisecond):
		return nil
	}
}

// coin decides at random whether an unknown result stays unknown. Where collections remove untagged
// manifests, coin returns false: only the tag then shows what must exist.
func (w *worker) coin() bool { return !w.s.config.untagged && w.rng.IntN(2) == 0 }

// repo returns the worker's own repository or a shared one.
func (w *worker) repo() string {
	if w.rng.IntN(10) < 3 {
		return w.ownRepo()
	}
	return fmt.Sprintf("soak/shared-%d", w.rng.IntN(sharedRepos))
}

func (w *worker) ownRepo() string { return fmt.Sprintf("soak/own/w%d", w.id) }

func (w *worker) tag() string { return fmt.Sprintf("w%d-%d", w.id, w.rng.IntN(tagsPerRepo)) }

// unique returns a string that is in no other manifest.
func (w *worker) unique() string { return fmt.Sprintf("w%d-%x", w.id, w.rng.Uint64()) }

// layer returns a layer of the pool or a new one.
func (w *worker) layer() *layer {
	if w.rng.IntN(2) == 0 {
		return w.s.pool[w.rng.IntN(len(w.s.pool))]
	}
	return newLayer(w.rng.Uint64(), someSize(w.rng))
}

func (w *worker) layers() []*layer {
	ls := make([]*layer, 1+w.rng.IntN(4))
	for i := range ls {
		ls[i] = w.layer()
	}
	return ls
}

// some returns a random image of the worker that f accepts, or nil.
func (w *worker) some(f func(*image) bool) *image {
	var fit []*image
	for _, img := range w.mine {
		if f(img) {
			fit = append(fit, img)
		}
	}
	if len(fit) == 0 {
		return nil
	}
	return fit[w.rng.IntN(len(fit))]
}

// adopt records that an image and the images that it references must exist.
func (w *worker) adopt(img *image) {
	if img.common {
		return
	}
	w.s.journal.note("w%d ledger: there is %s in %s", w.id, img.digest(), img.repo)
	w.s.ledger.add(img)
	for _, c := range img.children {
		w.s.ledger.add(c)
	}
	if img.parent == nil && !slices.Contains(w.mine, img) {
		w.mine = append(w.mine, img)
	}
	if img.subject != nil && !slices.Contains(img.subject.referrers, img) {
		img.subject.referrers = append(img.subject.referrers, img)
	}
}

// drop records that an image need not exist from now on.
func (w *worker) drop(img *image) {
	w.s.journal.note("w%d ledger: no more %s in %s", w.id, img.digest(), img.repo)
	w.s.ledger.remove(img)
	w.mine = slices.DeleteFunc(w.mine, func(i *image) bool { return i == img })
}

// free is called after an image has lost a tag, its index or its subject. Where collections remove
// untagged manifests, a collection may then remove the image and the images that only it has kept.
// Otherwise the image remains.
func (w *worker) free(img *image) {
	if !w.s.config.untagged {
		if img.parent == nil && img.there && !slices.Contains(w.mine, img) {
			w.mine = append(w.mine, img)
		}
		return
	}
	if len(img.tags) > 0 || img.parent != nil || img.subject != nil && img.subject.there || img.common || !img.there {
		return
	}
	w.drop(img)
	w.freeBelow(img)
}

// freeBelow calls free for the images that a removed image has kept.
func (w *worker) freeBelow(img *image) {
	for _, c := range img.children {
		c.parent = nil
		w.free(c)
	}
	for _, r := range img.referrers {
		w.free(r)
	}
}

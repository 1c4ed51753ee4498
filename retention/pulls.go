package retention

import (
	"context"
	"time"
)

// needPulls reads the times of pulls, unless they were read before, and since when they are
// recorded.
func (e *evaluator) needPulls(ctx context.Context) (err error) {
	if e.times != nil {
		return nil
	}
	if e.times, err = e.p.opts.Pulls.Read(ctx, e.repo); err != nil {
		return err
	}
	if err := e.needNotes(ctx); err != nil {
		return err
	}
	// A pull that is recorded shows that pulls were recorded then.
	first := e.notes.pulls(time.Now())
	for _, at := range e.times.Tags() {
		first = earlier(first, at)
	}
	for _, at := range e.times.Digests() {
		first = earlier(first, at)
	}
	e.notes.setPulls(first)
	return nil
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// pullsOf returns what is known about the pulls of an item: of the tag, of the manifest under any
// tag and by its digest, and of what the manifest names.
func (e *evaluator) pullsOf(t *item) pulls {
	known := pulls{since: e.notes.Pulls.Time()}
	if rest := e.times.Rest(); rest.After(known.since) {
		known.since = rest
	}
	at, _ := e.times.Digest(t.digest)
	known.last = at
	if at, ok := e.times.Tag(t.tag); ok && at.After(known.last) {
		known.last = at
	}
	if n := e.graph.find(t.digest); n != nil {
		for c := range e.graph.each(n.children) {
			if at, ok := e.times.Digest(c.digest); ok && at.After(known.last) {
				known.last = at
			}
		}
	}
	return known
}

package retention

import (
	"sync"
	"time"
)

// tally counts what is done, and calls the functions of ApplyOptions. It is safe for concurrent use.
type tally struct {
	opts ApplyOptions

	mu     sync.Mutex
	result Result
	last   time.Time // of the last call of Progress
}

// count changes the result with f, and calls Progress if that is due.
func (t *tally) count(f func(*Result)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f(&t.result)
	if now := time.Now(); t.opts.Progress != nil && now.Sub(t.last) >= time.Second {
		t.last = now
		t.opts.Progress(t.result)
	}
}

// already counts a line with which there is nothing to do.
func (t *tally) already() { t.count(func(r *Result) { r.Already++ }) }

// refuse counts and reports a line that is refused.
func (t *tally) refuse(l Line, reason Reason, detail string) {
	t.count(func(r *Result) {
		r.Refused++
		if t.opts.Refused != nil {
			t.opts.Refused(Refusal{Line: l, Reason: reason, Detail: detail})
		}
	})
}

// end returns the result, after a last call of Progress.
func (t *tally) end() Result {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.opts.Progress != nil {
		t.opts.Progress(t.result)
	}
	return t.result
}

package interleave

import (
	"cmp"
	"context"
	"errors"
	mathrand "math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/registrykit/registry/storage/driver"
)

// step is the time between two storage calls, by the clock of the bubble. It is longer than the
// longest pause of a Store. An actor that pauses has therefore reached its next call when the
// schedule chooses, so the random length of a pause does not matter.
const step = 70 * time.Millisecond

// errOver is returned by the storage calls of a dead actor, and by all calls when the run is over.
// It makes a dead actor release the locks that it holds in this process. In reality they would die
// with its process.
var errOver = errors.New("the run is over")

// schedule lets actors make their storage calls one after the other, in an order that depends on
// the seed alone. It runs in a bubble of testing/synctest, whose clock advances only when all
// goroutines wait. After each step, the actor of the last call has therefore done all of its work,
// and each goroutine of each actor is about to make a storage call, waits for such a goroutine, or
// has ended.
type schedule struct {
	rnd    *mathrand.Rand
	stick  float64 // the probability that the actor of the last call makes the next one
	actors []*actor
	detail bool // the trace says what objects hold
	raw    driver.Driver

	mu     sync.Mutex
	parked []*call
	over   bool
	clock  int // the number of storage calls, and of begins and ends of operations
	calls  int // the number of storage calls
	last   *actor
	trace  []string
	failed error // the first failure
}

func newSchedule(seed uint64, raw driver.Driver) *schedule {
	rnd := mathrand.New(mathrand.NewPCG(seed, 1))
	return &schedule{rnd: rnd, raw: raw, stick: []float64{0, 0.5, 0.8, 0.95}[rnd.IntN(4)]}
}

// run lets the actors work until all have ended or died, or until the run has failed. It calls idle
// when every remaining actor stalls.
func (s *schedule) run(ctx context.Context, idle func()) {
	var wg sync.WaitGroup
	for _, a := range s.actors {
		wg.Go(func() {
			a.do(context.WithValue(ctx, actorKey{}, a), a)
			s.mu.Lock()
			defer s.mu.Unlock()
			a.done = true
		})
	}
	waited := 0
	for {
		time.Sleep(step)
		c, left := s.next(idle)
		if c == nil && !left {
			break
		}
		if c == nil {
			if waited++; waited > 100_000 {
				s.fail(errors.New("an actor neither ends nor calls the storage"))
			}
			continue
		}
		waited = 0
		c.going <- nil
	}
	s.mu.Lock()
	s.over = true
	parked := s.parked
	s.parked = nil
	s.mu.Unlock()
	for _, c := range parked {
		c.going <- errOver
	}
	wg.Wait()
}

// next returns the call that is made next, or nil if no call is waiting. In that case, left reports
// whether there may be one later.
func (s *schedule) next(idle func()) (c *call, left bool) {
	s.mu.Lock()
	if s.failed != nil || s.calls > 200_000 {
		s.mu.Unlock()
		return nil, false
	}
	slices.SortStableFunc(s.parked, func(a, b *call) int {
		return cmp.Or(cmp.Compare(a.actor.id, b.actor.id), strings.Compare(a.op, b.op), strings.Compare(a.key, b.key))
	})
	for _, c := range s.parked {
		s.count(c)
	}
	s.parked = slices.DeleteFunc(s.parked, func(c *call) bool {
		if c.actor.dead {
			c.going <- errOver
		}
		return c.actor.dead
	})
	ready := s.ready(s.calls)
	if len(ready) == 0 {
		if ready = s.ready(1 << 40); len(ready) > 0 {
			s.mu.Unlock()
			idle()
			s.mu.Lock()
		}
	}
	defer s.mu.Unlock()
	if len(ready) == 0 {
		return nil, slices.ContainsFunc(s.actors, func(a *actor) bool { return !a.done && !a.dead })
	}
	who := ready[s.rnd.IntN(len(ready))].actor
	if s.rnd.Float64() < s.stick && slices.ContainsFunc(ready, func(c *call) bool { return c.actor == s.last }) {
		who = s.last
	}
	ready = slices.DeleteFunc(ready, func(c *call) bool { return c.actor != who })
	c = ready[s.rnd.IntN(len(ready))]
	s.parked = slices.DeleteFunc(s.parked, func(p *call) bool { return p == c })
	s.last = who
	s.calls++
	s.clock++
	return c, true
}

// count counts a call, and decides whether it stalls and whether its actor dies. next counts the
// concurrent calls of an actor in the order of their keys.
func (s *schedule) count(c *call) {
	if c.seen {
		return
	}
	c.seen = true
	c.actor.made++
	write := c.op == "Put" || c.op == "Delete"
	for i := range c.actor.stalls {
		st := &c.actor.stalls[i]
		if st.write && !write || st.op != "" && st.op != c.op || !strings.Contains(c.key, st.in) {
			continue
		}
		if st.seen++; st.seen == st.at {
			c.until = s.calls + st.calls
			s.note(c.actor, "stalls before %s %s", c.op, c.key)
		}
	}
	if c.actor.made == c.actor.dieAt {
		s.clock++
		c.actor.dead, c.actor.diedAt = true, s.clock
		s.note(c.actor, "dies before %s %s", c.op, c.key)
	}
}

// ready returns the waiting calls that may be made when that many calls have been made.
func (s *schedule) ready(calls int) []*call {
	var ready []*call
	for _, c := range s.parked {
		if c.until <= calls {
			ready = append(ready, c)
		}
	}
	return ready
}

// hints matches keys whose objects are hints: nothing relies on them. The schedule does not order
// calls on them, which would only multiply the schedules to search.
var hints = regexp.MustCompile(`^r/[^/]*/a/`)

// wait blocks until the actor in ctx may make a call. The caller then makes the call and passes its
// error to done. wait returns errOver if the actor is dead or the run is over.
func (s *schedule) wait(ctx context.Context, op, key string) (done func(err error), err error) {
	a, ok := ctx.Value(actorKey{}).(*actor)
	if !ok || hints.MatchString(key) {
		return func(error) {}, nil
	}
	s.mu.Lock()
	if s.over || a.dead {
		s.mu.Unlock()
		return nil, errOver
	}
	c := &call{actor: a, op: op, key: key, going: make(chan error)}
	s.parked = append(s.parked, c)
	s.mu.Unlock()
	if err := <-c.going; err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.note(a, "%s %s", op, key)
	return func(err error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		switch {
		case err != nil:
			s.trace[at] += ": " + strings.ReplaceAll(err.Error(), key, "")
		case s.detail:
			s.trace[at] += s.describe(key)
		}
	}, nil
}

// fail records a failure, which ends the run. A nil error is ignored.
func (s *schedule) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed == nil && err != nil && !s.over {
		s.failed = err
	}
}

// tick advances the clock of the schedule by one and returns it. It adds a line to the trace if the
// actor is not nil.
func (s *schedule) tick(a *actor, format string, args ...any) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clock++
	if a != nil {
		s.note(a, format, args...)
	}
	return s.clock
}

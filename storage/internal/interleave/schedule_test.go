package interleave

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	mathrand "math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/registrykit/registry/storage/driver"
)

// step is the time by the clock of the bubble from one storage call to the next. It is longer than
// the longest pause of a Store, so that whoever waits for that is at its next call when the
// schedule chooses: how long pauses are, which is random, changes nothing.
const step = 70 * time.Millisecond

// errOver is what storage calls end with once a run is over, or their actor is dead. So what he
// holds in the process, which in truth dies with him, is free for others.
var errOver = errors.New("the run is over")

// schedule lets actors make their storage calls one after the other, in an order that depends on
// the seed alone. It runs in a bubble of testing/synctest: the clock of the bubble moves on when
// all goroutines wait, so after each step all that the actor of the last call had to do is done,
// and all goroutines of all actors are at a storage call, wait for one that is, or have ended.
type schedule struct {
	rnd    *mathrand.Rand
	stick  float64 // the probability that the actor of the last call goes on
	actors []*actor
	detail bool // say in the trace what objects hold
	raw    driver.Driver

	mu     sync.Mutex
	parked []*call
	over   bool
	clock  int // counts storage calls, begins and ends of operations
	calls  int // counts storage calls
	last   *actor
	trace  []string
	failed error // the first failure
}

// actor is somebody who uses the storage: a goroutine that may start others, which all end when it
// ends.
type actor struct {
	id     int
	name   string
	rnd    *mathrand.Rand
	do     func(ctx context.Context, a *actor)
	page   int // elements of a list that are taken at once
	dieAt  int // the call before which it dies, 0 if it does not
	stalls []stall
	made   int // calls
	done   bool
	dead   bool
	diedAt int // by the clock of the schedule
}

// stall is that a call of an actor does not go on for long.
type stall struct {
	at    int    // which call
	write bool   // of those that change something
	op    string // or are this, unless it is ""
	in    string // and have this in their key
	seen  int    // calls that are such
	calls int    // of others meanwhile, if there are so many
}

// call is a goroutine of an actor that is about to make a storage call.
type call struct {
	actor   *actor
	op, key string
	seen    bool // counted
	until   int  // the count of calls before which it does not go on, unless nobody else can
	going   chan error
}

type actorKey struct{}

func newSchedule(seed uint64, raw driver.Driver) *schedule {
	rnd := mathrand.New(mathrand.NewPCG(seed, 1))
	return &schedule{rnd: rnd, raw: raw, stick: []float64{0, 0.5, 0.8, 0.95}[rnd.IntN(4)]}
}

// add adds an actor. It begins with run.
func (s *schedule) add(seed uint64, name string, do func(ctx context.Context, a *actor)) {
	a := &actor{id: len(s.actors), name: name, do: do, rnd: mathrand.New(mathrand.NewPCG(seed, uint64(len(s.actors)+2)))}
	a.page = []int{1, 1, 2, 1000}[s.rnd.IntN(4)]
	// Early calls more often than late ones, as most operations are short.
	at := func() int { return 1 + s.rnd.IntN(1+s.rnd.IntN(2<<s.rnd.IntN(9))) }
	if s.rnd.IntN(6) == 0 {
		a.dieAt = at()
	}
	// Most harm is done between a look and the write that follows from it.
	for range s.rnd.IntN(4) {
		st := stall{at: at(), calls: []int{20, 100, 400, 1 << 30}[s.rnd.IntN(4)]}
		switch s.rnd.IntN(4) {
		case 0, 1:
			st.write, st.at = true, 1+s.rnd.IntN(1+s.rnd.IntN(12))
		case 2:
			kinds := []string{"/b/", "/m/", "/t/", "/x/"}
			switch name {
			case "collector":
				kinds = []string{"data/", "data/", "dead/", "/b/", "/m/", "/x/"}
			case "mounter", "uploader":
				kinds = []string{"/b/"}
			}
			st.write, st.at, st.in = true, 1+s.rnd.IntN(1+s.rnd.IntN(3)), kinds[s.rnd.IntN(len(kinds))]
		}
		a.stalls = append(a.stalls, st)
	}
	s.actors = append(s.actors, a)
}

// run lets the actors go on until all have ended or died, or something has failed. idle is called
// when only those are left that stall.
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

// next takes the call that is made next. left reports whether there may be one later, if there is
// none.
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

// count counts a call, and decides what becomes of it. Calls that an actor makes at once are
// counted in the order of their keys.
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

// ready are the calls that may be made.
func (s *schedule) ready(calls int) []*call {
	var ready []*call
	for _, c := range s.parked {
		if c.until <= calls {
			ready = append(ready, c)
		}
	}
	return ready
}

// hints are keys that nothing relies on. Calls on them happen at once and are no part of the
// schedule: they would only multiply the schedules to be searched.
var hints = regexp.MustCompile(`^r/[^/]*/a/`)

// wait returns when the actor whose context it is may make a call; done is to be called with its
// result.
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

// note adds a line to the trace, and returns its number.
func (s *schedule) note(a *actor, format string, args ...any) int {
	s.trace = append(s.trace, fmt.Sprintf("%5d %-12s", s.calls, fmt.Sprint(a.id, " ", a.name))+fmt.Sprintf(format,
		args...))
	return len(s.trace) - 1
}

// fail notes a failure, which ends the run.
func (s *schedule) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed == nil && err != nil && !s.over {
		s.failed = err
	}
}

// tick returns the time by the clock of the schedule, which has moved on, and adds a line to the
// trace.
func (s *schedule) tick(a *actor, format string, args ...any) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clock++
	if a != nil {
		s.note(a, format, args...)
	}
	return s.clock
}

// describe says what an object holds, as far as that is of interest.
func (s *schedule) describe(key string) string {
	r, info, err := s.raw.Open(context.Background(), key, nil)
	if err != nil {
		return ""
	}
	b, _ := io.ReadAll(r)
	head, _, _ := strings.Cut(string(b), "\n")
	var about struct {
		State      string
		Segments   []struct{ Name string }
		Descriptor struct{ Digest string }
	}
	text := " [" + info.Version
	if json.Unmarshal([]byte(head), &about) == nil {
		text += " " + about.State + about.Descriptor.Digest
		for _, seg := range about.Segments {
			text += " " + seg.Name
		}
	}
	return text + "]"
}

var longHex = regexp.MustCompile(`([0-9a-f]{6})[0-9a-f]{10,}`)

// story is the trace as a text.
func (s *schedule) story() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return longHex.ReplaceAllString(strings.Join(s.trace, "\n"), "$1")
}

// scheduled is a driver.Driver whose calls the schedule orders, if their context is that of an
// actor.
type scheduled struct {
	s     *schedule
	below driver.Driver
}

func (d *scheduled) Open(ctx context.Context, key string, opts *driver.OpenOptions) (io.ReadCloser, driver.Info,
	error) {
	done, err := d.s.wait(ctx, "Open", key)
	if err != nil {
		return nil, driver.Info{}, err
	}
	r, info, err := d.below.Open(ctx, key, opts)
	done(err)
	return r, info, err
}

func (d *scheduled) Stat(ctx context.Context, key string) (driver.Info, error) {
	done, err := d.s.wait(ctx, "Stat", key)
	if err != nil {
		return driver.Info{}, err
	}
	info, err := d.below.Stat(ctx, key)
	done(err)
	return info, err
}

func (d *scheduled) Put(ctx context.Context, key string, body io.Reader, opts *driver.PutOptions) (driver.Info,
	error) {
	done, err := d.s.wait(ctx, "Put", key)
	if err != nil {
		return driver.Info{}, err
	}
	info, err := d.below.Put(ctx, key, body, opts)
	done(err)
	return info, err
}

func (d *scheduled) Delete(ctx context.Context, key, ifVersion string) error {
	done, err := d.s.wait(ctx, "Delete", key)
	if err != nil {
		return err
	}
	err = d.below.Delete(ctx, key, ifVersion)
	done(err)
	return err
}

func (d *scheduled) MaxObjectSize() int64 { return d.below.MaxObjectSize() }

func (d *scheduled) Sync(ctx context.Context, keys ...string) error {
	if len(keys) == 0 {
		return d.below.Sync(ctx)
	}
	done, err := d.s.wait(ctx, "Sync", keys[0])
	if err != nil {
		return err
	}
	err = d.below.Sync(ctx, keys...)
	done(err)
	return err
}

// List takes as many elements at once as the actor does, each time in a call of its own.
func (d *scheduled) List(ctx context.Context, prefix string, opts *driver.ListOptions) iter.Seq2[driver.Info, error] {
	a, ok := ctx.Value(actorKey{}).(*actor)
	if !ok {
		return d.below.List(ctx, prefix, opts)
	}
	o := driver.ListOptions{}
	if opts != nil {
		o = *opts
	}
	o.PageHint = a.page
	return func(yield func(driver.Info, error) bool) {
		for {
			done, err := d.s.wait(ctx, "List", prefix)
			if err != nil {
				yield(driver.Info{}, err)
				return
			}
			var page []driver.Info
			for info, lerr := range d.below.List(ctx, prefix, &o) {
				if err = lerr; err != nil {
					break
				}
				if page = append(page, info); len(page) == a.page {
					break
				}
			}
			done(err)
			for _, info := range page {
				if !yield(info, nil) {
					return
				}
			}
			if err != nil {
				yield(driver.Info{}, err)
				return
			}
			if len(page) < a.page {
				return
			}
			o.After = page[len(page)-1].Key
		}
	}
}

// seededRandomness makes the names that package storage draws at random depend on what is returned,
// until the test ends.
func seededRandomness(t *testing.T) *seeded {
	s := &seeded{}
	before := rand.Reader
	rand.Reader = s
	t.Cleanup(func() { rand.Reader = before })
	return s
}

type seeded struct {
	mu  sync.Mutex
	src *mathrand.ChaCha8
}

func (s *seeded) seed(seed uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.src = mathrand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16), byte(seed >> 24)})
}

func (s *seeded) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.src.Read(p)
}

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/registrykit/registry/internal/e2e/harness"
)

// measure runs the scenarios on one kind of storage.
func measure(ctx context.Context, c *config, place string) (*table, error) {
	parent := map[string]string{"tmpfs": "/dev/shm", "disk": c.disk, "s3": c.disk}[place]
	if parent == "" {
		return nil, fmt.Errorf("unknown place %q", place)
	}
	dir, err := os.MkdirTemp(parent, "compare-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	all, err := sides(c, place, dir)
	if err != nil {
		return nil, err
	}
	m := &measurement{c: c, place: place, dir: dir, sides: all}
	defer func() {
		for _, s := range all {
			_ = s.stop()
		}
	}()
	t := &table{Place: place, Rounds: c.rounds, Access: c.access}
	for _, s := range all {
		if s.name != meteredName {
			t.Sides = append(t.Sides, s.name)
		}
		if s.name == limitName {
			if err := bestBuffer(ctx, s); err != nil {
				return nil, err
			}
		}
	}
	for _, sc := range scenarios(c, place) {
		if sc.rows = c.kept(sc.rows); len(sc.rows) == 0 {
			continue
		}
		lines, err := m.scenario(ctx, sc)
		t.Lines = append(t.Lines, lines...)
		if err != nil {
			return t, err
		}
	}
	return t, nil
}

// measurement is a run on one kind of storage.
type measurement struct {
	c     *config
	place string
	dir   string
	sides []*side
}

// scenario measures the rows of a scenario.
func (m *measurement) scenario(ctx context.Context, sc scenario) ([]*line, error) {
	unfit := map[*side]string{} // sides that cannot do what setup asks of them, and why
	for _, s := range m.sides {
		if err := s.fresh(); err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
		if sc.setup == nil || s.name == limitName {
			continue
		}
		if err := m.setUp(ctx, sc, s); err != nil {
			unfit[s] = err.Error()
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	var lines []*line
	for _, r := range sc.rows {
		l, err := m.row(ctx, r, unfit)
		if err != nil {
			return lines, fmt.Errorf("%s: %w", r.name, err)
		}
		fmt.Fprintln(os.Stderr, m.place, l)
		lines = append(lines, l)
	}
	return lines, nil
}

// ownSetup is the longest time in which a build of this registry prepares a scenario.
const ownSetup = 5 * time.Minute

// setUp prepares a scenario on one side.
func (m *measurement) setUp(ctx context.Context, sc scenario, s *side) error {
	longest := m.c.setup
	if s.options.Kind == harness.Ours {
		longest = ownSetup
	}
	limited, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	err := sc.setup(limited, s)
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("the setup takes more than %v", longest)
	}
	return err
}

// row measures a row. The sides take turns, and each round starts with another side. So other load
// on the machine affects all of them.
func (m *measurement) row(ctx context.Context, r row, unfit map[*side]string) (*line, error) {
	l := &line{Name: r.name, PerMB: r.bytes > 0}
	var taking []*side
	results := map[*side]*result{}
	for _, s := range m.sides {
		if r.only != nil && !slices.Contains(r.only, s.name) {
			continue
		}
		results[s] = &result{Side: s.name, Wrong: unfit[s]}
		taking = append(taking, s)
		if s.name != meteredName {
			l.Results = append(l.Results, results[s])
		}
		_ = resetPeak(s.server.PID())
		if s.name == limitName && r.learn != nil {
			if err := m.teach(ctx, r, s); err != nil {
				results[s].Wrong = err.Error()
			}
		}
	}
	for round := -1; round < m.c.rounds; round++ {
		for i := range taking {
			s := taking[(i+round+1)%len(taking)]
			res := results[s]
			if res.Wrong != "" || s.name == meteredName && round > 0 {
				continue
			}
			if err := m.sample(ctx, r, s, round, res, l); err != nil {
				res.Wrong = err.Error()
			}
			if err := ctx.Err(); err != nil {
				return nil, err
			}
		}
	}
	unit := 1.0
	if r.bytes > 0 {
		unit = float64(r.bytes) / 1e6
	}
	for s, res := range results {
		res.finish(unit)
		res.RSS, _ = harness.Memory(s.server.PID(), "VmHWM")
	}
	l.judge(r, m.place, m.c.access)
	return l, nil
}

// teach lets the limit record the responses of this registry.
func (m *measurement) teach(ctx context.Context, r row, limit *side) error {
	if _, err := limit.own(ctx, "POST", "/limit/learn?from="+m.sides[0].server.URL()); err != nil {
		return err
	}
	err := r.learn(ctx, limit)
	_, stop := limit.own(ctx, "POST", "/limit/learn")
	return errors.Join(err, stop)
}

// sample measures a round of one side and adds it to res. It reads the counters of the sides that
// have them.
func (m *measurement) sample(ctx context.Context, r row, s *side, round int, res *result, l *line) error {
	if r.before != nil {
		if err := r.before(ctx, s, round); err != nil {
			return err
		}
	}
	requests, count := s.requests.Load(), s.counter(ctx)
	got, err := m.round(ctx, r, s, round)
	if err != nil || round < 0 {
		return err
	}
	requests, counted := s.requests.Load()-requests, s.counter(ctx)-count
	switch s.name {
	case meteredName:
		if r.after == nil { // whose requests are counted, too
			l.Allocations = counted / float64(max(1, requests))
		}
	case limitName:
		res.Syncs = counted / float64(max(1, got.ops))
	}
	res.samples = append(res.samples, got)
	return nil
}

// counter returns the allocations of metered and the syncs of the limit so far.
func (s *side) counter(ctx context.Context) float64 {
	path, ok := map[string]string{meteredName: "/allocations", limitName: "/limit/syncs"}[s.name]
	if !ok {
		return 0
	}
	body, err := s.own(ctx, "GET", path)
	if err != nil {
		return 0
	}
	s.requests.Add(-1) // this request is not one of the row
	n, _ := strconv.ParseFloat(body, 64)
	return n
}

// round measures the operations of one round.
func (m *measurement) round(ctx context.Context, r row, s *side, round int) (sample, error) {
	if r.round != nil {
		return r.round(ctx, s, round)
	}
	workers := r.workers
	if workers == 0 {
		workers = 4
	}
	if r.after != nil {
		workers = 1
	}
	longest := r.longest
	if longest == 0 {
		longest = m.c.longest
	}
	end := time.Now().Add(longest)
	if r.after != nil {
		return s.stepwise(ctx, r, round, end)
	}
	var sum sample
	err := s.measured(&sum, func() error {
		var next atomic.Int64
		samples, errs := make([]sample, workers), make([]error, workers)
		var wg sync.WaitGroup
		for w := range workers {
			wg.Go(func() {
				for n := int(next.Add(1)) - 1; n < r.ops && errs[w] == nil && time.Now().Before(end); n = int(next.Add(1)) - 1 {
					errs[w] = samples[w].timed(func() error { return r.op(ctx, s, round, n) })
				}
			})
		}
		wg.Wait()
		for _, part := range samples {
			sum.ops += part.ops
			sum.latencies = append(sum.latencies, part.latencies...)
		}
		return errors.Join(errs...)
	})
	return sum, err
}

// stepwise measures one operation at a time and calls after between them.
func (s *side) stepwise(ctx context.Context, r row, round int, end time.Time) (sample, error) {
	var sum sample
	for n := 0; n < r.ops && time.Now().Before(end); n++ {
		err := s.measured(&sum, func() error { return sum.timed(func() error { return r.op(ctx, s, round, n) }) })
		if err == nil {
			err = r.after(ctx, s, round, n)
		}
		if err != nil {
			return sum, err
		}
	}
	return sum, nil
}

// timed adds the operation f to the sample.
func (sum *sample) timed(f func() error) error {
	start := time.Now()
	err := f()
	sum.ops++
	sum.latencies = append(sum.latencies, time.Since(start))
	return err
}

// measured adds the processor time and wall time that f costs to sum.
func (s *side) measured(sum *sample, f func() error) error {
	before, err := harness.CPU(s.server.PID())
	if err != nil {
		return err
	}
	start := time.Now()
	if err := f(); err != nil {
		return err
	}
	sum.wall += time.Since(start)
	after, err := harness.CPU(s.server.PID())
	sum.cpu += after - before
	return err
}

// resetPeak makes VmHWM of a process start again at its present size.
func resetPeak(pid int) error {
	return os.WriteFile(filepath.Join("/proc", strconv.Itoa(pid), "clear_refs"), []byte("5"), 0)
}

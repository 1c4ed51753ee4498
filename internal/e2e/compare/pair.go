package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/registrykit/registry/internal/e2e/harness"
)

// side is one of the two registries.
type side struct {
	name    string
	kind    harness.Kind
	program string // see harness.Options.Program
	storage string
	log     string
	server  *harness.Server
	c       *harness.Client
}

func (s *side) start() error {
	server, err := harness.Start(harness.Options{
		Kind: s.kind, Program: s.program, Storage: s.storage, Log: s.log,
		Args: []string{"-log-level", "error"}, // the configuration of the peer has the same log level
	})
	if err != nil {
		return err
	}
	s.server, s.c = server, harness.NewClient(server.URL())
	return nil
}

func (s *side) restart() error {
	if err := s.server.Stop(); err != nil {
		return err
	}
	return s.start()
}

type pair struct{ ours, peer *side }

// startPair starts both sides with their storage below dir. If base is not "", the other side is
// the program base, an earlier build of this registry, instead of the peer.
func startPair(dir, base string) (*pair, error) {
	ours, peer := &side{name: "ours", kind: harness.Ours}, &side{name: "peer", kind: harness.Peer}
	if base != "" {
		peer = &side{name: "base", kind: harness.Ours, program: base}
	}
	for _, s := range []*side{ours, peer} {
		s.storage, s.log = filepath.Join(dir, s.name), filepath.Join(dir, s.name+".log")
		if err := s.start(); err != nil {
			if s == peer {
				_ = ours.server.Stop()
			}
			return nil, err
		}
	}
	return &pair{ours, peer}, nil
}

func (p *pair) stop() {
	for _, s := range []*side{p.ours, p.peer} {
		_ = s.server.Stop()
	}
}

// both calls f for each side.
func (p *pair) both(f func(*side) error) error {
	for _, s := range []*side{p.ours, p.peer} {
		if err := f(s); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return nil
}

// row is one line of the table.
type row struct {
	name    string
	ops     int // operations in each round
	workers int // concurrent clients; 0 means 4
	// before runs before each round and is not measured. nil means no call.
	before func(ctx context.Context, s *side, round int) error
	// op is one operation. n counts from 0 in each round.
	op func(ctx context.Context, s *side, round, n int) error
	// after runs after each measured operation and is not measured. A row with after runs one
	// operation at a time.
	after func(ctx context.Context, s *side, round, n int) error
}

// sample is the cost of one operation in one round.
type sample struct{ cpu, wall time.Duration }

type result struct {
	name       string
	ours, peer []sample // one sample per round
}

// compare runs the rounds of a row. The sides take turns, and each round starts with the other
// side. So other load on the machine affects both.
func (p *pair) compare(ctx context.Context, rounds int, r row) (result, error) {
	res := result{name: r.name}
	for round := -1; round < rounds; round++ { // round -1 is the warm-up
		sides := []*side{p.ours, p.peer}
		if round&1 == 1 {
			slices.Reverse(sides)
		}
		for _, s := range sides {
			got, err := s.round(ctx, r, round)
			if err != nil {
				return res, fmt.Errorf("%s, round %d: %w", s.name, round, err)
			}
			switch {
			case round < 0:
			case s == p.ours:
				res.ours = append(res.ours, got)
			default:
				res.peer = append(res.peer, got)
			}
		}
	}
	return res, nil
}

// round measures the operations of one round.
func (s *side) round(ctx context.Context, r row, round int) (sample, error) {
	if r.before != nil {
		if err := r.before(ctx, s, round); err != nil {
			return sample{}, err
		}
	}
	if r.after != nil {
		return s.stepwise(ctx, r, round)
	}
	var sum sample
	err := s.measured(&sum, func() error {
		workers := r.workers
		if workers == 0 {
			workers = 4
		}
		errs := make(chan error, workers)
		var wg sync.WaitGroup
		for w := range workers {
			wg.Go(func() {
				for n := w; n < r.ops; n += workers {
					if err := r.op(ctx, s, round, n); err != nil {
						errs <- err
						return
					}
				}
			})
		}
		wg.Wait()
		close(errs)
		return <-errs
	})
	return sample{sum.cpu / time.Duration(r.ops), sum.wall / time.Duration(r.ops)}, err
}

// stepwise measures one operation at a time and calls after between them.
func (s *side) stepwise(ctx context.Context, r row, round int) (sample, error) {
	var sum sample
	for n := range r.ops {
		if err := s.measured(&sum, func() error { return r.op(ctx, s, round, n) }); err != nil {
			return sum, err
		}
		if err := r.after(ctx, s, round, n); err != nil {
			return sum, err
		}
	}
	return sample{sum.cpu / time.Duration(r.ops), sum.wall / time.Duration(r.ops)}, nil
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

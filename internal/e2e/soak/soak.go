package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/registrykit/registry/internal/e2e/harness"
	"github.com/registrykit/registry/storage"
)

// soaker is one soak.
type soaker struct {
	config  config
	report  *report
	journal *journal
	place   *place
	store   *storage.Store // the store of this process on the same storage
	fleet   *harness.Fleet
	pool    []*layer
	ledger  *ledger
	where   sync.Map // digest of a layer: a repository that has or had it
	workers []*worker

	down atomic.Int32 // number of servers that are not running
	up   atomic.Int64 // when a server was last restarted, in ns
}

// servers is the number of servers on the storage.
const servers = 2

// soak runs a soak. It returns a nil report if the soak could not start.
func soak(ctx context.Context, c config) (_ *report, err error) {
	s := &soaker{config: c, report: newReport(c), pool: newPool(c.seed), ledger: &ledger{index: map[*image]int{}}}
	if s.journal, err = newJournal(); err != nil {
		return nil, err
	}
	defer func() {
		if cerr := s.journal.close(err != nil); err != nil {
			err = fmt.Errorf("%w\nall requests are in %s", err, s.journal.file.Name())
		} else {
			err = cerr
		}
	}()
	if s.place, err = openPlace(ctx, c); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.place.close()) }()
	if s.store, err = s.place.store(ctx, c.grace, c.uploadTTL()); err != nil {
		return nil, err
	}
	if s.fleet, err = s.start(c.every); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.fleet.Stop()) }()
	s.journal.note("seed %d", c.seed)

	start := time.Now()
	s.run(ctx)
	s.report.took = time.Since(start)
	if err := s.report.err(); err != nil {
		return s.report, s.withLog(err)
	}
	if err := s.finish(context.WithoutCancel(ctx)); err != nil {
		return s.report, s.withLog(err)
	}
	if err := s.warnings(); err != nil {
		return s.report, err
	}
	return s.report, s.report.err()
}

// start starts the servers. They collect at the given interval; 0 means never.
func (s *soaker) start(every time.Duration) (*harness.Fleet, error) {
	o := s.place.options
	o.Args = append(o.Args, "-log-level", "warn", "-collect-every", every.String(), "-collect-grace",
		s.config.grace.String(),
		"-upload-ttl", s.config.uploadTTL().String())
	if s.config.untagged {
		o.Args = append(o.Args, "-collect-untagged")
	}
	if s.config.keep && every > 0 { // not in the servers that only serve the last pulls
		args, err := s.place.keepArgs()
		if err != nil {
			return nil, err
		}
		o.Args = append(o.Args, args...)
	}
	return harness.StartFleet(servers, o)
}

// warnings records a failure for each warning or error in the logs of the servers. A failed
// collection logs one of them. The returned error is that of reading the logs.
func (s *soaker) warnings() error {
	b, err := os.ReadFile(s.place.options.Log)
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(b)) {
		if strings.Contains(line, expectedWarning) {
			continue
		}
		if strings.Contains(line, " level=WARN ") || strings.Contains(line, " level=ERROR ") {
			s.report.fail(wrong, "a server has logged "+line)
		}
	}
	return nil
}

// withLog adds the end of the servers' logs to err.
func (s *soaker) withLog(err error) error {
	b, _ := os.ReadFile(s.place.options.Log)
	return fmt.Errorf("%w\nservers:\n%s", err, b[max(0, len(b)-4000):])
}

// run runs the workers while it kills and restarts servers.
func (s *soaker) run(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if s.config.span > 0 {
		ctx, cancel = context.WithTimeout(ctx, s.config.span)
		defer cancel()
	}
	for id := range s.config.workers {
		w := &worker{s: s, id: id, c: s.fleet.Client(), rng: rand.New(rand.NewPCG(s.config.seed, uint64(id)+2)),
			tags: map[string]*image{}}
		w.c.HTTP.Transport = &transport{w.c.HTTP.Transport, s.journal, id}
		s.workers = append(s.workers, w)
	}
	besides, stop := context.WithCancel(ctx)
	var beside, working sync.WaitGroup
	beside.Go(func() { s.kill(besides) })
	beside.Go(func() { s.collectBeside(besides) })
	beside.Go(func() { s.countCollections(besides) })
	for _, w := range s.workers {
		working.Go(func() { w.run(ctx) })
	}
	working.Wait()
	stop()
	beside.Wait()
}

// kill kills one of the servers at random times and restarts it at the same address.
func (s *soaker) kill(ctx context.Context) {
	if s.config.killEvery == 0 {
		return
	}
	rng := rand.New(rand.NewPCG(s.config.seed, 0))
	sleep := func(d time.Duration) bool {
		select {
		case <-ctx.Done():
			return false
		case <-time.After(d):
			return true
		}
	}
	for sleep(s.config.killEvery/2 + time.Duration(rng.Int64N(int64(s.config.killEvery)))) {
		s.down.Add(1)
		addr, err := s.fleet.Kill()
		s.journal.note("server: %s killed", addr)
		if err == nil {
			sleep(time.Duration(rng.Int64N(int64(1500 * time.Millisecond))))
			err = s.fleet.Add(addr)
		}
		s.journal.note("server: %s started", addr)
		s.up.Store(time.Now().UnixNano())
		s.down.Add(-1)
		if err != nil {
			s.report.fail(wrong, "server "+addr+": "+err.Error())
			return
		}
		s.report.event("kills", 1)
	}
}

// cutOff reports whether a request that was sent after since has failed because a server was down.
func (s *soaker) cutOff(since time.Time, err error) bool {
	return (isNetwork(err) || status(err) >= 500) && (s.down.Load() > 0 || s.up.Load() > since.UnixNano())
}

var hexDigest = regexp.MustCompile(`[0-9a-f]{64}`)

// failed records that an operation has failed, with the history of the affected object.
func (s *soaker) failed(what string, err error) {
	kind := wrong
	var f *failure
	switch {
	case errors.As(err, &f):
		kind = f.kind
	case errors.Is(err, context.DeadlineExceeded):
		kind = stuck
	}
	object := hexDigest.FindString(err.Error())
	if object == "" {
		object, _, _ = strings.Cut(what, ",")
		object += " "
	}
	s.journal.note("%s: %s: %v", what, kind, err)
	s.report.fail(kind, fmt.Sprintf("%s: %v\n  %s", what, err, strings.Join(s.journal.last(object, 60), "\n  ")))
}

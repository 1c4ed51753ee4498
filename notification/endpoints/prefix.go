package endpoints

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/registrykit/registry/storage/driver"
)

// prefix is the waiting deliveries of one process. The process that has the heartbeat of a prefix makes them. That is
// the process that wrote them, or the process that has taken them over.
type prefix struct {
	id string

	writing sync.Mutex // one write of the heartbeat at a time

	// Endpoints.mu guards the following.
	version string
	renewed time.Time // when the heartbeat was written, by the monotonic clock
	used    time.Time // when a delivery was last added or made
	lost    bool      // another process has the heartbeat
	adding  int       // calls of Notify that add to it
	sources int       // endpoints with deliveries in it
}

// heartbeat is the record that a prefix has a process. It is another object each time it is written.
type heartbeat struct {
	// Holder is the process, or "" if any process may take the prefix at once.
	Holder string `json:"holder,omitempty"`
}

// newPrefix returns the name of a new prefix. Names ascend with the time.
func newPrefix(now time.Time) string {
	var b [8]byte
	rand.Read(b[:])
	return fmt.Sprintf("%012x-%s", now.UnixMilli(), hex.EncodeToString(b[:]))
}

// lead returns the prefix of this process, with a heartbeat that is fresh enough for what is added now. The caller
// calls follow at the end.
//
// Errors: those of the Driver.
func (e *Endpoints) lead(ctx context.Context) (*prefix, error) {
	e.leading.Lock()
	defer e.leading.Unlock()
	e.mu.Lock()
	p := e.own
	if e.ended {
		p = nil // others may have taken over what was released
	}
	ok := p != nil && !p.lost && time.Since(p.renewed) < e.opts.Lease/3
	e.mu.Unlock()
	if p != nil && !ok {
		if err := e.beat(ctx, p); err != nil && !driver.IsConflict(err) {
			return nil, err
		}
		e.mu.Lock()
		ok = !p.lost
		e.mu.Unlock()
	}
	if !ok {
		p = &prefix{id: newPrefix(time.Now())}
		if err := e.beat(ctx, p); err != nil {
			return nil, err
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.own = p
	p.adding, p.used = p.adding+1, time.Now()
	return p, nil
}

// follow ends what lead has begun.
func (e *Endpoints) follow(p *prefix) {
	e.mu.Lock()
	defer e.mu.Unlock()
	p.adding--
}

// beat writes the heartbeat of a prefix that this process has. After Run has ended, it releases the prefix.
//
// Errors: driver.IsConflict if another process has it now, and the prefix is lost then; others of the Driver.
func (e *Endpoints) beat(ctx context.Context, p *prefix) error {
	p.writing.Lock()
	defer p.writing.Unlock()
	e.mu.Lock()
	version, released := p.version, e.ended
	e.mu.Unlock()
	h := &heartbeat{Holder: e.holder}
	if released {
		h.Holder = ""
	}
	key := heartbeatPrefix + p.id
	start := time.Now()
	next, err := e.writeHeartbeat(ctx, key, version, h)
	if driver.IsConflict(err) {
		// It is our own if the answer to an earlier write was lost.
		there, found, rerr := read[heartbeat](ctx, e.driver, key)
		if rerr != nil && !errors.Is(rerr, driver.ErrNotExist) && !errors.Is(rerr, errDamaged) {
			return rerr
		}
		if rerr == nil && there.Holder == e.holder {
			next, err = e.writeHeartbeat(ctx, key, found, h)
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case err == nil:
		p.version, p.renewed = next, start
	case driver.IsConflict(err):
		p.lost = true
		e.opts.Logger.Warn("endpoints: another process has taken over deliveries of this one", "prefix", p.id)
	}
	return err
}

func (e *Endpoints) writeHeartbeat(ctx context.Context, key, version string, h *heartbeat) (string, error) {
	return write(ctx, e.driver, key, h, driver.PutOptions{IfAbsent: version == "", IfVersion: version,
		Durability: driver.Deferred})
}

// usable reports whether this process may make deliveries of a prefix now.
func (e *Endpoints) usable(p *prefix) (usable, lost bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return !p.lost && time.Since(p.renewed) < e.opts.Lease, p.lost
}

// held returns the prefixes that this process has.
func (e *Endpoints) held() []*prefix {
	e.mu.Lock()
	defer e.mu.Unlock()
	var all []*prefix
	if e.own != nil && !e.own.lost {
		all = append(all, e.own)
	}
	for id, p := range e.adopted {
		if p.lost {
			delete(e.adopted, id)
			continue
		}
		all = append(all, p)
	}
	return all
}

// keep writes the heartbeats that are due, and gives up prefixes without deliveries.
func (e *Endpoints) keep(ctx context.Context) {
	for _, p := range e.held() {
		e.mu.Lock()
		due := time.Since(p.renewed) >= e.opts.Lease/3
		idle := p.sources == 0 && p.adding == 0 && time.Since(p.used) >= e.opts.Lease
		e.mu.Unlock()
		var err error
		switch {
		case idle:
			err = e.leave(ctx, p)
		case due:
			err = e.beat(ctx, p)
		}
		if err != nil && !driver.IsConflict(err) && ctx.Err() == nil {
			e.opts.Logger.Warn("endpoints: cannot write a heartbeat", "error", err)
		}
	}
}

// leave gives up a prefix that has had no deliveries for a while. Whatever is found in it later is taken over by any
// process, this one too.
func (e *Endpoints) leave(ctx context.Context, p *prefix) error {
	e.leading.Lock() // nothing is added meanwhile
	defer e.leading.Unlock()
	p.writing.Lock()
	defer p.writing.Unlock()
	e.mu.Lock()
	if p.sources > 0 || p.adding > 0 {
		e.mu.Unlock()
		return nil
	}
	version := p.version
	e.mu.Unlock()
	err := e.driver.Delete(ctx, heartbeatPrefix+p.id, version)
	if err != nil && !driver.IsConflict(err) && !errors.Is(err, driver.ErrNotExist) {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	p.lost = true
	if e.own == p {
		e.own = nil
	}
	delete(e.adopted, p.id)
	return nil
}

// release lets other processes take over at once what this one has.
func (e *Endpoints) release(ctx context.Context) {
	for _, p := range e.held() {
		if err := e.beat(ctx, p); err != nil && !driver.IsConflict(err) {
			e.opts.Logger.Warn("endpoints: cannot release deliveries", "error", err)
		}
	}
}

// sighting is a heartbeat of another process, as this one has seen it.
type sighting struct {
	version  string
	since    time.Time // when this version was first seen, by the monotonic clock
	released bool
}

// scan takes over the waiting deliveries of processes that have stopped.
func (e *Endpoints) scan(ctx context.Context, seen map[string]*sighting) error {
	present := map[string]bool{}
	for id, err := range components(ctx, e.driver, waitingPrefix) {
		if err != nil {
			return err
		}
		if p, known := e.has(id); known {
			if p != nil {
				err = e.discover(ctx, p)
			}
			if err != nil {
				return err
			}
			continue
		}
		present[id] = true
		s, err := e.look(ctx, id, seen[id])
		if err != nil {
			return err
		}
		seen[id] = s
		if s.version != "" && !s.released && time.Since(s.since) < e.opts.Lease {
			continue
		}
		if err := e.takeOver(ctx, id, s.version); err != nil {
			return err
		}
	}
	for id := range seen {
		if !present[id] {
			delete(seen, id)
		}
	}
	return nil
}

// has reports whether this process has a prefix, and returns it if it was taken over.
func (e *Endpoints) has(id string) (*prefix, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if p := e.adopted[id]; p != nil && !p.lost {
		return p, true
	}
	return nil, e.own != nil && e.own.id == id && !e.own.lost
}

// look reads the heartbeat of another process.
func (e *Endpoints) look(ctx context.Context, id string, s *sighting) (*sighting, error) {
	h, version, err := read[heartbeat](ctx, e.driver, heartbeatPrefix+id)
	if err != nil && !errors.Is(err, driver.ErrNotExist) && !errors.Is(err, errDamaged) {
		return nil, err
	}
	if s != nil && s.version == version {
		return s, nil
	}
	return &sighting{version, time.Now(), h != nil && h.Holder == ""}, nil
}

// takeOver takes the waiting deliveries of a process that has stopped.
func (e *Endpoints) takeOver(ctx context.Context, id, version string) error {
	start := time.Now()
	next, err := e.writeHeartbeat(ctx, heartbeatPrefix+id, version, &heartbeat{Holder: e.holder})
	if driver.IsConflict(err) {
		return nil // its process lives, or another one was faster
	}
	if err != nil {
		return err
	}
	p := &prefix{id: id, version: next, renewed: start, used: start}
	e.mu.Lock()
	e.adopted[id] = p
	e.mu.Unlock()
	e.opts.Logger.Info("endpoints: took over deliveries", "prefix", id)
	return e.discover(ctx, p)
}

// discover finds the endpoints with waiting deliveries in a prefix that was taken over. A scan repeats it, because a
// process that was paused may still add to its prefix before it notices.
func (e *Endpoints) discover(ctx context.Context, p *prefix) error {
	for name, err := range components(ctx, e.driver, waitingPrefix+p.id+"/") {
		if err != nil {
			return err
		}
		e.mu.Lock()
		w := e.workers[ID(name)]
		known := w != nil && w.find(p) != nil
		e.mu.Unlock()
		if !known {
			e.add(p, ID(name), nil)
		}
	}
	return nil
}

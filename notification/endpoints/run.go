package endpoints

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/registrykit/registry/internal/pause"
	"github.com/registrykit/registry/storage/driver"
)

// sweepEvery is how often Run looks for what endpoints and processes have left behind. One of recordsEvery sweeps looks
// at the records of deliveries, because that costs requests for each endpoint.
const (
	sweepEvery   = time.Hour
	recordsEvery = 24
)

// Run makes the deliveries until ctx ends: those that this process has copied, and those of processes that have
// stopped. It also removes old records. Every replica runs it. At the end, requests on their way are cancelled, and
// another process makes the deliveries that are left.
//
// Errors: the error of ctx when it ends; ErrRunning. Failures of the storage and of receivers are logged and tried
// again.
func (e *Endpoints) Run(ctx context.Context) error {
	work, cancel := context.WithCancel(ctx)
	defer cancel()
	e.mu.Lock()
	if e.ctx != nil {
		e.mu.Unlock()
		return ErrRunning
	}
	e.ctx, e.ended = work, false
	for _, w := range e.workers {
		e.start(w)
	}
	e.group.Go(func() { e.sweepAll(work) })
	e.mu.Unlock()

	seen := map[string]*sighting{}
	var scanned time.Time
	for ctx.Err() == nil {
		e.keep(work)
		if scanned.IsZero() || time.Since(scanned) >= e.opts.Lease/2 {
			scanned = time.Now()
			if err := e.scan(work, seen); err != nil && ctx.Err() == nil {
				e.opts.Logger.Warn("endpoints: cannot look for waiting deliveries", "error", err)
				clear(seen) // other processes may have been unable to write, too
			}
		}
		_ = pause.Sleep(ctx, e.opts.Lease/6)
	}
	e.mu.Lock()
	e.ended = true
	e.mu.Unlock()
	cancel()
	e.group.Wait()
	end, done := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
	defer done()
	e.release(end)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ctx, e.own = nil, nil
	clear(e.adopted)
	clear(e.workers)
	for id, h := range e.hooks {
		h.sink.CloseIdleConnections()
		delete(e.hooks, id)
	}
	return ctx.Err()
}

// sweepAll calls sweep at the start and now and then, until ctx ends.
func (e *Endpoints) sweepAll(ctx context.Context) {
	for n := 0; ; n++ {
		err := e.sweep(ctx)
		if err == nil && n%recordsEvery == 1 {
			err = e.sweepDeliveries(ctx)
		}
		if err != nil && ctx.Err() == nil {
			e.opts.Logger.Warn("endpoints: cannot remove old records", "error", err)
		}
		if pause.Sleep(ctx, sweepEvery) != nil {
			return
		}
	}
}

// sweep removes endpoints whose namespace belongs to somebody else now, and heartbeats of processes that are gone.
func (e *Endpoints) sweep(ctx context.Context) error {
	all, err := e.cache.get(ctx)
	if err != nil {
		return err
	}
	for _, t := range all.byID {
		ok, err := e.owned(ctx, &t.record)
		if err != nil {
			return err
		}
		if !ok {
			if err := e.evict(ctx, t); err != nil {
				return err
			}
		}
	}
	e.mu.Lock()
	for id, h := range e.hooks {
		if t := all.byID[id]; t == nil || t.version != h.version {
			h.sink.CloseIdleConnections()
			delete(e.hooks, id)
		}
	}
	e.mu.Unlock()
	return e.sweepHeartbeats(ctx)
}

// sweepDeliveries removes the records of endpoints that are gone, and old dead deliveries.
func (e *Endpoints) sweepDeliveries(ctx context.Context) error {
	e.logs.mu.Lock()
	clear(e.logs.written)
	e.logs.mu.Unlock()
	return errors.Join(e.sweepRecords(ctx, logPrefix, 0), e.sweepRecords(ctx, deadPrefix, e.opts.KeepDead))
}

// sweepHeartbeats removes the heartbeats of processes that were killed without waiting deliveries.
func (e *Endpoints) sweepHeartbeats(ctx context.Context) error {
	old := time.Now().Add(-max(sweepEvery, 10*e.opts.Lease))
	for info, err := range e.driver.List(ctx, heartbeatPrefix, nil) {
		if err != nil {
			return err
		}
		id := strings.TrimPrefix(info.Key, heartbeatPrefix)
		if _, held := e.has(id); held || info.ModTime.After(old) {
			continue
		}
		if err := e.dropHeartbeat(ctx, id, info); err != nil {
			return err
		}
	}
	return nil
}

// dropHeartbeat removes a heartbeat unless it has changed or has waiting deliveries.
func (e *Endpoints) dropHeartbeat(ctx context.Context, id string, info driver.Info) error {
	for _, err := range e.driver.List(ctx, waitingPrefix+id+"/", &driver.ListOptions{KeysOnly: true, PageHint: 1}) {
		return err
	}
	err := e.driver.Delete(ctx, info.Key, info.Version)
	if driver.IsConflict(err) || errors.Is(err, driver.ErrNotExist) {
		return nil
	}
	return err
}

// evict removes an endpoint whose namespace belongs to somebody else now.
func (e *Endpoints) evict(ctx context.Context, t *target) error {
	key, err := t.ID.key()
	if err != nil {
		return err
	}
	err = e.driver.Delete(ctx, key, t.version)
	switch {
	case driver.IsConflict(err), errors.Is(err, driver.ErrNotExist):
		return nil // at the next sweep
	case err != nil:
		return err
	}
	e.opts.Logger.Info("endpoints: removed an endpoint whose namespace has another owner", "endpoint", t.ID)
	return errors.Join(e.changed(ctx), e.clear(ctx, t.ID))
}

// sweepRecords removes the deliveries of endpoints that are gone, and those older than keep, if that is not 0.
func (e *Endpoints) sweepRecords(ctx context.Context, kind string, keep time.Duration) error {
	old := time.Now().Add(-keep)
	for name, err := range components(ctx, e.driver, kind) {
		if err != nil {
			return err
		}
		id := ID(name)
		_, _, err := e.load(ctx, id)
		switch {
		case errors.Is(err, ErrUnknown), errors.Is(err, ErrInvalid):
			if err := removeAll(ctx, e.driver, kind+name+"/"); err != nil {
				return err
			}
			continue
		case err != nil && !errors.Is(err, errDamaged):
			return err
		case keep == 0:
			continue
		}
		for info, err := range e.driver.List(ctx, kind+name+"/", nil) {
			if err == nil && info.ModTime.Before(old) {
				err = remove(ctx, e.driver, info.Key)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

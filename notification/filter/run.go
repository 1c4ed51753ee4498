package filter

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/registrykit/registry/internal/contain"
	"github.com/registrykit/registry/notification"
)

// Run passes on the merged pulls after each interval, until ctx ends. It then passes on what is
// left, for up to PullsOptions.Flush, and returns. Stop the server before, so that no pulls follow.
//
// Errors: an error is returned if Run is running already, or if events are left that the next sink
// has not accepted in time; they are lost.
func (p *Pulls) Run(ctx context.Context) error {
	p.mu.Lock()
	running := p.running
	p.running = true
	p.mu.Unlock()
	if running {
		return errors.New("filter: Run of Pulls is running already")
	}
	defer func() {
		p.mu.Lock()
		p.running = false
		p.mu.Unlock()
	}()
	tick := time.NewTicker(p.o.Interval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := p.Flush(ctx); err != nil && ctx.Err() == nil {
				p.o.OnError(err)
			}
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.o.Flush)
			defer cancel()
			return p.last(last)
		}
	}
}

// last passes on all that is left.
func (p *Pulls) last(ctx context.Context) error {
	err := p.Flush(ctx) // what an earlier call could not deliver, and with it what came since
	if err == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return fmt.Errorf("filter: %d merged events of pulls lost: %w", len(p.unsent)+len(p.merged), err)
}

// Flush passes on what has been collected so far. Run calls it after each interval.
//
// An error is that of the next sink. The events that it did not accept are kept for the next call.
func (p *Pulls) Flush(ctx context.Context) error {
	p.sending.Lock()
	defer p.sending.Unlock()
	for range 2 { // what an earlier call has left, and what has been collected since
		events := p.take()
		if len(events) == 0 {
			continue
		}
		err := contain.Call(func() error { return p.next.Notify(ctx, events) })
		p.mu.Lock()
		p.unsent = events[notification.Delivered(err, len(events)):]
		p.mu.Unlock()
		if err != nil {
			return err
		}
	}
	return nil
}

// take returns the events to pass on: those that an earlier call has left, otherwise those that
// have been merged since, in the order of their last pulls.
func (p *Pulls) take() []notification.Event {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.unsent) > 0 {
		return p.unsent
	}
	p.unsent = make([]notification.Event, 0, len(p.merged))
	for _, e := range p.merged {
		p.unsent = append(p.unsent, *e)
	}
	clear(p.merged)
	slices.SortFunc(p.unsent, func(a, b notification.Event) int { return a.Time.Compare(b.Time) })
	for i := range p.unsent {
		switch e := &p.unsent[i]; {
		case e.ID == "":
			e.ID = notification.NewID()
		case e.Count == 1:
			e.Count = 0 // as it came
		}
	}
	return p.unsent
}

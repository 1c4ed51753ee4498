package sse

import (
	"context"
	"errors"
	"time"

	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/notification/outbox"
)

// follower reads the Source for all clients, from the first client on until the last one has gone.
type follower struct {
	stop  context.CancelFunc
	ready chan struct{} // closed once the follower knows where the log ends
	ended chan struct{} // closed when it has returned
}

const (
	// minPause and maxPause bound the time to wait after the Source has failed.
	minPause = 100 * time.Millisecond
	maxPause = 10 * time.Second
)

// errFull is returned if there are too many clients.
var errFull = errors.New("sse: too many clients")

// join counts a client, and starts the follower if it is the first one. The caller calls leave.
func (h *Handler) join() (*follower, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.clients >= h.opts.MaxClients {
		return nil, errFull
	}
	h.clients++
	if h.opts.Source != nil && h.follow == nil {
		ctx, stop := context.WithCancel(context.Background())
		h.follow = &follower{stop: stop, ready: make(chan struct{}), ended: make(chan struct{})}
		go h.run(ctx, h.follow)
	}
	return h.follow, nil
}

// leave ends what join began. With the last client it waits for the end of the follower, so that no
// goroutine outlives the requests.
func (h *Handler) leave() {
	h.mu.Lock()
	h.clients--
	var f *follower
	if h.clients == 0 {
		f, h.follow = h.follow, nil
	}
	h.mu.Unlock()
	if f != nil {
		f.stop()
		<-f.ended
	}
}

// run adds the events of the Source to the ring, from now on, until ctx ends.
func (h *Handler) run(ctx context.Context, f *follower) {
	defer close(f.ended)
	pause := minPause
	failed := func(err error) {
		if ctx.Err() != nil {
			return
		}
		h.log.WarnContext(ctx, "sse: reading the events failed", "error", err)
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, maxPause)
	}
	var cursor string
	for ctx.Err() == nil {
		end, err := h.opts.Source.End(ctx)
		if err == nil {
			cursor = end
			break
		}
		failed(err)
	}
	if !h.begin(ctx, f, cursor) {
		return
	}
	for ctx.Err() == nil {
		opts := &outbox.SinceOptions{Follow: true, Poll: h.opts.Poll}
		for e, err := range h.opts.Source.Since(ctx, cursor, opts) {
			if err != nil {
				failed(err)
				break
			}
			cursor, pause = e.Cursor, minPause
			h.publish(f, entry{e.Event, e.Cursor})
		}
		select { // for a Source that does not follow
		case <-ctx.Done():
		case <-time.After(h.opts.Poll):
		}
	}
}

// begin empties the ring: events between the entries of an earlier follower and this one are not in
// it. It reports whether f is the present follower.
func (h *Handler) begin(ctx context.Context, f *follower, cursor string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.follow != f || ctx.Err() != nil {
		return false
	}
	h.oldest, h.last = h.next, cursor
	clear(h.ring)
	close(f.ready)
	return true
}

// publish adds an entry, unless another follower has begun.
func (h *Handler) publish(f *follower, e entry) {
	h.mu.Lock()
	if h.follow != f {
		h.mu.Unlock()
		return
	}
	wake := h.add(e)
	h.mu.Unlock()
	close(wake)
}

// missing returns an event which says that events are no longer available.
func missing() notification.Event {
	return notification.Event{ID: notification.NewID(), Time: time.Now(), Action: notification.Missing}
}

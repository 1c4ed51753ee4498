package sse

import (
	"errors"
	"time"

	"github.com/registrykit/registry/notification/outbox"
)

const (
	// maxReading is the maximum number of clients that read the Source at a time. Each may read the
	// whole log, so the others wait.
	maxReading = 8
	// turnTime is after how long such a client lets another one read. So those that read slowly do
	// not keep the others waiting.
	turnTime = 5 * time.Second
)

// catchUp sends what the Source has after the last event of the client. Then the client goes on
// with the ring from where the ring ended before.
func (c *client) catchUp() error {
	for done := false; !done; {
		err := c.waitForTurn()
		if err != nil {
			return err
		}
		done, err = c.readSource(time.Now().Add(turnTime))
		<-c.h.reading
		if err != nil {
			return err
		}
	}
	return c.flush()
}

// waitForTurn waits until the client may read the Source.
func (c *client) waitForTurn() error {
	heartbeat := time.NewTicker(c.h.opts.Heartbeat)
	defer heartbeat.Stop()
	for {
		select {
		case c.h.reading <- struct{}{}:
			return nil
		case <-c.r.Context().Done():
			return errEnd
		case <-c.h.closed:
			return errEnd
		case <-heartbeat.C:
			if err := c.beat(); err != nil {
				return err
			}
		}
	}
}

// readSource sends what the Source has after the last event of the client, until a time. done is
// false if there may be more.
func (c *client) readSource(until time.Time) (done bool, err error) {
	pos, _, _ := c.h.place("")
	n := 0
	for e, err := range c.h.opts.Source.Since(c.r.Context(), c.last, nil) {
		switch {
		case errors.Is(err, outbox.ErrCursor):
			c.pos, c.last, _ = c.h.place("") // the ID is not one of this log
			c.event(missing())
			return true, nil
		case err != nil:
			c.failed("reading the events failed", err)
			return false, err
		}
		if err := c.send(entry{e.Event, e.Cursor}); err != nil {
			return false, err
		}
		c.replay.add(e.Event.ID)
		if time.Since(c.flushed) >= c.h.opts.Heartbeat { // a long log may have little for the client
			if err := c.beat(); err != nil {
				return false, err
			}
		}
		if n++; n%batchSize == 0 {
			if err := c.flush(); err != nil {
				return false, err
			}
			if time.Now().After(until) {
				return false, nil
			}
		}
	}
	c.pos = pos
	return true, nil
}

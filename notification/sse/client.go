package sse

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/registrykit/registry/notification"
)

// client is one stream. Only the goroutine of its request uses it.
type client struct {
	h  *Handler
	w  http.ResponseWriter
	r  *http.Request
	rc *http.ResponseController

	query   query
	viewer  viewer
	checked time.Time // when the credentials were checked

	pos    uint64 // number of the next entry of the ring
	last   string // ID of the last entry that was examined, visible or not
	told   string // ID that the client knows
	buf    bytes.Buffer
	replay replayed

	flushed time.Time // when something was sent last
}

// gatherTime is the minimum time between two writes, unless there is much to send.
const gatherTime = 10 * time.Millisecond

// maxBuffer is the size of the buffer, in bytes, from which on it is sent at once.
const maxBuffer = 32 << 10

// errEnd ends a stream.
var errEnd = errors.New("sse: the stream ends")

// stream sends events until the client has gone or must go.
func (c *client) stream(resume string) {
	header := c.w.Header()
	header.Set("Content-Type", "text/event-stream")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Accel-Buffering", "no") // nginx passes each event on at once
	header.Set("X-Content-Type-Options", "nosniff")
	if c.begin(resume) != nil {
		return
	}
	heartbeat := time.NewTicker(c.h.opts.Heartbeat)
	defer heartbeat.Stop()
	for {
		b := c.h.after(c.pos)
		switch {
		case b.lost:
			if c.regain() != nil {
				return
			}
			continue
		case len(b.entries) > 0:
			for _, e := range b.entries {
				if c.send(e) != nil {
					return
				}
			}
			c.pos += uint64(len(b.entries))
			if c.flush() != nil {
				return
			}
			continue
		}
		select {
		case <-c.r.Context().Done():
			return
		case <-c.h.closed:
			return
		case <-b.changed:
			if !c.gather() {
				return
			}
		case <-heartbeat.C:
			if c.beat() != nil {
				return
			}
		}
	}
}

// gather waits a moment if the client has just been sent something, so that many events in a row
// make few writes. It returns false if the request has ended.
func (c *client) gather() bool {
	wait := gatherTime - time.Since(c.flushed)
	if wait <= 0 {
		return true
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-c.r.Context().Done():
		return false
	case <-t.C:
		return true
	}
}

// begin sends the beginning of the stream, and what the client has missed.
func (c *client) begin(resume string) error {
	pos, last, known := c.h.place(resume)
	c.pos, c.last = pos, last
	c.buf.WriteString("retry: 3000\n")
	if known {
		c.position()
		c.buf.WriteString("\n")
		return c.flush()
	}
	c.buf.WriteString("\n")
	if c.h.opts.Source != nil {
		c.last = resume
		return c.catchUp()
	}
	// The ring does not have the event: it is too old, or that of another process. So the client
	// has none of the events that are kept.
	c.event(missing())
	return c.flush()
}

// regain goes on after entries that the ring has dropped before the client got them.
func (c *client) regain() error {
	if c.h.opts.Source != nil {
		return c.catchUp()
	}
	c.h.mu.Lock()
	c.pos = c.h.oldest
	c.h.mu.Unlock()
	c.event(missing())
	return c.flush()
}

// send adds an entry to the buffer if the client asks for it and may see it.
func (c *client) send(e entry) error {
	c.last = e.id
	if !c.query.selects(&e.event) {
		return nil
	}
	if err := c.recheck(); err != nil {
		return err
	}
	seen, ok, err := c.viewer.see(c.r.Context(), e.event)
	if err != nil {
		c.failed("authorizing failed", err) // the client resumes here
		return err
	}
	if ok && !c.replay.repeated(e.event.ID) {
		c.event(seen)
	}
	if c.buf.Len() < maxBuffer {
		return nil
	}
	return c.flush()
}

// recheck checks the credentials again if that is due. The stream ends if they are no longer valid,
// or those of somebody else.
func (c *client) recheck() error {
	a := c.h.opts.Authenticator
	if a == nil || time.Since(c.checked) < c.h.opts.Recheck {
		return nil
	}
	identity, err := a.Authenticate(c.r)
	if err != nil || identity.Name != c.viewer.identity.Name {
		return errEnd
	}
	c.checked, c.viewer.identity, c.viewer.decided = time.Now(), identity, nil
	return nil
}

// event adds a message to the buffer.
func (c *client) event(e notification.Event) {
	b, err := json.Marshal(e)
	if err != nil {
		return // an event has nothing that JSON lacks
	}
	if e.Action == notification.Missing {
		c.buf.WriteString("event: missing\n")
	}
	c.position()
	c.buf.WriteString("data: ")
	c.buf.Write(b)
	c.buf.WriteString("\n\n")
}

// position adds the ID from which the client resumes.
func (c *client) position() {
	if c.last != "" && !strings.ContainsAny(c.last, "\r\n\x00") {
		c.buf.WriteString("id: " + c.last + "\n")
		c.told = c.last
	}
}

// beat sends a comment. If there were events that the client does not see, it also sends their
// position, so that the client need not pass them again when it resumes.
func (c *client) beat() error {
	if err := c.recheck(); err != nil {
		return err
	}
	c.buf.WriteString(":\n")
	if c.told != c.last {
		c.position()
	}
	c.buf.WriteString("\n")
	return c.flush()
}

// flush sends the buffer. A client that does not read it in time is cut off.
func (c *client) flush() error {
	select {
	case <-c.h.closed:
		return errEnd
	default:
	}
	if c.buf.Len() == 0 {
		return nil
	}
	_ = c.rc.SetWriteDeadline(time.Now().Add(c.h.opts.WriteTimeout))
	if _, err := c.buf.WriteTo(c.w); err != nil {
		return err
	}
	c.flushed = time.Now()
	return c.rc.Flush()
}

// failed logs an error that ends the stream.
func (c *client) failed(what string, err error) {
	if c.r.Context().Err() == nil {
		c.h.log.ErrorContext(c.r.Context(), "sse: "+what, "error", err)
	}
}

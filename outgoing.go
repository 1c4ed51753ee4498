package registry

import (
	"bytes"
	"container/list"
	"hash/maphash"
	"net/http"
	"sync"
	"sync/atomic"
)

// maxOutgoing is the maximum size, in bytes, of all the large bodies that are being sent.
const maxOutgoing = 64 << 20

// outgoing holds the large bodies that are being sent, manifests and lists, so that clients that
// read slowly or not at all cannot exhaust the memory. Equal bodies are held once, however many
// clients receive them, and the total size is limited.
//
// Beyond the limit, outgoing drops the bodies whose latest request is the oldest. Responses that
// still need them are cut off. New requests never wait: otherwise, clients that do not read could
// lock out all others.
type outgoing struct {
	limit int64 // of total
	seed  maphash.Seed

	mu     sync.Mutex
	total  int64 // bytes of all parcels that have not been dropped
	byHash map[uint64]*parcel
	order  list.List // of *parcel; the front is the next to be dropped
}

// parcel is a body that is being sent to one or more clients.
type parcel struct {
	hash    uint64
	size    int
	content atomic.Pointer[[]byte] // nil once the parcel has been dropped
	clients int
	owner   *scratch      // gets content back after the last client; or nil
	place   *list.Element // in outgoing.order; nil once the parcel has been dropped
}

func newOutgoing(limit int64) *outgoing {
	return &outgoing{limit: limit, seed: maphash.MakeSeed(), byHash: make(map[uint64]*parcel)}
}

// add returns a parcel with the body. The caller must not keep content itself, and must call done
// once it has sent the parcel. If owner is not nil, content is one of its buffers, and returns there
// after the last client.
func (o *outgoing) add(content []byte, owner *scratch) *parcel {
	hash := maphash.Bytes(o.seed, content)
	o.mu.Lock()
	p := o.byHash[hash]
	if p == nil {
		defer o.mu.Unlock()
		return o.insert(hash, content, owner)
	}
	p.clients++
	o.order.MoveToBack(p.place)
	o.mu.Unlock()
	if held := p.content.Load(); held != nil && bytes.Equal(*held, content) { // without the lock, as it takes long
		if owner != nil {
			owner.put(content)
		}
		return p
	}
	o.done(p)
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.insert(hash, content, owner)
}

// insert adds a parcel and drops others to make room. A later add finds this parcel, and no other
// one with the same hash.
func (o *outgoing) insert(hash uint64, content []byte, owner *scratch) *parcel {
	p := &parcel{hash: hash, size: len(content), clients: 1, owner: owner}
	p.content.Store(&content)
	p.place = o.order.PushBack(p)
	o.byHash[hash] = p
	o.total += int64(p.size)
	for o.total > o.limit && o.order.Len() > 1 {
		o.drop(o.order.Front().Value.(*parcel))
	}
	return p
}

// done drops a parcel unless it is being sent to another client.
func (o *outgoing) done(p *parcel) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if p.clients--; p.clients == 0 && p.place != nil {
		content := p.content.Load()
		o.drop(p)
		if p.owner != nil {
			p.owner.put(*content) // no client copies from it any more
		}
	}
}

// drop removes a parcel and lets go of its content.
func (o *outgoing) drop(p *parcel) {
	o.order.Remove(p.place)
	o.total -= int64(p.size)
	p.place = nil
	p.content.Store(nil)
	if o.byHash[p.hash] == p {
		delete(o.byHash, p.hash)
	}
}

// copy copies the content from position at to buf and returns the number of bytes copied. That is 0
// if the parcel has been dropped.
func (p *parcel) copy(buf []byte, at int) int {
	content := p.content.Load()
	if content == nil {
		return 0
	}
	return copy(buf, (*content)[at:])
}

// send sends a header and, unless the request is a HEAD, a body that is in memory. While it waits
// for the client, it holds only a buffer of a large body.
func (c *call) send(status int, content []byte) {
	if c.req.Method == http.MethodHead {
		content = nil
	}
	if len(content) > copyBuffer {
		c.sendLarge(status, content, nil)
		return
	}
	c.claim.Close()
	c.w.WriteHeader(status)
	if len(content) > 0 {
		_, _ = c.w.Write(content)
	}
}

// sendList sends a list with status 200. content is a buffer of Registry.scratch, which sendList takes
// back.
func (c *call) sendList(content []byte) {
	s := &c.r.scratch
	if len(content) > copyBuffer && c.req.Method != http.MethodHead {
		c.sendLarge(http.StatusOK, content, s)
		return
	}
	// A slow client may hold a small buffer. An HTTP/2 server may still read a body after its stream
	// has failed.
	if c.req.ProtoMajor != 1 || cap(content) > copyBuffer {
		own := bytes.Clone(content)
		s.put(content)
		c.send(http.StatusOK, own)
		return
	}
	c.send(http.StatusOK, content)
	s.put(content)
}

// sendLarge sends a header and a body of more than copyBuffer. For owner see outgoing.add.
func (c *call) sendLarge(status int, content []byte, owner *scratch) {
	p := c.r.outgoing.add(content, owner)
	defer c.r.outgoing.done(p)
	c.claim.Close() // c.r.outgoing counts the content from here on
	c.w.WriteHeader(status)
	buf, done := c.r.buffers.Get()
	sent := true
	defer func() { done(sent) }()
	for at := 0; at < p.size; {
		n := p.copy(buf, at)
		if n == 0 {
			c.cut()
		}
		if _, err := c.w.Write(buf[:n]); err != nil {
			sent = false
			return // the client has disconnected, or its deadline has passed
		}
		at += n
	}
}

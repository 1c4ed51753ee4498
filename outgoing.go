package registry

import (
	"bytes"
	"container/list"
	"hash/maphash"
	"net/http"
	"sync"
	"sync/atomic"
)

// maxOutgoing is how many bytes the large bodies hold at most that are on their way to clients.
const maxOutgoing = 64 << 20

// outgoing holds the large bodies that are on their way to clients, manifests and lists, so that clients that read slowly or not at all
// cannot fill the memory: equal bodies are held once, however many clients they go to, and all together have at most a number of bytes.
// When there are more, the bodies are dropped that have waited longest since a client asked for them; the responses that have not sent
// theirs are cut off. The alternative, to let new requests wait, would allow clients that do not read to lock out all others.
type outgoing struct {
	limit int64
	seed  maphash.Seed

	mu     sync.Mutex
	total  int64
	byHash map[uint64]*parcel
	order  list.List // of *parcel; first the one to be dropped first
}

// parcel is a body on its way to some clients.
type parcel struct {
	hash    uint64
	size    int
	content atomic.Pointer[[]byte] // nil once it has been dropped
	clients int
	place   *list.Element // nil once it has been dropped
}

func newOutgoing(limit int64) *outgoing {
	return &outgoing{limit: limit, seed: maphash.MakeSeed(), byHash: make(map[uint64]*parcel)}
}

// add takes a body on. The caller forgets its own reference, sends the parcel, and then calls done.
func (o *outgoing) add(content []byte) *parcel {
	hash := maphash.Bytes(o.seed, content)
	o.mu.Lock()
	p := o.byHash[hash]
	if p == nil {
		defer o.mu.Unlock()
		return o.insert(hash, content)
	}
	p.clients++
	o.order.MoveToBack(p.place)
	o.mu.Unlock()
	if held := p.content.Load(); held != nil && bytes.Equal(*held, content) { // which takes too long for the lock
		return p
	}
	o.done(p)
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.insert(hash, content)
}

// insert adds a parcel, in the place of another one with the same hash, and drops others to make room.
func (o *outgoing) insert(hash uint64, content []byte) *parcel {
	p := &parcel{hash: hash, size: len(content), clients: 1}
	p.content.Store(&content)
	p.place = o.order.PushBack(p)
	o.byHash[hash] = p
	o.total += int64(p.size)
	for o.total > o.limit && o.order.Len() > 1 {
		o.drop(o.order.Front().Value.(*parcel))
	}
	return p
}

// done ends the sending of a parcel to one client.
func (o *outgoing) done(p *parcel) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if p.clients--; p.clients == 0 && p.place != nil {
		o.drop(p)
	}
}

func (o *outgoing) drop(p *parcel) {
	o.order.Remove(p.place)
	o.total -= int64(p.size)
	p.place = nil
	p.content.Store(nil)
	if o.byHash[p.hash] == p {
		delete(o.byHash, p.hash)
	}
}

// copy copies what comes at a position to buf, and returns how many bytes it copied; 0 after the parcel has been dropped.
func (p *parcel) copy(buf []byte, at int) int {
	content := p.content.Load()
	if content == nil {
		return 0
	}
	return copy(buf, (*content)[at:])
}

// send sends a header and, unless the request is a HEAD, a body that is in memory. While it waits
// for the client, it holds no more of a large body than a buffer.
func (c *call) send(status int, content []byte) {
	if c.req.Method == http.MethodHead {
		content = nil
	}
	if len(content) <= copyBufferSize {
		c.claim.Close()
		c.w.WriteHeader(status)
		if len(content) > 0 {
			_, _ = c.w.Write(content)
		}
		return
	}
	p := c.r.outgoing.add(content)
	defer c.r.outgoing.done(p)
	c.claim.Close() // c.r.outgoing counts the content from here on
	c.w.WriteHeader(status)
	buf := copyBuffers.Get().(*[copyBufferSize]byte)
	defer copyBuffers.Put(buf)
	for at := 0; at < p.size; {
		n := p.copy(buf[:], at)
		if n == 0 {
			c.cut()
		}
		if _, err := c.w.Write(buf[:n]); err != nil {
			return // the client has gone
		}
		at += n
	}
}

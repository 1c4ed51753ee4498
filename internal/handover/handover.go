// Package handover lets a storage bound the memory of the manifests that it reads until the HTTP
// handler bounds it. Without it, a manifest belongs to neither of the two for a moment: many
// requests at once would each hold one.
package handover

import (
	"context"
	"sync"
)

// Claim is the part of the storage's memory that the manifest of one request takes. The handler
// passes an empty claim, the zero value, to the storage, which fills it. The handler closes it once
// it counts the manifest itself. The methods are safe for concurrent use. The receiver may be nil.
type Claim struct {
	mu      sync.Mutex
	closed  bool
	release func() // nil if the claim is empty
}

type contextKey struct{}

// NewContext returns a context with a claim. The caller must close the claim.
func NewContext(ctx context.Context, c *Claim) context.Context {
	return context.WithValue(ctx, contextKey{}, c)
}

// FromContext returns the claim of a context, or nil if the context has none.
func FromContext(ctx context.Context) *Claim {
	c, _ := ctx.Value(contextKey{}).(*Claim)
	return c
}

// Keep fills the claim: release, which gives the memory back, is called when the claim is released
// or closed. Keep reports whether it takes release; a nil or closed claim does not, and then the
// caller calls release itself. Keep releases what the claim held before.
func (c *Claim) Keep(release func()) bool {
	if c == nil {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.empty()
	c.release = release
	return true
}

// Release empties the claim. A storage calls it before it waits for memory once more: requests that
// hold memory and wait for more would block each other for ever.
func (c *Claim) Release() {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.empty()
}

// Close empties the claim for good.
func (c *Claim) Close() {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.empty()
	c.closed = true
}

func (c *Claim) empty() {
	if c.release != nil {
		c.release()
		c.release = nil
	}
}

// Package handover lets a storage account for the memory of a manifest until the HTTP handler
// accounts for it. Without it, a manifest would count for neither of the two for a moment, and many
// requests at once would each hold one.
package handover

import (
	"context"
	"sync"
)

// Claim is the part of the storage's memory that the manifest of one request takes. The handler
// passes an empty claim, the zero value, to the storage, which fills it. The handler closes it once
// it accounts for the manifest itself. The methods are safe for concurrent use. The receiver may be
// nil.
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

// Keep fills the claim and releases what it held before. release returns the memory; it is called
// when the claim is released or closed. The result reports whether the claim keeps release. A nil
// or closed claim does not, and the caller must then call release itself.
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

// Release empties the claim. A storage calls it before it waits for memory again: requests that
// hold memory and wait for more would block each other for ever.
func (c *Claim) Release() {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.empty()
}

// Close empties the claim permanently.
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

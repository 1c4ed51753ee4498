package site

import (
	"context"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/examples/internal/process"
)

// decided takes the decisions about access.
func (h *Hub) decided(ctx context.Context, d auth.Decision) {
	if h.trail != nil {
		h.trail.Decided(ctx, d)
	}
	if h.config.Audit.Log {
		process.LogDecision(ctx, h.log, d)
	}
}

// changed takes the changes of accounts, and attempts that were rejected. The audit log gets changes as events.
func (h *Hub) changed(ctx context.Context, c accounts.Change) {
	if h.config.Audit.Log {
		h.log.InfoContext(ctx, "accounts", "change", c)
	}
}

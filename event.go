package registry

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/reference"
)

// notify tells the Sink of what has happened. That it failed changes nothing of what happened, so
// it only goes to the log.
func (g *guard) notify(ctx context.Context, e notification.Event) {
	if g.r.opts.Sink == nil {
		return
	}
	e.ID, e.Time, e.Actor, e.Request = rand.Text(), time.Now(), g.identity.Name, g.request
	if err := g.r.opts.Sink.Notify(context.WithoutCancel(ctx), e); err != nil {
		g.r.log.ErrorContext(ctx, "event not delivered", "event", e.ID, "action", string(e.Action), "repository",
			e.Repository, "error", err)
	}
}

// tagsOf is the tag of ref as a list.
func tagsOf(ref reference.Ref) []string {
	if ref.Tag == "" {
		return nil
	}
	return []string{ref.Tag}
}

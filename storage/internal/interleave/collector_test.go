package interleave

import (
	"context"
	"time"

	"github.com/registrykit/registry/storage"
)

// collectSome collects several times without a pause.
func (c *client) collectSome(ctx context.Context) {
	for range 1 + c.rnd.IntN(3) {
		c.w.s.tick(c.actor, "collects")
		var grace time.Duration // 0 means the grace period of the Store
		if c.w.mode.grace == "mixed" {
			grace = -1
		}
		r, err := c.store.Collect(ctx, &storage.CollectOptions{
			Grace: grace, Untagged: c.w.mode.untagged && c.rnd.IntN(3) > 0, Parallel: []int{1, 2, 16}[c.rnd.IntN(3)],
			DryRun: c.rnd.IntN(16) == 0, Memory: 1 << 16,
		})
		c.w.unexpected(c.actor, "collect", err)
		if err != nil {
			return
		}
		c.w.s.tick(c.actor, "collected: %+v", r.Removed)
		c.w.s.fail(c.w.check())
	}
}

// collectBeside collects while actors stall. It uses a grace period only if pushes rely on one.
func (w *world) collectBeside(ctx context.Context) error {
	if w.mode.grace == "day" {
		return w.collect(ctx, graces["day"])
	}
	return w.collect(ctx, -1)
}

// collectAlone collects without a grace period, while no actor works.
func (w *world) collectAlone(ctx context.Context) error { return w.collect(ctx, -1) }

func (w *world) collect(ctx context.Context, grace time.Duration) error {
	r, err := w.observer.Collect(ctx, &storage.CollectOptions{Grace: grace, Untagged: w.mode.untagged, Memory: 1 << 16})
	if err == nil {
		w.s.tick(&actor{name: "alone"}, "collected: %+v", r.Removed)
	}
	return err
}

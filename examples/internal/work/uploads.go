package work

import (
	"context"
	"log/slog"
	"time"

	"github.com/registrykit/registry/storage"
)

// ExpireUploads periodically removes expired uploads until ctx ends.
func ExpireUploads(ctx context.Context, store *storage.Store, every time.Duration, log *slog.Logger) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		n, err := store.ExpireUploads(ctx)
		if err != nil && ctx.Err() == nil {
			log.Warn("removing expired uploads failed", "error", err)
		} else if n > 0 {
			log.Info("removed expired uploads", "number", n)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

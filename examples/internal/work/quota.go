package work

import (
	"context"
	"log/slog"

	"github.com/registrykit/registry/examples/internal/process"
	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/quota"
)

// QuotaOptions returns options that log what an operator should know. sink may be nil.
func QuotaOptions(sink notification.Sink, log *slog.Logger) *quota.Options {
	return &quota.Options{
		Sink: sink, Instance: process.Instance(),
		Soft: func(ctx context.Context, c quota.Crossing) {
			log.WarnContext(ctx, "a soft limit is exceeded", "prefix", c.Prefix, "resource", c.Resource, "used", c.Used,
				"soft", c.Soft, "max", c.Max)
		},
		Counted: func(prefix string, err error) {
			if err != nil {
				log.Warn("counting for quotas failed", "prefix", prefix, "error", err)
			}
		},
	}
}

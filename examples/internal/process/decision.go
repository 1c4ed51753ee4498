package process

import (
	"context"
	"log/slog"

	"github.com/registrykit/registry/auth"
)

// LogDecision logs a decision about access.
func LogDecision(ctx context.Context, log *slog.Logger, d auth.Decision) {
	accesses := make([]string, len(d.Accesses))
	for i, a := range d.Accesses {
		if accesses[i] = a.String(); a.Tag != "" {
			accesses[i] += " tag " + a.Tag
		}
	}
	log.InfoContext(ctx, "access", "allowed", d.Allowed, "who", d.Identity.Name, "what", accesses, "rule", d.Rule,
		"why", d.Err,
		"method", d.Method, "path", d.Path, "remote", d.RemoteAddr)
}

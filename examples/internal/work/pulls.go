package work

import (
	"context"
	"slices"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/pulltime"
)

// RecordPulls returns an interceptor that records the pulls of manifests. HEAD requests do not count,
// and neither do the pulls by some users.
func RecordPulls(r *pulltime.Recorder, except []string) registry.Interceptor {
	return func(ctx context.Context, op *registry.Op, next func(context.Context) error) error {
		err := next(ctx)
		if err == nil && op.Kind == registry.OpGetManifest && !slices.Contains(except, registry.IdentityFrom(ctx).Name) {
			r.Pulled(op.Repository, op.Result.Digest, op.Ref.Tag)
		}
		return err
	}
}

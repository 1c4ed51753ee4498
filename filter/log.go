package filter

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/registrykit/registry"
)

// Log returns b, and logs each operation as it ends: at level Info if it went well, Warn if it was
// refused, and Error if it failed for a reason that is no client's. Ids of uploads are not logged,
// since who knows one may be taken for its owner. A nil logger logs nothing; a nil b has no
// operations.
func Log(b registry.Backend, logger *slog.Logger) registry.Backend {
	if logger == nil {
		return Observe(b, nil)
	}
	return Observe(b, func(ctx context.Context, op *registry.Op, took time.Duration, err error) {
		level := slog.LevelInfo
		var e *registry.Error
		switch {
		case errors.As(err, &e) && e.Status() < 500:
			level = slog.LevelWarn
		case err != nil:
			level = slog.LevelError
		}
		if logger.Enabled(ctx, level) {
			logger.LogAttrs(ctx, level, "registry", attributes(op, took, err)...)
		}
	})
}

// attributes are what there is to say of an operation.
func attributes(op *registry.Op, took time.Duration, err error) []slog.Attr {
	attrs := []slog.Attr{slog.String("op", string(op.Kind)), slog.Duration("took", took)}
	add := func(key, value string) {
		if value != "" {
			attrs = append(attrs, slog.String(key, value))
		}
	}
	add("repository", op.Repository)
	add("reference", op.Ref.String())
	add("from", op.From)
	if len(op.Tags) > 0 {
		tags := make([]string, len(op.Tags))
		for i, t := range op.Tags {
			tags[i] = t.Name
		}
		attrs = append(attrs, slog.Any("tags", tags))
	}
	if err == nil {
		add("digest", string(op.Result.Digest))
		if op.Result.Size > 0 {
			attrs = append(attrs, slog.Int64("size", op.Result.Size))
		}
		return attrs
	}
	return append(attrs, slog.Any("error", err))
}

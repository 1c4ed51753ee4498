package filter

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/registrykit/registry"
)

// Log returns b, and logs each operation when it ends: at level Info if it succeeds, at Warn if it
// fails with a 4xx status, and at Error otherwise. It does not log upload ids, because knowing an
// id may be enough to continue an upload. If logger is nil, nothing is logged. If b is nil, every
// operation returns ErrUnsupported.
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

// attributes returns the attributes of the log line of an operation.
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

package work

import (
	"context"
	"errors"
	"log/slog"

	"github.com/registrykit/registry/scrub"
)

// Logged returns a function for Job.Done that logs the end of each run.
func Logged(name string, done func(any, error), log *slog.Logger) func(any, error) {
	return func(result any, err error) {
		switch {
		case err != nil && !errors.Is(err, context.Canceled):
			log.Warn("the job "+name+" failed", "error", err, "result", result)
		case err == nil && !whole(result):
			log.Warn("the job "+name+" has found damage; see docs/maintenance.md", "result", result)
		case err == nil:
			log.Info("the job "+name+" ended", "result", result)
		}
		if done != nil {
			done(result, err)
		}
	}
}

// whole reports whether the result of a job shows no damage. Only results of scrubs can show any.
func whole(result any) bool {
	r, ok := result.(scrub.Report)
	return !ok || r.Whole()
}

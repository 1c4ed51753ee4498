package process

import (
	"context"
	"log/slog"
	"sync"
)

// Background runs a function until the returned function is called, which waits for its end. That
// happens after the server has stopped: requests that end while it stops still have events.
func Background(ctx context.Context, run func(context.Context)) (stop func()) {
	running, end := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	go func() {
		run(running)
		close(ended)
	}()
	return func() {
		end()
		<-ended
	}
}

// Together returns a function that runs all functions at once and waits for them.
func Together(runs []func(context.Context)) func(context.Context) {
	return func(ctx context.Context) {
		var wg sync.WaitGroup
		for _, run := range runs {
			wg.Go(func() { run(ctx) })
		}
		wg.Wait()
	}
}

// Ends logs why something has ended that runs until ctx ends.
func Ends(ctx context.Context, what string, err error, log *slog.Logger) {
	if ctx.Err() == nil {
		log.ErrorContext(ctx, what+" has ended", "error", err)
	}
}

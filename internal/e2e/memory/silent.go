package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/registrykit/registry/internal/e2e/harness"
)

const (
	declared = int64(5) << 40  // the size that each silent client declares, in bytes
	sent     = int64(48) << 20 // the number of bytes that it sends before it stops
)

// silence runs clients that declare more than they send, all at once. It then checks the peak
// memory of the process.
func silence(ctx context.Context, server *harness.Server, base, allowed int64, clients int) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	start := time.Now()
	var all, ended sync.WaitGroup
	all.Add(clients)
	for n := range clients {
		c := harness.NewClient(server.URL())
		ended.Go(func() {
			done := sync.OnceFunc(all.Done)
			defer done()
			body := &silent{r: harness.Random(uint64(n), sent), done: done, end: ctx.Done()}
			resp, err := c.Send(ctx, http.MethodPost, fmt.Sprintf("/v2/memory/silent-%d/blobs/uploads/", n), nil, body, declared)
			if err == nil {
				resp.Body.Close()
			}
		})
	}
	all.Wait()
	err := peak(server, base, allowed, start, fmt.Sprintf("%d clients that declare %d TiB and stop after %d MiB",
		clients, declared>>40, sent>>20))
	cancel()
	ended.Wait()
	return err
}

// silent is a body that blocks after it has yielded the content of its reader.
type silent struct {
	r    io.Reader
	done func()
	end  <-chan struct{}
}

func (s *silent) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err == nil {
		return n, nil
	}
	s.done()
	<-s.end
	return n, err
}

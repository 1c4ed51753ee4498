package sse_test

import (
	"context"
	"iter"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/notification/outbox"
	"github.com/registrykit/registry/notification/sse"
)

// hangingLog is a Source whose reads do not end before release is closed.
type hangingLog struct {
	release chan struct{}
	reading atomic.Int64
	most    atomic.Int64
}

func (l *hangingLog) End(context.Context) (string, error) { return "end", nil }

func (l *hangingLog) Since(ctx context.Context, cursor string,
	opts *outbox.SinceOptions) iter.Seq2[outbox.Entry, error] {
	return func(func(outbox.Entry, error) bool) {
		if opts != nil && opts.Follow {
			<-ctx.Done()
			return
		}
		n := l.reading.Add(1)
		defer l.reading.Add(-1)
		for most := l.most.Load(); n > most && !l.most.CompareAndSwap(most, n); most = l.most.Load() {
		}
		select {
		case <-l.release:
		case <-ctx.Done():
		}
	}
}

// TestFewClientsReadTheSource checks that clients which ask for old events wait for each other, with
// heartbeats: each could make the server read the whole log.
func TestFewClientsReadTheSource(t *testing.T) {
	log := &hangingLog{release: make(chan struct{})}
	h, err := sse.New(&sse.Options{Source: log, Heartbeat: 10 * time.Millisecond})
	require.NoError(t, err)
	server := httptest.NewServer(h)
	defer server.Close()
	defer h.Close()
	var clients sync.WaitGroup
	var beats atomic.Int64
	ctx, cancel := context.WithCancel(t.Context())
	defer clients.Wait()
	defer cancel()
	for range 30 {
		clients.Go(func() {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+"?after=old", http.NoBody)
			if err != nil {
				t.Error(err)
				return
			}
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				return // the test has ended
			}
			defer res.Body.Close()
			b := make([]byte, 64)
			for {
				if _, err := res.Body.Read(b); err != nil {
					return
				}
				beats.Add(1)
			}
		})
	}
	require.Eventually(t, func() bool { return log.reading.Load() == 8 && beats.Load() > 100 }, 30*time.Second,
		time.Millisecond)
	close(log.release)
	require.Eventually(t, func() bool { return log.reading.Load() == 0 }, 30*time.Second, time.Millisecond)
	require.Equal(t, int64(8), log.most.Load())
}

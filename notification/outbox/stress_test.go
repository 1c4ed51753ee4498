package outbox_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/notification/outbox"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/driver/drivertest"
	"github.com/registrykit/registry/storage/memory"
)

// TestStress runs processes on one storage that fails and loses responses, and cuts each of them off
// for good or for a while at any write. Sinks fail at random. Every acknowledged event must arrive at
// each sink, and first deliveries of a process must be in order.
func TestStress(t *testing.T) {
	seeds := 30
	if testing.Short() {
		seeds = 5
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { stress(t, uint64(seed)) })
		})
	}
}

// chance is a source of random numbers for many goroutines.
type chance struct {
	mu sync.Mutex
	r  *mathrand.Rand
}

func (c *chance) n(n int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.r.IntN(n)
}

func stress(t *testing.T, seed uint64) {
	c := &chance{r: mathrand.New(mathrand.NewPCG(seed, 1))}
	d := memory.New(nil)
	flaky := func(notification.Event) error {
		if c.n(20) == 0 {
			return errors.New("flaky")
		}
		return nil
	}
	sinks := []*inbox{{fail: flaky}, {fail: flaky}}
	start := func() (*outbox.Outbox, *drivertest.Faulty, func()) {
		f := drivertest.NewFaulty(d, &drivertest.FaultyOptions{
			Before: func(_ context.Context, call drivertest.Call) error {
				if c.n(50) == 0 {
					return driver.ErrUnavailable
				}
				return nil
			},
			After: func(_ context.Context, call drivertest.Call, err error) error {
				if call.Write > 0 && c.n(30) == 0 {
					return driver.ErrUnavailable
				}
				return err
			}})
		o := newOutbox(t, f, nil, outbox.Destination{Name: "a", Sink: sinks[0]},
			outbox.Destination{Name: "b", Sink: sinks[1]})
		return o, f, run(t, o)
	}
	var mu sync.Mutex
	acknowledged := map[string]bool{}
	var clients sync.WaitGroup
	var stops []func()
	for process := range 6 {
		o, f, stop := start()
		for range 3 {
			clients.Go(func() {
				for i := range 30 {
					e := push("app", fmt.Sprint(i))
					if o.Notify(context.Background(), []notification.Event{e}) == nil {
						mu.Lock()
						acknowledged[e.ID] = true
						mu.Unlock()
					}
					time.Sleep(time.Duration(c.n(3000)) * time.Millisecond)
				}
			})
		}
		time.Sleep(time.Duration(c.n(20_000)) * time.Millisecond)
		switch process % 3 {
		case 0: // killed
			f.CutAfter(c.n(5))
		case 1: // cut off for longer than the lease
			f.CutAfter(c.n(5))
			clients.Go(func() {
				time.Sleep(time.Duration(20+c.n(60)) * time.Second)
				f.Heal()
			})
		case 2: // ended
			stop()
		}
		stops = append(stops, stop)
	}
	clients.Wait()
	for _, stop := range stops {
		stop()
	}
	last := newOutbox(t, d, nil, outbox.Destination{Name: "a", Sink: sinks[0]},
		outbox.Destination{Name: "b", Sink: sinks[1]})
	stop := run(t, last)
	time.Sleep(10 * time.Minute)
	require.NotEmpty(t, acknowledged)
	for i, s := range sinks {
		first, duplicates := s.ids()
		position := map[string]int{}
		for n, id := range first {
			position[id] = n + 1
		}
		missing := 0
		for id := range acknowledged {
			if position[id] == 0 {
				missing++
			}
		}
		require.Zero(t, missing, "acknowledged events that did not arrive at sink %d", i)
		for stream, ids := range inStreams(t, d) {
			for n := 1; n < len(ids); n++ {
				require.Less(t, position[ids[n-1]], position[ids[n]], "order of stream %s at sink %d", stream, i)
			}
		}
		t.Logf("sink %d: %d acknowledged, %d arrived, %d duplicates", i, len(acknowledged), len(first), duplicates)
		require.Less(t, duplicates, len(first)/2)
	}
	all, _ := since(t, last, "")
	inLog := map[string]bool{}
	for _, id := range all {
		inLog[id] = true
	}
	for id := range acknowledged {
		require.True(t, inLog[id])
	}
	stop()
}

// inStreams returns the IDs of each stream, without those that were written to a second stream, because
// their process had lost the first.
func inStreams(t *testing.T, d driver.Driver) map[string][]string {
	streams, times := map[string][]string{}, map[string]int{}
	for info, err := range d.List(t.Context(), "e/s/", nil) {
		require.NoError(t, err)
		r, _, err := d.Open(t.Context(), info.Key, nil)
		require.NoError(t, err)
		b, err := io.ReadAll(r)
		require.NoError(t, err)
		for _, line := range bytes.Split(b, []byte("\n"))[1:] {
			var e notification.Event
			if json.Unmarshal(line, &e) == nil {
				stream := info.Key[:strings.LastIndex(info.Key, "/")]
				streams[stream] = append(streams[stream], e.ID)
				times[e.ID]++
			}
		}
	}
	for stream, ids := range streams {
		streams[stream] = slices.DeleteFunc(ids, func(id string) bool { return times[id] > 1 })
	}
	return streams
}

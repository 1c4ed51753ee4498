package main

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestWithoutGrace collects every second for 100 s, without a grace period.
func TestWithoutGrace(t *testing.T) {
	c := defaults(t)
	c.span, c.every = 100*time.Second, time.Second
	run(t, c)
}

// TestWithGrace collects for 80 s with a grace period. The registry must not refuse a push.
func TestWithGrace(t *testing.T) {
	c := defaults(t)
	c.span, c.storage, c.grace = 80*time.Second, "s3", 20*time.Second
	run(t, c)
}

// TestHousekeeping also applies retention and quotas, counts usage and scrubs, for 30 s.
func TestHousekeeping(t *testing.T) {
	c := defaults(t)
	c.span, c.keep = 30*time.Second, true
	run(t, c)
}

// defaults returns a configuration that stores in memory, if the system supports it.
func defaults(t *testing.T) config {
	c := config{storage: "tmpfs", dir: memory, seed: uint64(time.Now().UnixNano()), every: 2 * time.Second,
		killEvery: 10 * time.Second, workers: 8}
	if _, err := os.Stat(memory); err != nil {
		c.storage, c.dir = "disk", t.TempDir()
	}
	return c
}

func run(t *testing.T, c config) {
	t.Helper()
	r, err := soak(t.Context(), c)
	if r != nil {
		t.Logf("\n%s", r)
	}
	require.NoError(t, err)
	require.Positive(t, r.events["kills"])
	require.Positive(t, r.events["collections of the servers"])
	require.Positive(t, r.events["removed here: links"])
	require.Zero(t, r.events[lost]+r.events[stuck]+r.events[wrong]+r.events[left]+r.events[refusedTwice])
}

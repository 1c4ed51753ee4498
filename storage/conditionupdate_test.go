package storage_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/disk"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/driver/drivertest"
)

// TestConditionConcurrentUpdatesAreNotLost lets 100 clients of two Stores add to what a tag
// points at. Each does so on the condition that the tag is what it has read.
func TestConditionConcurrentUpdatesAreNotLost(t *testing.T) {
	const clients = 100
	onDriversWith(t, &disk.Options{NoSync: true}, func(t *testing.T, driver driver.Driver) {
		stores := []*storage.Store{newStore(t, driver, nil), newStore(t, driver, nil)}
		c := newConditional(t, stores[0])
		require.NoError(t, c.put(t.Context(), stores[0], "", tags("t")))
		errs := make([]error, clients)
		var wg sync.WaitGroup
		for i := range clients {
			wg.Go(func() { errs[i] = c.add(t.Context(), stores[i%2], fmt.Sprint(i, ";")) })
		}
		wg.Wait()
		require.NoError(t, errors.Join(errs...))
		names, err := c.names(t.Context(), stores[0])
		require.NoError(t, err)
		all := strings.Split(strings.TrimSuffix(names, ";"), ";")
		slices.Sort(all)
		require.Len(t, all, clients)
		require.Len(t, slices.Compact(all), clients)
	})
}

// names returns what the clients have added.
func (c *conditional) names(ctx context.Context, s *storage.Store) (string, error) {
	m, err := s.GetManifest(ctx, "r", byTag("t"))
	if err != nil {
		return "", err
	}
	_, rest, _ := strings.Cut(string(m.Content), `"annotations":{"a":"`)
	names, _, _ := strings.Cut(rest, `"`)
	return names, nil
}

// add adds a name. It repeats the push while another client changes the tag first.
func (c *conditional) add(ctx context.Context, s *storage.Store, name string) error {
	for {
		names, err := c.names(ctx, s)
		if err != nil {
			return err
		}
		err = c.put(ctx, s, names+name, taggedIf("", expects(c.digest(names)), "t"))
		if !errors.Is(err, registry.ErrPreconditionFailed) {
			return err
		}
	}
}

// TestConditionConcurrentUpdatesOfTwoTagsAreNotLost lets many clients of two Stores add to what
// two tags point at. Each does so on the condition that both tags are what it has read.
func TestConditionConcurrentUpdatesOfTwoTagsAreNotLost(t *testing.T) {
	const clients = 40
	onDriversWith(t, &disk.Options{NoSync: true}, func(t *testing.T, driver driver.Driver) {
		stores := []*storage.Store{newStore(t, driver, nil), newStore(t, driver, nil)}
		c := newConditional(t, stores[0])
		require.NoError(t, c.put(t.Context(), stores[0], "", tags("t", "u")))
		errs, unknown := make([]error, clients), make([]int, clients)
		var wg sync.WaitGroup
		for i := range clients {
			wg.Go(func() { unknown[i], errs[i] = c.addToBoth(t.Context(), stores[i%2], fmt.Sprint(i, ";")) })
		}
		wg.Wait()
		require.NoError(t, errors.Join(errs...))
		names, err := c.names(t.Context(), stores[0])
		require.NoError(t, err)
		require.Equal(t, names, c.at(stores[0], "u", names))
		for i := range clients {
			require.Equal(t, 1, strings.Count(";"+names, fmt.Sprint(";", i, ";")), "%d in %s", i, names)
		}
		t.Log("unknown outcomes:", unknown)
	})
}

// addToBoth adds a name to two tags. It repeats the push while another client changes a tag
// first. If the outcome of a push is unknown, it reads the tags to find out.
func (c *conditional) addToBoth(ctx context.Context, s *storage.Store, name string) (unknown int, err error) {
	for {
		names, err := c.names(ctx, s)
		if err != nil {
			return unknown, err
		}
		if strings.Contains(";"+names, ";"+name) {
			return unknown, nil
		}
		err = c.put(ctx, s, names+name, taggedIf("", expects(c.digest(names)), "t", "u"))
		switch {
		case errors.Is(err, registry.ErrUnavailable):
			unknown++
		case !errors.Is(err, registry.ErrPreconditionFailed):
			return unknown, err
		}
	}
}

// TestConditionSeveralTagsAllOrNothing checks pushes that overlap in some of their tags, on a
// slow storage. Each sets all of its tags or none, and one of them always succeeds.
func TestConditionSeveralTagsAllOrNothing(t *testing.T) {
	sets := [][]string{{"a", "b"}, {"b", "c"}, {"a", "c"}, {"a", "b", "c"}, {"b"}, {"c"}}
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			rnd := seededDelays(seed)
			driver := newMemory(t)
			slow := drivertest.NewFaulty(driver, &drivertest.FaultyOptions{Before: func(context.Context,
				drivertest.Call) error {
				time.Sleep(rnd())
				return nil
			}})
			stores := []*storage.Store{newStore(t, slow, nil), newStore(t, slow, nil)}
			c := newConditional(t, stores[0])
			require.NoError(t, c.put(t.Context(), stores[0], "old", tags("a", "b", "c")))
			errs := make([]error, len(sets))
			var wg sync.WaitGroup
			for i, names := range sets {
				wg.Go(func() {
					errs[i] = c.put(t.Context(), stores[i%2], fmt.Sprint("new", i), taggedIf("", expects(c.digest("old")), names...))
				})
			}
			wg.Wait()
			want := map[string]string{"a": "old", "b": "old", "c": "old"}
			for i, err := range errs {
				if err != nil {
					require.ErrorIs(t, err, registry.ErrPreconditionFailed, "seed %d", seed)
					continue
				}
				for _, tag := range sets[i] {
					require.Equal(t, "old", want[tag], "seed %d: two have moved %s", seed, tag)
					want[tag] = fmt.Sprint("new", i)
				}
			}
			require.NotEqual(t, map[string]string{"a": "old", "b": "old", "c": "old"}, want)
			for tag, name := range want {
				require.Equal(t, name, c.at(stores[0], tag, name))
			}
		})
	}
}

// seededDelays returns the durations of requests, from 10 to 200 ms.
func seededDelays(seed uint64) func() time.Duration {
	var mu sync.Mutex
	rnd := rand.New(rand.NewPCG(seed, 1))
	return func() time.Duration {
		mu.Lock()
		defer mu.Unlock()
		return 10*time.Millisecond + time.Duration(rnd.Int64N(int64(190*time.Millisecond)))
	}
}

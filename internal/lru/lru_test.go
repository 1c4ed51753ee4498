package lru_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/internal/lru"
)

func TestCacheAddGetRemove(t *testing.T) {
	c := lru.New[string, int](10)
	_, ok := c.Get("a")
	require.False(t, ok)
	c.Remove("a")
	c.Add("a", 1, 1)
	c.Add("b", 2, 1)
	c.Add("a", 3, 2)
	require.Equal(t, 2, c.Len())
	v, ok := c.Get("a")
	require.True(t, ok)
	require.Equal(t, 3, v)
	c.Remove("a")
	_, ok = c.Get("a")
	require.False(t, ok)
	require.Equal(t, 1, c.Len())
}

// TestCacheFullForgetsTheUnused adds many entries. The total weight stays within the maximum, the
// entries used last are kept, and so is an entry that is used all the time.
func TestCacheFullForgetsTheUnused(t *testing.T) {
	const maxWeight = 100
	for _, weight := range []int{1, 3, 7, maxWeight / 2} {
		c := lru.New[int, int](maxWeight)
		c.Add(-1, -1, 1)
		for i := range 10 * maxWeight {
			c.Add(i, i, weight)
			if weight < maxWeight/2 {
				v, ok := c.Get(-1)
				require.True(t, ok, "weight %d, entry %d", weight, i)
				require.Equal(t, -1, v)
			}
			require.LessOrEqual(t, c.Len()*weight, maxWeight+weight-1, "the one of weight 1 is counted, too")
		}
		last := 10*maxWeight - 1
		for i := range (maxWeight/2 - 1) / weight {
			v, ok := c.Get(last - i)
			require.True(t, ok, "weight %d, entry %d", weight, last-i)
			require.Equal(t, last-i, v)
		}
		_, ok := c.Get(0)
		require.False(t, ok)
	}
}

// TestCacheWeightChanges replaces and removes entries over and over. Their weight counts once.
func TestCacheWeightChanges(t *testing.T) {
	c := lru.New[int, int](20)
	for i := range 9 {
		c.Add(i, i, 1)
	}
	for i := range 1000 {
		c.Add(0, i, 1)
		c.Add(9, i, 1)
		c.Remove(9)
	}
	require.Equal(t, 9, c.Len())
	c.Add(0, 0, 2)
	require.Equal(t, 9, c.Len())
}

// TestCacheHeavyEntryKept: an entry heavier than the maximum does not stay in the way of others.
func TestCacheHeavyEntryKept(t *testing.T) {
	c := lru.New[string, int](10)
	c.Add("a", 1, 1)
	c.Add("heavy", 2, 1000)
	_, ok := c.Get("heavy")
	require.True(t, ok)
	c.Add("b", 3, 1)
	_, ok = c.Get("b")
	require.True(t, ok)
	c.Add("c", 4, 5)
	c.Add("d", 5, 5)
	_, ok = c.Get("heavy")
	require.False(t, ok)
}

func TestCacheConcurrentUse(t *testing.T) {
	c := lru.New[string, int](20)
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Go(func() {
			for i := range 2000 {
				k := i * (n + 1) % 40
				c.Add(fmt.Sprint(k), k, 1+k%3)
				if v, ok := c.Get(fmt.Sprint(k + 1)); ok && v != k+1 {
					t.Errorf("key %d has value %d", k+1, v)
				}
				c.Remove(fmt.Sprint(k + 2))
				if c.Len() > 20 {
					t.Errorf("%d entries", c.Len())
				}
			}
		})
	}
	wg.Wait()
}

// Package lru provides a cache whose size is bounded, for values that can be computed again.
package lru

import "sync"

// Cache is a map that forgets entries that have not been used for a long time. It is safe for
// concurrent use.
//
// The owner gives each entry a weight, in any unit: 1 to count entries, or a number of bytes. The
// entries are kept in two generations, each of at most half of the maximum weight. Add and Get put
// an entry into the younger generation. When an entry does not fit there, the older generation is
// dropped and the younger one takes its place. So the entries used last, up to half of the maximum
// weight, are always kept, and every operation takes constant time without a list to maintain.
//
// A cache belongs to one process. Where several processes change the same storage, a cached value
// may be outdated, so a decision that matters needs a check that does not depend on the cache.
type Cache[K comparable, V any] struct {
	half int // the maximum weight of each generation

	mu         sync.Mutex
	young, old map[K]entry[V]
	weight     int // of young
}

type entry[V any] struct {
	value  V
	weight int
}

// New returns an empty cache of at most maxWeight. An entry that is heavier than half of maxWeight
// is kept nevertheless, alone in its generation.
func New[K comparable, V any](maxWeight int) *Cache[K, V] {
	return &Cache[K, V]{half: maxWeight / 2, young: map[K]entry[V]{}}
}

// Add sets the value and the weight of k. It replaces those that k had before.
func (c *Cache[K, V]) Add(k K, v V, weight int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.remove(k)
	c.insert(k, entry[V]{v, weight})
}

// Get returns the value of k, and whether k is in the cache.
func (c *Cache[K, V]) Get(k K) (V, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.young[k]; ok {
		return e.value, true
	}
	e, ok := c.old[k]
	if ok {
		delete(c.old, k)
		c.insert(k, e)
	}
	return e.value, ok
}

// Remove forgets k. It does nothing if k is not in the cache.
func (c *Cache[K, V]) Remove(k K) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.remove(k)
}

// Len returns the number of entries.
func (c *Cache[K, V]) Len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.young) + len(c.old)
}

// insert puts an entry that is in neither generation into the younger one.
func (c *Cache[K, V]) insert(k K, e entry[V]) {
	if c.weight+e.weight > c.half && len(c.young) > 0 {
		c.young, c.old, c.weight = map[K]entry[V]{}, c.young, 0
	}
	c.young[k] = e
	c.weight += e.weight
}

func (c *Cache[K, V]) remove(k K) {
	c.weight -= c.young[k].weight
	delete(c.young, k)
	delete(c.old, k)
}

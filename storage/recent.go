package storage

import "sync"

// recent keeps what was added last, up to about a limit of weight: when half of that is reached,
// what is older than that half goes. It is what one process remembers of a storage that others
// change, so nothing may be decided by it that a write or a look does not find out to be wrong.
type recent[K comparable, V any] struct {
	max int // of weight, in whatever unit the owner counts

	mu         sync.Mutex
	young, old map[K]weighed[V]
	weight     int // of young
}

type weighed[V any] struct {
	value  V
	weight int
}

func newRecent[K comparable, V any](maxWeight int) *recent[K, V] {
	return &recent[K, V]{max: maxWeight, young: map[K]weighed[V]{}}
}

func (r *recent[K, V]) add(k K, v V, weight int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.set(k, weighed[V]{v, weight})
}

func (r *recent[K, V]) set(k K, w weighed[V]) {
	delete(r.old, k)
	r.weight += w.weight - r.young[k].weight
	r.young[k] = w
	if r.weight > r.max/2 {
		r.young, r.old, r.weight = map[K]weighed[V]{}, r.young, 0
	}
}

func (r *recent[K, V]) get(k K) (V, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if w, ok := r.young[k]; ok {
		return w.value, true
	}
	w, ok := r.old[k]
	if ok {
		r.set(k, w)
	}
	return w.value, ok
}

func (r *recent[K, V]) remove(k K) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.weight -= r.young[k].weight
	delete(r.young, k)
	delete(r.old, k)
}

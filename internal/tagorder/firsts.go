package tagorder

import "slices"

// Firsts collects the first elements of a list in an order. It keeps no more than those, and a batch
// of candidates, so a page of a list of any length takes little memory, and no list is sorted as a whole.
type Firsts[T any] struct {
	compare func(x, y T) int
	limit   int

	first      []T // in order
	candidates []T
}

// batch is the number of candidates that are sorted at a time.
const batch = 512

// NewFirsts returns an empty collection of at most limit elements, which is positive.
func NewFirsts[T any](limit int, compare func(x, y T) int) *Firsts[T] {
	return &Firsts[T]{compare: compare, limit: limit}
}

// Wants reports whether an element may be among the first.
func (f *Firsts[T]) Wants(v T) bool {
	return len(f.first) < f.limit || f.compare(v, f.first[f.limit-1]) < 0
}

// Add adds an element that the collection wants.
func (f *Firsts[T]) Add(v T) {
	if f.candidates = append(f.candidates, v); len(f.candidates) == batch {
		f.settle()
	}
}

// settle moves the candidates that are among the first.
func (f *Firsts[T]) settle() {
	slices.SortFunc(f.candidates, f.compare)
	merged := make([]T, 0, f.limit)
	a, b := f.first, f.candidates
	for len(merged) < f.limit && len(a)+len(b) > 0 {
		if len(b) == 0 || len(a) > 0 && f.compare(a[0], b[0]) < 0 {
			merged, a = append(merged, a[0]), a[1:]
		} else {
			merged, b = append(merged, b[0]), b[1:]
		}
	}
	f.first, f.candidates = merged, f.candidates[:0]
}

// Sorted returns the elements in their order.
func (f *Firsts[T]) Sorted() []T {
	f.settle()
	return f.first
}

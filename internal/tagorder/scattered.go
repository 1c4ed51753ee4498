package tagorder

import "iter"

// block is the number of neighbours that Scattered keeps together. They are neighbours in memory, too.
const block = 512

// Scattered is a list whose elements are yielded in blocks of neighbours, in an order that has nothing to
// do with that of the list. Firsts wants few of the elements in this order, whatever order the list has.
// Of a list that is sorted the other way round, it would want every element.
type Scattered[T any] struct{ blocks [][]T }

// Add adds an element.
func (s *Scattered[T]) Add(v T) {
	last := len(s.blocks) - 1
	if last < 0 || len(s.blocks[last]) == block {
		s.blocks, last = append(s.blocks, make([]T, 0, block)), last+1
	}
	s.blocks[last] = append(s.blocks[last], v)
}

// All yields the elements, each once.
func (s *Scattered[T]) All() iter.Seq[*T] {
	return func(yield func(*T) bool) {
		n := len(s.blocks)
		step := max(n*618/1000, 1) // the golden ratio: steps come near each other late
		for gcd(step, n) > 1 {
			step++
		}
		for b, at := 0, 0; b < n; b, at = b+1, (at+step)%n {
			for i := range s.blocks[at] {
				if !yield(&s.blocks[at][i]) {
					return
				}
			}
		}
	}
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

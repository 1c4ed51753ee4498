package accounts

import (
	"iter"
	"slices"

	"github.com/registrykit/registry/internal/parallel"
)

// maxAhead is the maximum number of elements that a list reads before its consumer asks for them.
const maxAhead = 64

// ahead yields the results of read for the keys, in the order of the keys. It skips keys for which read returns
// ErrUnknown. It reads ahead in parallel, because each call of read may take the time of a request. It reads ahead at
// most as many elements as the consumer has taken so far, and at most maxAhead: the first page of a long list is cheap.
func ahead[K, V any](keys iter.Seq2[K, error], read func(K) (*V, error)) iter.Seq2[*V, error] {
	return func(yield func(*V, error) bool) {
		taken, width, done := make([]K, 0, maxAhead), 1, false
		flush := func() {
			values, errs := make([]*V, len(taken)), make([]error, len(taken))
			_ = parallel.Each(parallelRequests, len(taken), func(i int) error {
				values[i], errs[i] = read(taken[i])
				return nil
			})
			for i, v := range values {
				if err := ignore(errs[i], ErrUnknown); err != nil {
					yield(nil, err)
					done = true
				} else if errs[i] == nil {
					done = !yield(v, nil)
				}
				if done {
					return
				}
			}
			taken, width = taken[:0], min(2*width, maxAhead)
		}
		for key, err := range keys {
			if err != nil {
				if flush(); !done {
					yield(nil, err)
				}
				return
			}
			if taken = append(taken, key); len(taken) < width {
				continue
			}
			if flush(); done {
				return
			}
		}
		flush()
	}
}

// merge yields the IDs of two ascending lists, each once, after an ID.
func merge(stored iter.Seq2[ID, error], more []ID, after ID) iter.Seq2[ID, error] {
	more = slices.Sorted(slices.Values(more))
	more = slices.DeleteFunc(more, func(id ID) bool { return id <= after })
	return func(yield func(ID, error) bool) {
		rest := more
		for id, err := range stored {
			for err == nil && len(rest) > 0 && rest[0] <= id {
				if rest[0] < id && !yield(rest[0], nil) {
					return
				}
				rest = rest[1:]
			}
			if !yield(id, err) || err != nil {
				return
			}
		}
		for _, id := range rest {
			if !yield(id, nil) {
				return
			}
		}
	}
}

// collect returns all elements of a list.
func collect[T any](list iter.Seq2[*T, error]) ([]T, error) {
	var all []T
	for v, err := range list {
		if err != nil {
			return nil, err
		}
		all = append(all, *v)
	}
	return all, nil
}

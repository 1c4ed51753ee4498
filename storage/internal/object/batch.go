package object

import (
	"iter"

	"github.com/registrykit/registry/storage/driver"
)

// Batches yields the elements of list in batches of n, for callers that handle several elements at
// the same time. The last batch may be smaller. An error of list is yielded as a registry error and
// ends the iteration; elements that were not yet part of a full batch are dropped.
//
// A batch is valid only until the next one is yielded.
func Batches[T any](list iter.Seq2[T, error], n int) iter.Seq2[[]T, error] {
	return batches(list, n, func(T) int { return 1 })
}

// BatchesInMemory is Batches for a list of objects that the caller reads. A batch has at most 1,024
// objects. Unless it has only one object, it has at most about 16 MiB of content.
func BatchesInMemory(list iter.Seq2[driver.Info, error]) iter.Seq2[[]driver.Info, error] {
	const memory, objects = 16 << 20, 1024
	return batches(list, memory, func(info driver.Info) int { return int(max(info.Size, memory/objects)) })
}

// batches ends a batch when the weights of its elements reach limit.
func batches[T any](list iter.Seq2[T, error], limit int, weight func(T) int) iter.Seq2[[]T, error] {
	return func(yield func([]T, error) bool) {
		var batch []T
		total := 0
		for element, err := range list {
			if err != nil {
				yield(nil, RegistryError(err))
				return
			}
			batch = append(batch, element)
			if total += weight(element); total < limit {
				continue
			}
			if !yield(batch, nil) {
				return
			}
			batch, total = batch[:0], 0
		}
		if len(batch) > 0 {
			yield(batch, nil)
		}
	}
}

// Filter yields the elements of list for which keep returns true, and every error.
func Filter[T any](list iter.Seq2[T, error], keep func(T) bool) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for element, err := range list {
			if (err != nil || keep(element)) && !yield(element, err) {
				return
			}
		}
	}
}

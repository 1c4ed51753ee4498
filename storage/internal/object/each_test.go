package object_test

import (
	"errors"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/internal/object"
	"github.com/registrykit/registry/storage/memory"
)

type local struct{ driver.Driver }

func (local) Local() bool { return true }

// TestEach: a Store makes calls at the same time, or one after the other on local storage. It makes
// every call, and returns the error of the first that failed.
func TestEach(t *testing.T) {
	one, two := errors.New("one"), errors.New("two")
	s := object.New(local{memory.New(nil)}, 0, 0)
	var order []int
	require.Equal(t, one, s.Each(4, func(i int) error {
		order = append(order, i)
		return []error{nil, one, two, nil}[i]
	}))
	require.Equal(t, []int{0, 1, 2, 3}, order)

	s = object.New(memory.New(nil), 0, 0)
	var all sync.WaitGroup
	all.Add(2)
	require.Equal(t, two, s.Each(2, func(i int) error {
		all.Done()
		all.Wait() // returns only if both run at the same time
		return []error{nil, two}[i]
	}))
}

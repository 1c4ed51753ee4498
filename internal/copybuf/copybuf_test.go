package copybuf_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/internal/copybuf"
)

// TestBufferOfAFailedWriteIsNotReused: done(false) gives up the buffer, but another large one can be
// lent in its place.
func TestBufferOfAFailedWriteIsNotReused(t *testing.T) {
	p := copybuf.New(100, 10, 1)
	for range 100 { // one attempt could pass by chance, because a sync.Pool may drop what it holds
		large, doneLarge := p.Get()
		small, doneSmall := p.Get()
		require.Len(t, large, 100)
		require.Len(t, small, 10)
		require.Zero(t, large[0])
		require.Zero(t, small[0])
		large[0], small[0] = 1, 1
		doneSmall(false)
		doneLarge(false)
	}
}

// TestSmallBuffersBeyondTheMaximum: only maxLarge large buffers are in use at a time, however often
// they are given back.
func TestSmallBuffersBeyondTheMaximum(t *testing.T) {
	p := copybuf.New(100, 10, 2)
	for range 3 {
		var all []func(bool)
		for _, size := range []int{100, 100, 10, 10} {
			buf, done := p.Get()
			require.Len(t, buf, size)
			all = append(all, done)
		}
		for _, done := range all {
			done(true)
		}
	}
}

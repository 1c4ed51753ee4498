package registry

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestOutgoingKeepsABufferUntilTheLastClient checks that a buffer of a list is not used again while a
// client still receives it.
func TestOutgoingKeepsABufferUntilTheLastClient(t *testing.T) {
	const size = 100 << 10
	body := func(c byte) []byte { return bytes.Repeat([]byte{c}, size) }
	var s scratch
	reuse := func() { // what the next lists do
		for range 3 {
			b := s.get()
			copy(b[:cap(b)], body('x'))
		}
	}
	whole := func(p *parcel, c byte) {
		buf := make([]byte, size)
		require.Equal(t, size, p.copy(buf, 0))
		require.True(t, bytes.Equal(body(c), buf))
	}
	o := newOutgoing(2 * size)
	first, second := o.add(body('a'), &s), o.add(body('a'), &s)
	require.Same(t, first, second)
	reuse()
	whole(first, 'a')
	o.done(first)
	reuse()
	whole(second, 'a')

	// A body without an owner is never a buffer of the lists, whichever of two equal bodies came first.
	manifest := body('m')
	third, list := o.add(manifest, nil), o.add(body('m'), &s)
	o.done(list)
	o.done(third)
	reuse()
	require.True(t, bytes.Equal(body('m'), manifest))

	// A client of a dropped parcel may still be copying from it.
	held := *second.content.Load()
	for _, c := range []byte("bcd") {
		o.add(body(c), &s)
	}
	require.Zero(t, second.copy(make([]byte, size), 0))
	o.done(second)
	reuse()
	require.True(t, bytes.Equal(body('a'), held))
}

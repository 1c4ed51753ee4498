package parts

import (
	"bytes"
	"context"
	"errors"
	"io"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
)

// target keeps what it is given.
type target struct {
	size, whole int64
	fail        int // the part that fails; -1 is none

	mu      sync.Mutex
	parts   map[int][]byte
	single  []byte
	begun   bool
	aborted bool
	done    int
}

var errPart = errors.New("part refused")

func (t *target) Size(int) (part, whole int64) { return t.size, t.whole }

func (t *target) Single(_ context.Context, content []byte) (string, error) {
	t.single = bytes.Clone(content)
	return "single", nil
}

func (t *target) Begin(context.Context) error {
	t.begun = true
	return nil
}

func (t *target) Part(_ context.Context, number int, content []byte) error {
	if number == t.fail {
		return errPart
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.parts[number] = bytes.Clone(content)
	return nil
}

func (t *target) Complete(_ context.Context, parts int) (string, error) {
	t.done = parts
	return "whole", nil
}

func (t *target) Abort(context.Context) error {
	t.aborted = true
	return nil
}

func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i * 7 >> 3)
	}
	return b
}

// TestUpload stores bodies of all sizes around those of the buffers, whatever the hint and whatever may be sent ahead.
func TestUpload(t *testing.T) {
	const part = 700 << 10
	for _, n := range []int{0, 1, smallBuffer - 1, smallBuffer, smallBuffer + 1, middleBuffer, middleBuffer + 1, part - 1, part, part + 1, 2*part - 1, 2 * part, 5*part + 3} {
		content := pattern(n)
		for _, hint := range []int64{0, int64(n), 1, 10 * part} {
			for _, ahead := range []int64{-1, 3 * part} {
				m, tg := NewMemory(ahead), &target{size: part, whole: hint, fail: -1, parts: map[int][]byte{}}
				version, err := Upload(t.Context(), m, iotest.HalfReader(bytes.NewReader(content)), tg)
				require.NoError(t, err)
				require.Equal(t, max(ahead, 0), m.left, "what was reserved is given back")
				if n <= part {
					require.Equal(t, "single", version)
					require.True(t, bytes.Equal(content, tg.single))
					require.False(t, tg.begun)
					continue
				}
				require.Equal(t, "whole", version)
				require.Equal(t, (n+part-1)/part, tg.done)
				var got []byte
				for i := range tg.done {
					if i < tg.done-1 {
						require.Len(t, tg.parts[i], part)
					}
					got = slices.Concat(got, tg.parts[i])
				}
				require.True(t, bytes.Equal(content, got))
				require.False(t, tg.aborted)
			}
		}
	}
}

// TestUploadBelievesNothing has a body begin that claims to become so large that a part of it would be huge: memory is taken for what comes.
func TestUploadBelievesNothing(t *testing.T) {
	broken := errors.New("broken")
	tg := &target{size: 1 << 30, whole: 5 << 40, fail: -1, parts: map[int][]byte{}}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := Upload(t.Context(), NewMemory(0), io.MultiReader(bytes.NewReader(pattern(100_000)), iotest.ErrReader(broken)), tg)
	require.ErrorIs(t, err, broken)
	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(2*largeBuffer))

	// What does come is whole.
	const part = 3*largeBuffer + 5
	content := pattern(part + 1000)
	for _, whole := range []int64{0, 1, 5 << 40} {
		tg = &target{size: part, whole: whole, fail: -1, parts: map[int][]byte{}}
		_, err = Upload(t.Context(), NewMemory(0), bytes.NewReader(content), tg)
		require.NoError(t, err)
		require.Len(t, tg.parts[0], part)
		require.True(t, bytes.Equal(content, slices.Concat(tg.parts[0], tg.parts[1])))
	}
}

// growing doubles the size of its parts every 3 of them.
type growing struct{ target }

func (g *growing) Size(number int) (part, whole int64) { return int64(100_000) << (number / 3), 0 }

// TestUploadGrows streams a body of unknown length into parts that grow: what gocloud.Parts does every 1000 parts, in small.
func TestUploadGrows(t *testing.T) {
	content := pattern(20_000_000)
	g := &growing{target{fail: -1, parts: map[int][]byte{}}}
	_, err := Upload(t.Context(), NewMemory(10_000_000), iotest.OneByteReader(bytes.NewReader(content[:1000])), g)
	require.NoError(t, err)
	require.Equal(t, content[:1000], g.single)
	_, err = Upload(t.Context(), NewMemory(10_000_000), bytes.NewReader(content), g)
	require.NoError(t, err)
	require.Equal(t, 19, g.done)
	var got []byte
	for i := range g.done {
		if i < g.done-1 {
			require.Len(t, g.parts[i], 100_000<<(i/3))
		}
		got = append(got, g.parts[i]...)
	}
	require.True(t, bytes.Equal(content, got))
}

// TestUploadFails: what has failed is aborted, nothing is completed, and all memory comes back.
func TestUploadFails(t *testing.T) {
	const part = 1 << 20
	for _, ahead := range []int64{-1, 8 * part} {
		for fail := range 4 {
			m, tg := NewMemory(ahead), &target{size: part, fail: fail, parts: map[int][]byte{}}
			_, err := Upload(t.Context(), m, bytes.NewReader(pattern(3*part+1)), tg)
			require.ErrorIs(t, err, errPart)
			require.True(t, tg.aborted)
			require.Zero(t, tg.done)
			require.Equal(t, max(ahead, 0), m.left)
		}
		m, tg := NewMemory(ahead), &target{size: part, fail: -1, parts: map[int][]byte{}}
		errBody := errors.New("body")
		_, err := Upload(t.Context(), m, io.MultiReader(bytes.NewReader(pattern(2*part+5)), iotest.ErrReader(errBody)), tg)
		require.ErrorIs(t, err, errBody)
		require.True(t, tg.aborted)
		tg = &target{size: part, fail: -1, parts: map[int][]byte{}}
		_, err = Upload(t.Context(), m, iotest.ErrReader(errBody), tg)
		require.ErrorIs(t, err, errBody)
		require.False(t, tg.begun)
	}
}

package parts

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
)

// target is a Target that keeps the parts in memory.
type target struct {
	fail int // the number of the part that fails, or -1

	mu      sync.Mutex
	parts   map[int][]byte
	single  []byte
	begun   bool
	aborted bool
	done    int
}

var errPart = errors.New("part refused")

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

// TestUpload stores bodies of all sizes around the sizes of the buffers, with any hint and any
// read-ahead.
func TestUpload(t *testing.T) {
	const part = 700 << 10
	for _, n := range []int{
		0, 1, firstBuffer - 1, firstBuffer, firstBuffer + 1, growth * firstBuffer, growth*firstBuffer + 1, unpooled,
		unpooled + 1,
		part - 1, part, part + 1, 2*part - 1, 2 * part, 5*part + 3,
	} {
		content := pattern(n)
		for _, hint := range []int64{0, int64(n), 1, int64(n) - 1, 100_000, 10 * part, 5 << 40} {
			for _, ahead := range []int64{-1, 3 * part} {
				m, tg := NewMemory(ahead), &target{fail: -1, parts: map[int][]byte{}}
				version, err := Upload(t.Context(), m, iotest.HalfReader(bytes.NewReader(content)), part, hint, tg)
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

// TestUploadTakesMemoryForWhatComes: a declared size does not make a buffer larger than four times
// the bytes received. A body that is smaller than a part needs less memory than a part.
func TestUploadTakesMemoryForWhatComes(t *testing.T) {
	broken := errors.New("broken")
	const part = 64 << 20
	for _, n := range []int{1000, 100_000, 3 << 20} {
		tg := &target{fail: -1, parts: map[int][]byte{}}
		var before, after runtime.MemStats
		content := pattern(n)
		runtime.ReadMemStats(&before)
		_, err := Upload(t.Context(), NewMemory(-1), io.MultiReader(bytes.NewReader(content), iotest.ErrReader(broken)),
			part, 5<<40, tg)
		require.ErrorIs(t, err, broken)
		runtime.ReadMemStats(&after)
		// The sum of all buffers is the last one, and a third of it for the earlier ones.
		require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(2*(growth*n+firstBuffer+unit)), "%d bytes", n)
	}
}

// untouched is a body of the given number of bytes whose Read writes nothing. The tests that use it
// check only how a body is divided.
type untouched struct{ left int64 }

func (u *untouched) Read(p []byte) (int, error) {
	if u.left == 0 {
		return 0, io.EOF
	}
	n := min(int64(len(p)), u.left)
	u.left -= n
	return int(n), nil
}

// counted is a Target that keeps sizes only. Like Cloudflare R2, it rejects parts of different
// sizes before the last part.
type counted struct {
	target
	mu    sync.Mutex
	sizes map[int]int64
}

func (c *counted) Part(_ context.Context, number int, content []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sizes[number] = int64(len(content))
	return nil
}

func (c *counted) Complete(_ context.Context, parts int) (string, error) {
	for n := range parts - 1 {
		if c.sizes[n] != c.sizes[0] {
			return "", fmt.Errorf("InvalidPart: number %d has %d bytes, and the first %d", n, c.sizes[n], c.sizes[0])
		}
	}
	return c.target.Complete(context.Background(), parts)
}

// TestUploadKeepsThePartSize: parts do not grow, whatever their number and the declared size.
func TestUploadKeepsThePartSize(t *testing.T) {
	const part = 8 << 20
	for _, size := range []int64{part + 1, 500 * part, min(10_000*part-1, maxTested-1), min(10_000*part, maxTested+part),
		maxTested} {
		for _, hint := range []int64{1, 5 << 40} {
			c := &counted{target: target{fail: -1}, sizes: map[int]int64{}}
			_, err := Upload(t.Context(), NewMemory(-1), &untouched{size}, part, hint, c)
			require.NoError(t, err)
			require.EqualValues(t, (size+part-1)/part, c.done)
			sum := int64(0)
			for _, n := range c.sizes {
				sum += n
			}
			require.Equal(t, size, sum)
			require.EqualValues(t, part, c.sizes[0])
		}
	}
}

// TestUploadFails: a failed upload is aborted and not completed, and it releases all memory.
func TestUploadFails(t *testing.T) {
	const part = 1 << 20
	for _, ahead := range []int64{-1, 8 * part} {
		for fail := range 4 {
			m, tg := NewMemory(ahead), &target{fail: fail, parts: map[int][]byte{}}
			_, err := Upload(t.Context(), m, bytes.NewReader(pattern(3*part+1)), part, 0, tg)
			require.ErrorIs(t, err, errPart)
			require.True(t, tg.aborted)
			require.Zero(t, tg.done)
			require.Equal(t, max(ahead, 0), m.left)
		}
		m, tg := NewMemory(ahead), &target{fail: -1, parts: map[int][]byte{}}
		errBody := errors.New("body")
		_, err := Upload(t.Context(), m, io.MultiReader(bytes.NewReader(pattern(2*part+5)), iotest.ErrReader(errBody)),
			part, 0, tg)
		require.ErrorIs(t, err, errBody)
		require.True(t, tg.aborted)
		tg = &target{fail: -1, parts: map[int][]byte{}}
		_, err = Upload(t.Context(), m, iotest.ErrReader(errBody), part, 0, tg)
		require.ErrorIs(t, err, errBody)
		require.False(t, tg.begun)
	}
}

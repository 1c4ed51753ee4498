package storage

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/storage/internal/object"
	"github.com/registrykit/registry/storage/memory"
)

// appended is an upload of which only the segments are kept, and no bytes.
type appended struct {
	u      upload
	stored int64 // the number of bytes that all appends have written to segments
}

// newAppended returns an upload on a driver whose objects have at most limit bytes, or any number.
func newAppended(t *testing.T, limit int64) *appended {
	s, err := New(t.Context(), memory.New(&memory.Options{MaxObjectSize: limit}), nil)
	require.NoError(t, err)
	return &appended{u: upload{repo: s.repo("r")}}
}

// append adds a segment of size bytes, as receive does.
func (a *appended) append(size int64) {
	r := &a.u.rec
	keep := len(r.Segments) - a.u.mergeable()
	merged := size
	for _, seg := range r.Segments[keep:] {
		merged += seg.Size
	}
	r.Segments = append(r.Segments[:keep], object.Segment{Size: merged})
	r.Size += size
	a.stored += merged
}

// TestBlocksAreWrittenOnce checks that a blob that arrives in blocks of 4 MiB or more is not merged
// below 16 GiB, whatever the last block has.
func TestBlocksAreWrittenOnce(t *testing.T) {
	for _, block := range []int64{4 << 20, 4<<20 + 1, 5 << 20, 16 << 20, 100 << 20} {
		for _, size := range []int64{100 << 20, 10 << 30, 16 << 30} {
			a := newAppended(t, 0)
			for left := size; left > 0; left -= block {
				a.append(min(left, block))
			}
			require.Equal(t, size, a.stored, "blocks of %d", block)
			require.Len(t, a.u.rec.Segments, int((size+block-1)/block))
			require.LessOrEqual(t, len(a.u.rec.Segments), maxSegments)
		}
	}
}

// TestAnInterruptedBlockRewritesLittle checks that a block which was cut short, as a mirror stores
// it when its upstream fails, does not cause the blocks before it to be written again.
func TestAnInterruptedBlockRewritesLittle(t *testing.T) {
	a := newAppended(t, 0)
	for i := range int64(1000) {
		a.append(4 << 20)
		if i%3 == 0 {
			a.append(1<<20 + i)
		}
	}
	require.Less(t, a.stored, a.u.rec.Size+a.u.rec.Size/4)
}

// TestSmallChunksAreMergedLogarithmically checks how often a byte of a blob that arrives in small
// chunks is written: once for each time that the size of its segment doubles, up to 4 MiB, and a
// few times more in blobs of more than 16 GiB.
func TestSmallChunksAreMergedLogarithmically(t *testing.T) {
	for _, chunk := range []int64{17 << 10, 64 << 10, 1 << 20, 3 << 20} {
		for _, size := range []int64{1 << 30, 10 << 30, 64 << 30} {
			if size/chunk > 1<<20 {
				continue
			}
			t.Run(fmt.Sprintf("%d KiB of %d GiB", chunk>>10, size>>30), func(t *testing.T) {
				a := newAppended(t, 0)
				for a.u.rec.Size < size {
					a.append(chunk)
				}
				small := max(mergeSize, size/maxSegments)
				doublings := math.Log2(float64(small) / float64(chunk))
				require.Less(t, float64(a.stored)/float64(size), doublings+2)
				require.Less(t, len(a.u.rec.Segments), maxSegments+64)
			})
		}
	}
}

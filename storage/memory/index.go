package memory

import (
	"slices"
	"sort"
	"strings"

	"github.com/registrykit/registry/storage/driver"
)

// maxChunk is the maximum number of objects of a chunk of the index. It is small, because an
// insertion moves the objects of a chunk, and large enough that millions of objects need few
// chunks.
const maxChunk = 512

// object is one stored object. It never changes.
type object struct {
	driver.Info
	data []byte
}

// index holds objects in the order of their keys, as a sorted list of sorted chunks. No chunk is
// empty. A lookup takes two binary searches; an insertion or removal moves a part of one chunk.
type index struct {
	chunks [][]*object
}

// find returns the position of key, or the position where it belongs, as a chunk c and an index i
// in it.
func (x *index) find(key string) (c, i int, ok bool) {
	c = sort.Search(len(x.chunks), func(j int) bool { return x.chunks[j][0].Key > key }) - 1
	if c < 0 {
		return 0, 0, false
	}
	i, ok = slices.BinarySearchFunc(x.chunks[c], key, func(o *object, key string) int {
		return strings.Compare(o.Key, key)
	})
	return c, i, ok
}

func (x *index) get(key string) *object {
	c, i, ok := x.find(key)
	if !ok {
		return nil
	}
	return x.chunks[c][i]
}

// set stores o and returns the object that it replaces, or nil.
func (x *index) set(o *object) (old *object) {
	if len(x.chunks) == 0 {
		x.chunks = append(x.chunks, []*object{o})
		return nil
	}
	c, i, ok := x.find(o.Key)
	if ok {
		old, x.chunks[c][i] = x.chunks[c][i], o
		return old
	}
	chunk := slices.Insert(x.chunks[c], i, o)
	x.chunks[c] = chunk
	if len(chunk) > maxChunk {
		// Keys that arrive in order fill the last chunk only: leave the one behind them full.
		half := len(chunk) / 2
		if c == len(x.chunks)-1 && i == len(chunk)-1 {
			half = len(chunk) - 1
		}
		x.chunks = slices.Insert(x.chunks, c+1, slices.Clone(chunk[half:]))
		clear(chunk[half:])
		x.chunks[c] = chunk[:half]
	}
	return nil
}

func (x *index) remove(key string) {
	c, i, ok := x.find(key)
	if !ok {
		return
	}
	chunk := slices.Delete(x.chunks[c], i, i+1)
	x.chunks[c] = chunk
	switch {
	case len(chunk) == 0:
		x.chunks = slices.Delete(x.chunks, c, c+1)
	case c+1 < len(x.chunks) && len(chunk)+len(x.chunks[c+1]) <= maxChunk/2:
		x.chunks[c] = append(chunk, x.chunks[c+1]...)
		x.chunks = slices.Delete(x.chunks, c+1, c+2)
	}
}

// page appends to page the objects whose keys begin with prefix and are greater than after, up to
// its capacity.
func (x *index) page(page []*object, prefix, after string) []*object {
	if len(x.chunks) == 0 {
		return page
	}
	// The prefix ends in a slash, so it is not a key itself: find returns the position of its first
	// key.
	from := max(prefix, after)
	c, i, ok := x.find(from)
	if ok {
		i++
	}
	for ; c < len(x.chunks); c, i = c+1, 0 {
		for _, o := range x.chunks[c][i:] {
			if !strings.HasPrefix(o.Key, prefix) || len(page) == cap(page) {
				return page
			}
			page = append(page, o)
		}
	}
	return page
}

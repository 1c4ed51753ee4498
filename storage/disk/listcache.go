//go:build linux || darwin

package disk

import (
	"container/list"
	"slices"
	"sort"
	"sync"
)

const (
	minCached  = 256 // entries from which on a directory is worth keeping
	maxChunk   = 512 // entries of a chunk of names
	entryBytes = 32  // what an entry takes besides its bytes, about
)

// names holds the sorted entries of a directory, in chunks that are never empty. It is immutable:
// with and without return new names that share all chunks but one. So a change is cheap, and a list
// continues with the names that it began with.
type names struct {
	chunks [][]string
	count  int
	bytes  int64
}

// newNames takes over entries.
func newNames(entries []string) *names {
	sortEntries(entries)
	entries = slices.Compact(entries) // a file system may list an entry twice if it is renamed during the read
	n := &names{count: len(entries)}
	for _, e := range entries {
		n.bytes += int64(len(e) + entryBytes)
	}
	for c := range slices.Chunk(entries, maxChunk/2) {
		n.chunks = append(n.chunks, c)
	}
	return n
}

// search returns the position of e, or the position where it belongs, as a chunk and an index in
// it. The index may be the end of the chunk.
func (n *names) search(e string) (c, i int, ok bool) {
	c = max(sort.Search(len(n.chunks), func(j int) bool { return n.chunks[j][0] > e })-1, 0)
	if c < len(n.chunks) {
		i, ok = slices.BinarySearch(n.chunks[c], e)
	}
	return c, i, ok
}

// with returns the names with e.
func (n *names) with(e string) *names {
	c, i, ok := n.search(e)
	if ok {
		return n
	}
	if len(n.chunks) == 0 {
		return newNames([]string{e})
	}
	chunk := slices.Concat(n.chunks[c][:i], []string{e}, n.chunks[c][i:])
	parts := [][]string{chunk}
	if len(chunk) > maxChunk {
		parts = [][]string{chunk[:len(chunk)/2], chunk[len(chunk)/2:]}
	}
	return &names{n.replace(c, parts), n.count + 1, n.bytes + int64(len(e)+entryBytes)}
}

// without returns the names without e.
func (n *names) without(e string) *names {
	c, i, ok := n.search(e)
	if !ok {
		return n
	}
	var parts [][]string
	if chunk := slices.Concat(n.chunks[c][:i], n.chunks[c][i+1:]); len(chunk) > 0 {
		parts = [][]string{chunk}
	}
	return &names{n.replace(c, parts), n.count - 1, n.bytes - int64(len(e)+entryBytes)}
}

func (n *names) replace(c int, parts [][]string) [][]string {
	return slices.Concat(n.chunks[:c], parts, n.chunks[c+1:])
}

// listCache caches the names of directories, each with the stamp that the directory had when it had
// exactly these names. It drops the names that were used least recently. A negative limit disables
// it.
type listCache struct {
	limit int64

	mu    sync.Mutex
	used  int64
	dirs  map[string]*list.Element // of *cachedDir, by path
	order list.List                // the one used last is in front
}

type cachedDir struct {
	path  string
	stamp stamp
	names *names
}

// has reports whether the cache has names of the directory at path, for any stamp.
func (l *listCache) has(path string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.dirs[path] != nil
}

// get returns the names of the directory at path, or nil if the cache has none for the stamp s.
func (l *listCache) get(path string, s stamp) *names {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.dirs[path]
	if e == nil || e.Value.(*cachedDir).stamp != s {
		return nil
	}
	l.order.MoveToFront(e)
	return e.Value.(*cachedDir).names
}

// put caches names, unless the cache has later ones.
func (l *listCache) put(path string, s stamp, n *names) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.dirs[path]; e != nil {
		if c := e.Value.(*cachedDir); c.stamp.inode == s.inode && c.stamp.mtime > s.mtime {
			return
		}
		l.remove(e)
	}
	if n.count < minCached || n.bytes > l.limit {
		return
	}
	if l.dirs == nil {
		l.dirs = make(map[string]*list.Element)
	}
	l.dirs[path] = l.order.PushFront(&cachedDir{path, s, n})
	l.used += n.bytes
	for l.used > l.limit {
		l.remove(l.order.Back())
	}
}

// change applies an edit of the directory at path, which changed its stamp from before to after.
// The caller holds the lock of the directory. If the cache does not have the names for before, it
// drops those that it has.
func (l *listCache) change(path string, before, after stamp, do edit) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.dirs[path]
	if e == nil {
		return
	}
	c := e.Value.(*cachedDir)
	if c.stamp != before {
		l.remove(e)
		return
	}
	l.used -= c.names.bytes
	c.stamp = after
	if do.add != "" {
		c.names = c.names.with(do.add)
	}
	if do.remove != "" {
		c.names = c.names.without(do.remove)
	}
	l.used += c.names.bytes
	for l.used > l.limit {
		l.remove(l.order.Back())
	}
}

// drop forgets the directory at path.
func (l *listCache) drop(path string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.dirs[path]; e != nil {
		l.remove(e)
	}
}

func (l *listCache) remove(e *list.Element) {
	c := l.order.Remove(e).(*cachedDir)
	delete(l.dirs, c.path)
	l.used -= c.names.bytes
}

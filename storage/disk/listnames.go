//go:build linux || darwin

package disk

import (
	"slices"
	"sort"
	"strings"
	"syscall"
)

const (
	maxChunk   = 512 // entries of a chunk of names
	entryBytes = 32  // what an entry takes besides its bytes, about
	stateBytes = 24  // what a state takes
)

// state has the attributes of a file that a list reports. The zero state means that they are
// unknown.
type state struct {
	mtime int64
	inode uint64
	size  int64
}

// stateOf returns the state of a file that has the attributes st. The state of a file with other
// names is unknown: a change of these names does not change the directory, see info.
func stateOf(st *syscall.Stat_t) state {
	if hasOtherNames(st) {
		return state{}
	}
	return fileState(st)
}

// fileState returns the state of a file that has the attributes st.
func fileState(st *syscall.Stat_t) state { return state{mtime(st), st.Ino, st.Size} }

// chunk is a part of the entries of a directory. It is immutable.
type chunk struct {
	entries []string
	states  []state // of the entries that are files; nil if they have not been read
}

// split returns the chunk as chunks of at most maxChunk entries. It returns none if the chunk is
// empty.
func (c chunk) split() []chunk {
	n := len(c.entries)
	switch {
	case n == 0:
		return nil
	case n <= maxChunk:
		return []chunk{c}
	case c.states == nil:
		return []chunk{{entries: c.entries[:n/2]}, {entries: c.entries[n/2:]}}
	}
	return []chunk{{c.entries[:n/2], c.states[:n/2]}, {c.entries[n/2:], c.states[n/2:]}}
}

// names holds the sorted entries of a directory, in chunks that are never empty. It is immutable:
// its methods return new names that share all chunks but one. So a change is cheap, and a list
// continues with the names that it began with.
type names struct {
	chunks []chunk
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
	for part := range slices.Chunk(entries, maxChunk/2) {
		n.chunks = append(n.chunks, chunk{entries: part})
	}
	return n
}

// search returns the position of e, or the position where it belongs, as a chunk and an index in
// it. The index may be the end of the chunk.
func (n *names) search(e string) (c, i int, ok bool) {
	c = max(sort.Search(len(n.chunks), func(j int) bool { return n.chunks[j].entries[0] > e })-1, 0)
	if c < len(n.chunks) {
		i, ok = slices.BinarySearch(n.chunks[c].entries, e)
	}
	return c, i, ok
}

// with returns the names with e, whose state is s.
func (n *names) with(e string, s state) *names {
	if len(n.chunks) == 0 {
		return newNames([]string{e})
	}
	c, i, ok := n.search(e)
	old := n.chunks[c]
	switch {
	case !ok:
		now := chunk{entries: slices.Concat(old.entries[:i], []string{e}, old.entries[i:])}
		if old.states != nil {
			now.states = slices.Concat(old.states[:i], []state{s}, old.states[i:])
		}
		return n.replace(c, now, len(e))
	case old.states == nil:
		return n
	}
	now := chunk{old.entries, slices.Clone(old.states)}
	now.states[i] = s
	return n.replace(c, now, 0)
}

// without returns the names without e.
func (n *names) without(e string) *names {
	c, i, ok := n.search(e)
	if !ok {
		return n
	}
	old := n.chunks[c]
	now := chunk{entries: slices.Concat(old.entries[:i], old.entries[i+1:])}
	if old.states != nil {
		now.states = slices.Concat(old.states[:i], old.states[i+1:])
	}
	return n.replace(c, now, -len(e))
}

// withStates returns the names with the states of the entries in chunk c.
func (n *names) withStates(c int, states []state) *names {
	return n.replace(c, chunk{n.chunks[c].entries, states}, 0)
}

// replace returns the names with now instead of chunk c, whose entries together are longer by the
// given number of bytes.
func (n *names) replace(c int, now chunk, longer int) *names {
	old := n.chunks[c]
	entries, states := len(now.entries)-len(old.entries), len(now.states)-len(old.states)
	return &names{
		chunks: slices.Concat(n.chunks[:c], now.split(), n.chunks[c+1:]),
		count:  n.count + entries,
		bytes:  n.bytes + int64(longer+entries*entryBytes+states*stateBytes),
	}
}

// seek returns the position of the first entry that is greater than rest, or that has keys below it
// that are greater.
func (n *names) seek(rest string, remainders bool) (c, i int) {
	if rest == "" {
		return 0, 0
	}
	if remainders {
		rest = string(partMark) + rest
	}
	c, i, ok := n.search(rest)
	// A directory with keys that begin like rest is right before the place where rest would be.
	if !ok && i > 0 {
		if e := n.chunks[c].entries[i-1]; isDirectory(e) && strings.HasPrefix(rest, piece(e, false)) {
			i--
		}
	}
	return c, i
}

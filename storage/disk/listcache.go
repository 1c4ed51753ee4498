//go:build linux || darwin

package disk

import (
	"container/list"
	"sync"
)

const (
	minLarge = 256 // entries from which on a directory is large
	dirBytes = 400 // what a directory takes besides its path and entries, about

	// smallShare is the part of the cache that small directories may take: one in smallShare.
	// Reading one of them costs little, and a collection reads very many.
	smallShare = 16
)

// listCache caches the names of directories, each with the stamp that the directory had when it had
// exactly these names and states. It drops the names that were used least recently. A negative
// limit disables it.
type listCache struct {
	limit int64

	mu   sync.Mutex
	dirs map[string]*list.Element // of *cachedDir, by path
	ages [2]ages                  // of large and of small directories
}

// ages are the directories of a kind.
type ages struct {
	used  int64
	order list.List // the one used last is in front
}

type cachedDir struct {
	path  string
	stamp stamp
	names *names
	kind  int // 0: large, 1: small; a directory keeps its kind while it is cached
}

func (c *cachedDir) bytes() int64 { return c.names.bytes + int64(len(c.path)) + dirBytes }

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
	c := e.Value.(*cachedDir)
	l.ages[c.kind].order.MoveToFront(e)
	return c.names
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
	c := &cachedDir{path: path, stamp: s, names: n}
	if n.count < minLarge {
		c.kind = 1
	}
	if n.count == 0 || c.bytes() > l.limitOf(c.kind) {
		return
	}
	if l.dirs == nil {
		l.dirs = make(map[string]*list.Element)
	}
	a := &l.ages[c.kind]
	l.dirs[path] = a.order.PushFront(c)
	a.used += c.bytes()
	l.evict(c.kind)
}

// limitOf returns the limit of the directories of a kind, in bytes.
func (l *listCache) limitOf(kind int) int64 {
	small := l.limit / smallShare
	return [2]int64{l.limit - small, small}[kind]
}

// evict drops directories of a kind until the limit is kept.
func (l *listCache) evict(kind int) {
	for a := &l.ages[kind]; a.used > l.limitOf(kind); {
		l.remove(a.order.Back())
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
	n := c.names
	if do.add != "" {
		n = n.with(do.add, do.state)
	}
	if do.remove != "" {
		n = n.without(do.remove)
	}
	l.replace(c, after, n)
}

// learn adds the states of the entries in chunk i of n to the cache, if it still has n for the
// directory at path, and returns the names with the states. The directory had the stamp s when n
// was read, and has it after the states were read.
func (l *listCache) learn(path string, s stamp, n *names, i int, states []state) *names {
	now := n.withStates(i, states)
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.dirs[path]; e != nil {
		if c := e.Value.(*cachedDir); c.stamp == s && c.names == n {
			l.replace(c, s, now)
		}
	}
	return now
}

// replace sets the stamp and the names of a directory.
func (l *listCache) replace(c *cachedDir, s stamp, n *names) {
	a := &l.ages[c.kind]
	a.used -= c.bytes()
	c.stamp, c.names = s, n
	a.used += c.bytes()
	l.evict(c.kind)
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
	c := e.Value.(*cachedDir)
	l.ages[c.kind].order.Remove(e)
	l.ages[c.kind].used -= c.bytes()
	delete(l.dirs, c.path)
}

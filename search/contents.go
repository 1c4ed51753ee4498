package search

import (
	"context"
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/registrykit/registry/internal/parallel"
	"github.com/registrykit/registry/notification"
)

const (
	// maxChanged is the maximum number of repositories that are remembered as changed.
	maxChanged = 10_000
	// settle is how long Run waits after an event for further ones.
	settle = 250 * time.Millisecond
	// batch is the number of repositories after which what was read takes effect.
	batch = 256
	// turns is the part of Options.Reads that is spent on repositories without known changes.
	turns = 10
)

// Notify remembers which repositories have changed, so that their tags and images are read next. Run
// reads them at once. It implements [notification.Sink], and never fails.
func (x *Index) Notify(_ context.Context, events []notification.Event) error {
	if x.opts.Content == nil {
		return nil
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	for i := range events {
		e := &events[i]
		if e.Repository == "" || e.Action == notification.Pull || e.Kind == notification.Blob {
			continue
		}
		if len(x.changed) < maxChanged { // others are read in their turn
			x.changed[strings.Clone(e.Repository)] = true
		}
	}
	if len(x.changed) > 0 {
		select {
		case x.woken <- struct{}{}:
		default:
		}
	}
	return nil
}

// takeChanged returns repositories that have changed, at most Options.Reads, and forgets them.
func (x *Index) takeChanged() []string {
	x.mu.Lock()
	defer x.mu.Unlock()
	names := make([]string, 0, min(len(x.changed), x.opts.Reads))
	for name := range x.changed {
		if len(names) == x.opts.Reads {
			break
		}
		names = append(names, name)
		delete(x.changed, name)
	}
	return names
}

// update reads the repositories that have changed, and forgets those that are gone.
//
// Errors: those of Options.Content.
func (x *Index) update(ctx context.Context) error {
	x.refreshing.Lock()
	defer x.refreshing.Unlock()
	if x.current.Load().built.IsZero() { // the first refresh reads all
		return nil
	}
	names := x.takeChanged()
	err := x.readContents(ctx, names, int64(x.opts.Reads))
	x.current.Store(x.current.Load().withoutEmpty(names))
	return err
}

// refreshContents reads the content of repositories that have changed, of new ones, and of others in
// their turn. The first time, it reads all.
//
// Errors: those of Options.Content.
func (x *Index) refreshContents(ctx context.Context, first bool) error {
	changed := x.takeChanged()
	s := x.current.Load()
	var fresh, rest []string
	for _, e := range s.repositories {
		if e.content == nil && !e.full || e.content != nil && e.content.unread {
			fresh = append(fresh, e.name)
		} else {
			rest = append(rest, e.name)
		}
	}
	if first {
		return x.readContents(ctx, fresh, math.MaxInt64)
	}
	limit := x.opts.Reads
	names := slices.Concat(changed, fresh[:min(len(fresh), limit)])
	i, _ := slices.BinarySearch(rest, x.cycle.content+"\x00")
	in := slices.Concat(rest[i:], rest[:i])
	if in = in[:min(len(in), max(1, limit/turns))]; len(in) > 0 {
		x.cycle.content = in[len(in)-1]
	}
	return x.readContents(ctx, slices.Concat(names, in), int64(limit))
}

// readContents reads the content of repositories, and at most reads tags and manifests that are new.
// What was read takes effect after each batch.
//
// Errors: that of the first repository that could not be read.
func (x *Index) readContents(ctx context.Context, names []string, reads int64) error {
	left := &atomic.Int64{}
	left.Store(reads)
	reader := &contentReader{store: x.opts.Content, seed: x.seed, left: left}
	var failed error
	for some := range slices.Chunk(names, batch) {
		slices.Sort(some)
		some = slices.Compact(some)
		read := make([]*content, len(some))
		s := x.current.Load()
		err := parallel.Each(readsAtOnce, len(some), func(i int) (err error) {
			var was *content
			if e := s.repository(some[i]); e != nil {
				was = e.content
			}
			read[i], err = reader.read(ctx, some[i], was)
			return err
		})
		if err != nil && failed == nil {
			failed = err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		x.current.Store(s.with(some, read))
	}
	return failed
}

// repository returns the entry of a repository, or nil.
func (s *snapshot) repository(name string) *entry {
	i, ok := slices.BinarySearchFunc(s.repositories, name, compareName)
	if !ok {
		return nil
	}
	return s.repositories[i]
}

func compareName(e *entry, name string) int { return strings.Compare(e.name, name) }

// with returns the snapshot with the content of repositories, whose names are in ascending order. A
// repository that is not there yet is added if it has content. If the content is nil, because it could
// not be read, the repository stays as it was.
func (s *snapshot) with(names []string, read []*content) *snapshot {
	next := *s
	next.repositories = make([]*entry, 0, len(s.repositories)+len(names))
	rest := s.repositories
	for i, name := range names {
		n, known := slices.BinarySearchFunc(rest, name, compareName)
		next.repositories = append(next.repositories, rest[:n]...)
		e := &entry{kind: Repository, name: name}
		if rest = rest[n:]; known {
			e, rest = rest[0], rest[1:]
		}
		if e = next.filled(e, known, read[i]); e != nil {
			next.repositories = append(next.repositories, e)
		}
	}
	next.repositories = append(next.repositories, rest...)
	return &next
}

// filled returns an entry with its content, as far as there is room, or nil if there is no such
// repository. known reports whether the snapshot has the entry.
func (s *snapshot) filled(e *entry, known bool, c *content) *entry {
	had := 0
	switch {
	case known && c == nil:
		return e
	case c == nil, !known && c.empty():
		return nil
	case known:
		had = e.bytes()
	}
	filled := *e
	filled.content, filled.full = c, false
	if more := filled.bytes() - had; more > max(s.room, 0) {
		filled.content, filled.full = nil, true
	}
	if more := filled.bytes() - had; more <= max(s.room, 0) {
		s.room -= more
		return &filled
	}
	s.leftOut++
	return nil
}

// withoutEmpty returns the snapshot without those of some repositories whose content is empty.
func (s *snapshot) withoutEmpty(names []string) *snapshot {
	gone := map[string]bool{}
	for _, name := range names {
		if e := s.repository(name); e != nil && e.content != nil && e.content.empty() {
			gone[name] = true
		}
	}
	if len(gone) == 0 {
		return s
	}
	next := *s
	next.repositories = nil
	for _, e := range s.repositories {
		if gone[e.name] {
			next.room += e.bytes()
			continue
		}
		next.repositories = append(next.repositories, e)
	}
	return &next
}

//go:build linux || darwin

package disk

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// platter records what is on disk of a directory that Drivers use, and builds what a loss of power
// may leave. Every name that was not synced is there in any of its states since it was, whatever
// the other names are. The content of a file that was not synced is there, cut short or zero. A
// segment of the journal is torn at any byte.
type platter struct {
	t   testing.TB
	dir string
	mu  sync.Mutex

	names  map[string][]nameState // by path in dir; the first state is on disk
	times  map[string][]nameState // of directories and of locks/prune; the first state is on disk
	safe   map[contentOf]bool     // is on disk
	images map[uint64]string      // by inode: what is on disk of a segment
	now    map[uint64]string      // by inode: what a segment contains

	// What a failed sync has lost for ever: bytes of a segment, under which is what was there
	// before, and the content of a file.
	hole             uint64
	holeFrom, holeTo int
	under            string
	lostInode        uint64

	// lost is called wherever power may be lost: before each sync.
	lost   func()
	losing sync.Mutex // held during lost
	// fails returns the error of a sync, which then does nothing. It may be nil.
	fails func(path string) error
}

// nameState is a state of a name.
type nameState struct {
	kind    byte // 'f' a file, 'd' a directory, 0 nothing
	inode   uint64
	mtime   int64
	ours    bool // see isOurs
	content string
}

type contentOf struct {
	inode   uint64
	content string
}

func newPlatter(t testing.TB, dir string) *platter {
	p := &platter{
		t: t, dir: dir, names: map[string][]nameState{}, times: map[string][]nameState{},
		safe: map[contentOf]bool{}, images: map[uint64]string{}, now: map[uint64]string{},
	}
	p.syncAll()
	return p
}

// open returns a new Driver whose syncs p sees. It is not there when New syncs, which New does only
// if it finds a journal that has failed.
func (p *platter) open(opts *Options) *Driver {
	var s journalState
	b, _ := os.ReadFile(p.dir + "/locks/append")
	failedBefore := s.decode(b) == nil && s.flags&(failed|distrusted) != 0
	d := newDriver(p.t, p.dir, opts)
	p.attach(d)
	if failedBefore {
		p.syncAll()
	}
	return d
}

// attach makes p see the syncs of d, which then do nothing else.
func (p *platter) attach(d *Driver) {
	d.fsync = p.fsync
	if d.journal != nil {
		d.journal.fdatasync = p.fsync
		d.journal.syncAll = func() error {
			return p.event("", p.syncAll)
		}
	}
}

func (p *platter) event(path string, effect func()) error {
	p.observe()
	if p.lost != nil {
		p.losing.Lock() // one call syncs several files at the same time
		p.lost()
		p.losing.Unlock()
	}
	if p.fails != nil {
		if err := p.fails(path); err != nil {
			return err
		}
	}
	effect()
	return nil
}

func (p *platter) fsync(f *os.File) error {
	path, err := filepath.Rel(p.dir, f.Name())
	require.NoError(p.t, err)
	var st syscall.Stat_t
	require.NoError(p.t, fstat(int(f.Fd()), &st))
	return p.event(path, func() {
		p.observe()
		p.mu.Lock()
		defer p.mu.Unlock()
		if isDir(&st) {
			p.syncNames(path)
			return
		}
		content := make([]byte, st.Size)
		if readFull(int(f.Fd()), content) != nil { // it is open for writing only
			content, err = os.ReadFile(f.Name())
			require.NoError(p.t, err)
		}
		if strings.HasPrefix(path, "journal/") {
			content = withoutZeros(content)
		}
		p.safe[contentOf{st.Ino, string(content)}] = true
		if strings.HasPrefix(path, "journal/") {
			p.images[st.Ino] = p.holed(st.Ino, string(content))
		}
	})
}

func (p *platter) syncNames(dir string) {
	for path, states := range p.names {
		if filepath.Dir(path) == dir {
			p.names[path] = states[len(states)-1:]
		}
	}
	if states := p.times[dir]; len(states) > 0 {
		p.times[dir] = states[len(states)-1:]
	}
}

// syncAll is syncfs.
func (p *platter) syncAll() {
	p.observe()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, all := range []map[string][]nameState{p.names, p.times} {
		for path, states := range all {
			last := states[len(states)-1]
			all[path] = []nameState{last}
			if last.inode != p.lostInode {
				p.safe[contentOf{last.inode, last.content}] = true
			}
		}
	}
	for inode, content := range p.now {
		p.images[inode] = p.holed(inode, content)
	}
	temps, err := filepath.Glob(p.dir + "/tmp/*/*")
	require.NoError(p.t, err)
	for _, path := range temps {
		if s := p.read(path); s.kind == 'f' {
			p.safe[contentOf{s.inode, s.content}] = true
		}
	}
}

func (p *platter) read(path string) nameState {
	var st syscall.Stat_t
	if lstat(path, &st) != nil {
		return nameState{}
	}
	s := nameState{inode: st.Ino, mtime: mtime(&st), ours: isOurs(&st)}
	switch {
	case isDir(&st):
		s.kind = 'd'
	case isFile(&st):
		s.kind = 'f'
		b, err := os.ReadFile(path)
		require.NoError(p.t, err)
		if strings.HasPrefix(path, p.dir+"/journal/") {
			b = withoutZeros(b)
		}
		s.content = string(b)
	}
	return s
}

// observe records the present state of all names.
func (p *platter) observe() {
	p.mu.Lock()
	defer p.mu.Unlock()
	paths := map[string]bool{"locks/prune": true, "locks/append": true}
	for _, root := range []string{"objects", "journal"} {
		_ = filepath.WalkDir(p.dir+"/"+root, func(path string, _ os.DirEntry, err error) error {
			if err == nil {
				rel, _ := filepath.Rel(p.dir, path)
				paths[rel] = true
			}
			return nil
		})
	}
	for path := range p.names {
		paths[path] = true
	}
	for path := range paths {
		s := p.read(p.dir + "/" + path)
		if s.kind == 'd' || path == "locks/prune" {
			appendChanged(p.times, path, s)
		}
		switch {
		case s.kind == 'd' || path == "locks/prune":
			s.mtime, s.ours = 0, false
		case strings.HasPrefix(path, "journal/"):
			if s.kind == 'f' {
				p.now[s.inode] = s.content
			}
			s.content, s.mtime = "", 0
		}
		appendChanged(p.names, path, s)
	}
}

func appendChanged(all map[string][]nameState, path string, s nameState) {
	states := all[path]
	if len(states) == 0 {
		states = []nameState{{}}
	}
	if states[len(states)-1] != s {
		states = append(slices.Clone(states), s)
	}
	all[path] = states
}

// choice selects one of n states, which are in the order of time.
type choice struct {
	name    func(n int) int // of a name
	content func(n int) int // of a file that was not synced: whole, empty, half, zeros
	torn    func(n int) int // the bytes of a segment that are on disk, of those that were written
}

// build builds what a loss of power leaves in a new directory.
func (p *platter) build(dir string, c choice) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, sub := range []string{"objects", "journal", "locks", "tmp"} {
		require.NoError(p.t, os.MkdirAll(dir+"/"+sub, dirMode))
	}
	var dirs []string
	for _, path := range slices.Sorted(maps.Keys(p.names)) {
		s := p.names[path][c.name(len(p.names[path]))]
		full := dir + "/" + path
		if _, err := os.Stat(filepath.Dir(full)); err != nil {
			continue
		}
		switch {
		case s.kind == 'd':
			require.NoError(p.t, os.MkdirAll(full, dirMode))
			dirs = append(dirs, path)
		case s.kind == 'f' && strings.HasPrefix(path, "journal/"):
			require.NoError(p.t, os.WriteFile(full, []byte(p.tear(s.inode, c)), fileMode))
		case s.kind == 'f':
			content := s.content
			if !p.safe[contentOf{s.inode, content}] {
				content = [...]string{
					content, "", content[:len(content)/2], strings.Repeat("\x00", len(content)),
				}[c.content(4)]
			}
			require.NoError(p.t, os.WriteFile(full, []byte(content), fileMode))
			require.NoError(p.t, setTimes(full, s.mtime, s.mtime))
		}
	}
	slices.Reverse(dirs)
	for _, path := range append(dirs, "locks/prune") {
		states := p.times[path]
		s := states[c.name(len(states))]
		if s.kind == 0 {
			continue
		}
		atime := s.mtime
		if s.ours {
			atime += ours
		}
		if lstat(dir+"/"+path, new(syscall.Stat_t)) == nil {
			require.NoError(p.t, setTimes(dir+"/"+path, atime, s.mtime))
		}
	}
}

// tear returns what is on disk of a segment that was written.
func (p *platter) tear(inode uint64, c choice) string {
	old, now := p.images[inode], p.holed(inode, p.now[inode])
	from, to := tornRange(old, now)
	at := from + c.torn(to-from+1)
	if at >= len(old) {
		return now[:at]
	}
	return now[:at] + old[at:]
}

// tornRange returns the first position at which the contents of a segment differ, and the end of
// the differences.
func tornRange(old, now string) (from, to int) {
	for from < min(len(old), len(now)) && old[from] == now[from] {
		from++
	}
	to = len(now)
	for len(old) >= len(now) && to > from && old[to-1] == now[to-1] {
		to--
	}
	return from, to
}

// holed returns the content of a segment without what a failed sync has lost.
func (p *platter) holed(inode uint64, content string) string {
	if p.hole != inode || p.holeTo > min(len(content), len(p.under)) {
		return content
	}
	return content[:p.holeFrom] + p.under[p.holeFrom:p.holeTo] + content[p.holeTo:]
}

// withoutZeros returns the content of a segment without the zeros at its end.
func withoutZeros(b []byte) []byte {
	return b[:max(len(bytes.TrimRight(b, "\x00")), min(len(b), int(headerSize)))]
}

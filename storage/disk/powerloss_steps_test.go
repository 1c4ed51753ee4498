//go:build linux || darwin

package disk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/storage/driver"
)

// newest leaves the latest state of each name, with what content chooses of the files, and the
// segments up to a position.
func newest(content, at int) choice {
	last := func(n int) int { return n - 1 }
	return choice{last, func(int) int { return content }, func(n int) int { return min(at, n-1) }}
}

// oldest leaves the state of each name that is on disk for sure.
func oldest(at int) choice {
	c := newest(1, at)
	c.name = func(int) int { return 0 }
	return c
}

// TestPowerLossTearsTheJournal tears the journal at every byte.
func TestPowerLossTearsTheJournal(t *testing.T) {
	p := newPowerTest(t, 1, nil)
	d := p.open()
	p.records = 1000
	p.p.lost = func() {}
	p.put(d, "a/one", p.content(9), driver.Durable)
	p.put(d, "a/two", p.content(9), driver.Deferred)
	p.put(d, "b/c/d/three", p.content(9), driver.Relaxed)
	p.sync(d, "a/two", "b/c/d/three", "b/c/e/five")
	p.remove(d, "a/two")
	p.put(d, "b/c/d/four", p.content(9), driver.Deferred)
	p.p.lost = func() { // the records below are written, and not synced
		_, to := p.p.tornBytes()
		for at := range to + 1 {
			p.check(p.p, newest(1+at%3, at), at%10 == 0)
			p.check(p.p, oldest(at), at%10 == 0)
		}
	}
	p.sync(d, "a/two", "b/c/d/four")
	require.Greater(t, p.built, 200)
	p.killAll()
}

// tornBytes returns the number of bytes that were written to the segment, and not synced.
func (p *platter) tornBytes() (inode uint64, n int) {
	for inode, now := range p.now {
		if from, to := tornRange(p.images[inode], now); to > from {
			return inode, to - from
		}
	}
	return 0, 0
}

// TestPowerLossUnderALargeObject: a Deferred Put of a large object replaces one that only the
// journal has. Until the large one is durable, the old one is.
func TestPowerLossUnderALargeObject(t *testing.T) {
	p := newPowerTest(t, 1, nil)
	d := p.open()
	p.p.lost = func() {
		for content := range 4 {
			p.check(p.p, newest(content, 1<<30), true)
			p.check(p.p, newest(content, 0), true)
		}
		p.check(p.p, oldest(1<<30), true)
		p.check(p.p, oldest(0), true)
	}
	p.put(d, "a/one", p.content(9), driver.Durable)
	p.put(d, "a/one", p.content(maxSmall), driver.Deferred)
	p.sync(d, "a/one")
	p.put(d, "a/one", p.content(9), driver.Deferred)
	p.sync(d, "a/one")
	p.killAll()
}

// failOnce makes the next sync of a path that contains part fail. As the kernel does, it forgets
// what it could not write: the file keeps what was on disk before.
func (p *platter) failOnce(part string, failed *bool) {
	p.fails = func(path string) error {
		if *failed || !strings.Contains(path, part) {
			return nil
		}
		*failed = true
		inode, _ := p.tornBytes()
		p.forget(inode)
		return errors.New("the disk is broken")
	}
}

// forget makes what was not synced of a segment never reach the disk.
func (p *platter) forget(inode uint64) {
	p.hole = inode
	p.holeFrom, p.holeTo = tornRange(p.images[inode], p.now[inode])
	p.under = p.images[inode]
}

// TestPowerLossAfterAFailedSync: a segment whose sync has failed is never trusted again, not even
// after a kill.
func TestPowerLossAfterAFailedSync(t *testing.T) {
	for _, killed := range []bool{false, true} {
		t.Run(fmt.Sprint("killed ", killed), func(t *testing.T) {
			p := newPowerTest(t, 1, nil)
			p.records = 1000
			d := p.open()
			p.put(d, "a/one", p.content(9), driver.Durable)
			p.put(d, "a/two", p.content(9), driver.Deferred)
			var failed bool
			p.p.failOnce("journal/", &failed)
			require.Error(t, d.Sync(t.Context(), "a/two"))
			require.True(t, failed)
			if killed {
				p.killAll()
				d = p.open()
			}
			p.p.observe()
			p.lose()
			p.put(d, "b/c/d/three", p.content(9), driver.Deferred)
			p.sync(d, "b/c/d/three")
			p.p.observe()
			p.check(p.p, oldest(1<<30), true)
			p.check(p.p, newest(1, 1<<30), true)
			p.sync(d, "a/two")
			p.p.observe()
			p.check(p.p, oldest(1<<30), true)
			p.check(p.p, newest(1, 1<<30), true)
			p.killAll()
		})
	}
}

// TestPowerLossAfterAFailedCheckpoint: what a checkpoint could not make durable stays in the
// journal, also when the directory is closed and opened.
func TestPowerLossAfterAFailedCheckpoint(t *testing.T) {
	for _, end := range []string{"close", "kill"} {
		t.Run(end, func(t *testing.T) {
			p := newPowerTest(t, 1, nil)
			p.records = 2
			d := p.open()
			syncAll := d.journal.syncAll
			d.journal.syncAll = func() error {
				d.journal.syncAll = syncAll
				p.p.lostInode = p.p.read(p.p.dir + "/objects/a/one").inode // the system has reported it, and forgets it
				return errors.New("the disk is broken")
			}
			p.put(d, "a/one", p.content(9), driver.Deferred)
			p.sync(d, "a/one")
			var err error
			for range 10 {
				p.put(d, "a/two", p.content(9), driver.Relaxed)
				if err = d.Sync(t.Context(), "a/two"); err != nil {
					break
				}
				h := p.keys["a/two"]
				h.acked = len(h.states) - 1
			}
			require.Error(t, err)
			p.p.observe()
			p.check(p.p, newest(1, 1<<30), true)
			if end == "close" {
				_ = d.Close()
			} else {
				kill(d)
			}
			p.drivers = nil
			p.p.observe()
			p.check(p.p, newest(1, 1<<30), true)
			d = p.open()
			p.same()
			p.put(d, "b/c/d/three", p.content(9), driver.Durable)
			p.p.observe()
			p.check(p.p, newest(1, 1<<30), true)
			p.check(p.p, oldest(1<<30), true)
			p.killAll()
		})
	}
}

// TestFullDisk: without room for the journal, objects are synced by themselves, and can be deleted.
func TestFullDisk(t *testing.T) {
	p := newPowerTest(t, 1, nil)
	d := p.open()
	p.put(d, "a/one", p.content(9), driver.Durable)
	p.put(d, "a/two", p.content(9), driver.Deferred)
	write := d.journal.write
	d.journal.write = func(f *os.File, b []byte, off int64) error {
		if f == d.journal.state {
			return write(f, b, off) // it has its room
		}
		_ = write(f, b[:len(b)/2], off)
		return &os.PathError{Op: "write", Path: f.Name(), Err: syscall.ENOSPC}
	}
	p.sync(d, "a/two")
	p.remove(d, "a/one")
	p.sync(d, "a/one")
	p.put(d, "a/one", p.content(9), driver.Deferred)
	p.put(d, "a/one", p.content(9), driver.Deferred)
	p.put(d, "b/c/d/four", p.content(9), driver.Durable)
	p.remove(d, "a/two")
	d.journal.write = write
	p.sync(d, "a/one", "a/two")
	p.put(d, "a/two", p.content(9), driver.Durable)
	p.p.observe()
	p.lose()
	p.killAll()
}

// TestUnknownVersionOfTheJournal: New refuses a journal of another version and changes nothing.
func TestUnknownVersionOfTheJournal(t *testing.T) {
	dir := t.TempDir()
	d := newDriver(t, dir, nil)
	put(t, d, "a/one", "1", nil)
	kill(d)
	segments, err := filepath.Glob(dir + "/journal/*")
	require.NoError(t, err)
	require.NotEmpty(t, segments)
	b, err := os.ReadFile(segments[0])
	require.NoError(t, err)
	known := binary.LittleEndian.Uint32(b[len(journalMagic):])
	for _, version := range []uint32{0, known + 1, 1 << 31} {
		binary.LittleEndian.PutUint32(b[len(journalMagic):], version)
		require.NoError(t, os.WriteFile(segments[0], b, 0o600))
		require.NoError(t, os.Remove(dir+"/objects/a/one"))
		for _, opts := range []*Options{nil, {NoJournal: true}, {NoSync: true}} {
			_, err := New(dir, opts)
			require.ErrorIs(t, err, errors.ErrUnsupported)
		}
		after, err := os.ReadFile(segments[0])
		require.NoError(t, err)
		require.Equal(t, b, after)
		require.NoFileExists(t, dir+"/objects/a/one")
		require.NoError(t, os.WriteFile(dir+"/objects/a/one", nil, 0o600))
	}
}

// TestDirectoryFromBefore: a directory without a journal opens, and the other way round.
func TestDirectoryFromBefore(t *testing.T) {
	dir := t.TempDir()
	for _, opts := range []*Options{{NoJournal: true}, nil, {NoJournal: true}, {NoSync: true}, nil} {
		d := newDriver(t, dir, opts)
		old := read(t, d, "a/one")
		put(t, d, "a/one", old+"x", nil)
		kill(d) // the next one replays
		d = newDriver(t, dir, opts)
		require.Equal(t, strings.TrimPrefix(old, "\x00")+"x", read(t, d, "a/one"))
		require.NoError(t, d.Close())
	}
}

//go:build linux || darwin

package disk

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/storage/driver"
)

// keyState is a state that a key had, or may have.
type keyState struct {
	content    string // "" means no object
	durability driver.Durability
	fresh      bool // there was no object before
}

// keyHistory is what a test knows about a key. States are noted before the call that makes them.
type keyHistory struct {
	states []keyState
	acked  int // the latest state for which a Sync or a Durable Put has returned
}

func (h *keyHistory) last() keyState { return h.states[len(h.states)-1] }

// allows reports whether a loss of power may leave content at the key.
func (h *keyHistory) allows(content string) bool {
	for i, s := range h.states[h.acked:] {
		if s.content == content {
			return true
		}
		if i == 0 || s.content == "" {
			continue
		}
		torn := strings.HasPrefix(s.content, content) || strings.Trim(content, "\x00") == ""
		if torn && (s.durability == driver.Relaxed || s.durability == driver.Deferred && s.fresh && content != "") {
			return true
		}
	}
	return false
}

// powerTest runs Drivers on one directory, and loses power at every step.
type powerTest struct {
	t        testing.TB
	rng      *rand.Rand
	opts     *Options
	p        *platter
	drivers  []*Driver
	keys     map[string]*keyHistory
	contents int
	built    int    // states that were built and checked
	doing    string // the last steps, for messages
	mu       sync.Mutex
	every    int    // one loss of power in so many is tried
	records  uint32 // of a segment
}

func newPowerTest(t testing.TB, seed uint64, opts *Options) *powerTest {
	p := &powerTest{
		t: t, rng: rand.New(rand.NewPCG(seed, 1)), opts: opts, keys: map[string]*keyHistory{}, every: 1, records: 6,
	}
	for _, key := range []string{"a/one", "a/two", "b/c/d/three", "b/c/d/four", "b/c/e/five"} {
		p.keys[key] = &keyHistory{states: []keyState{{}}}
	}
	dir := t.TempDir()
	require.NoError(t, newDriver(t, dir, opts).Close())
	p.p = newPlatter(t, dir)
	p.p.lost = p.lose
	return p
}

func (p *powerTest) open() *Driver {
	d := p.p.open(p.opts)
	if d.journal != nil {
		d.journal.maxRecords = p.records
	}
	p.drivers = append(p.drivers, d)
	return d
}

// kill ends a Driver as kill -9 ends a process: all that happens is that its files are closed.
func kill(d *Driver) {
	d.closed.Store(true)
	if d.journal != nil {
		_ = d.journal.close()
	}
	if d.usage.life != nil {
		_ = d.usage.life.Close()
	}
	d.closeLocks()
	_ = d.tempLock.Close()
}

func (p *powerTest) killAll() {
	for _, d := range p.drivers {
		kill(d)
	}
	p.drivers = nil
}

func (p *powerTest) content(size int) string {
	p.contents++
	return fmt.Sprintf("%d:%s", p.contents, strings.Repeat("x", size))
}

func (p *powerTest) put(d *Driver, key, content string, how driver.Durability) {
	h := p.keys[key]
	h.states = append(h.states, keyState{content, how, h.last().content == ""})
	_, err := d.Put(p.t.Context(), key, strings.NewReader(content), &driver.PutOptions{Durability: how})
	require.NoError(p.t, err, p.doing)
	if how == driver.Durable {
		h.acked = len(h.states) - 1
	}
}

func (p *powerTest) remove(d *Driver, key string) {
	h := p.keys[key]
	h.states = append(h.states, keyState{})
	err := d.Delete(p.t.Context(), key, "")
	if h.states[len(h.states)-2].content == "" {
		require.ErrorIs(p.t, err, driver.ErrNotExist)
		return
	}
	require.NoError(p.t, err, p.doing)
}

func (p *powerTest) sync(d *Driver, keys ...string) {
	require.NoError(p.t, d.Sync(p.t.Context(), keys...), p.doing)
	for _, key := range keys {
		h := p.keys[key]
		h.acked = len(h.states) - 1
	}
}

func (p *powerTest) adopt(d *Driver, key, content string) {
	source := filepath.Join(p.t.TempDir(), "source")
	require.NoError(p.t, os.WriteFile(source, []byte(content), 0o600))
	require.NoError(p.t, setTimes(source, 1, 1))
	f, err := os.Open(source)
	require.NoError(p.t, err)
	h := p.keys[key]
	h.states = append(h.states, keyState{content, driver.Deferred, true})
	_, _, err = d.Adopt(p.t.Context(), key, f, nil)
	require.NoError(p.t, err)
	require.NoError(p.t, f.Close())
}

// step does something at random.
func (p *powerTest) step() {
	names := []string{"a/one", "a/two", "b/c/d/three", "b/c/d/four", "b/c/e/five"}
	key := names[p.rng.IntN(len(names))]
	d := p.drivers[p.rng.IntN(len(p.drivers))]
	present := p.keys[key].last().content != ""
	size := p.rng.IntN(40)
	if p.rng.IntN(8) == 0 {
		size = maxSmall + 1
	}
	switch n := p.rng.IntN(20); {
	case n < 3:
		p.note("delete " + key)
		p.remove(d, key)
	case n < 9:
		some := []string{key, names[p.rng.IntN(len(names))]}
		p.note(fmt.Sprint("sync ", some))
		p.sync(d, some...)
	case n == 9 && !present:
		p.note("adopt " + key)
		p.adopt(d, key, p.content(size))
	case n == 10:
		p.note("kill and open")
		i := p.rng.IntN(len(p.drivers))
		kill(p.drivers[i])
		p.drivers = slices.Delete(p.drivers, i, i+1)
		p.open()
		p.same()
	case n == 11 && p.rng.IntN(2) == 0:
		p.note("kill all and open")
		p.killAll()
		p.open()
		p.open()
		p.same()
	default:
		how := driver.Durability(p.rng.IntN(3))
		p.note(fmt.Sprintf("put %s %d %d", key, how, size))
		p.put(d, key, p.content(size), how)
	}
}

func (p *powerTest) note(what string) { p.doing += what + "\n" }

// same checks that a kill has changed nothing.
func (p *powerTest) same() {
	for key, h := range p.keys {
		require.Equal(p.t, short(h.last().content), short(read(p.t, p.drivers[0], key)), "%s after\n%s", key, p.doing)
	}
}

// read returns the content at a key, or "".
func read(t testing.TB, d *Driver, key string) string {
	r, _, err := d.Open(t.Context(), key, nil)
	if errors.Is(err, driver.ErrNotExist) {
		return ""
	}
	require.NoError(t, err)
	b, err := io.ReadAll(r)
	require.NoError(t, errors.Join(err, r.Close()))
	if len(b) == 0 {
		return "\x00"
	}
	return string(b)
}

// short makes messages short.
func short(content string) string { return content[:min(len(content), 60)] }

// lose loses power in several ways, and checks what is left.
func (p *powerTest) lose() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.t.Failed() || p.every > 1 && p.rng.IntN(p.every) > 0 {
		return
	}
	first, last := func(int) int { return 0 }, func(n int) int { return n - 1 }
	for _, c := range []choice{
		{first, last, first},
		{last, func(int) int { return 1 }, first},
		{last, func(int) int { return 3 }, last},
		{p.rng.IntN, p.rng.IntN, last},
		{p.rng.IntN, p.rng.IntN, p.rng.IntN},
	} {
		p.check(p.p, c, true)
	}
}

// check opens what a loss of power leaves, and checks each key.
func (p *powerTest) check(pl *platter, c choice, again bool) {
	if p.t.Failed() {
		return
	}
	p.built++
	dir, err := os.MkdirTemp(p.t.TempDir(), "")
	require.NoError(p.t, err)
	pl.build(dir, c)
	left := newPlatter(p.t, dir)
	d := left.open(p.opts)
	p.promises(d)
	if again { // power is lost again, after the replay
		left.observe()
		p.check(left, choice{p.rng.IntN, p.rng.IntN, p.rng.IntN}, false)
	}
	if p.rng.IntN(2) == 0 {
		require.NoError(p.t, d.Close())
		d = left.open(p.opts)
		p.promises(d)
	}
	kill(d)
	require.NoError(p.t, os.RemoveAll(dir))
}

func (p *powerTest) promises(d *Driver) {
	there := map[string]bool{}
	for _, key := range keys(p.t, d, "", nil) {
		there[key] = true
	}
	for key, h := range p.keys {
		content := read(p.t, d, key)
		require.Equal(p.t, content != "", there[key], "list of %s", key)
		if h.allows(content) {
			continue
		}
		var states []string
		for i, s := range h.states {
			states = append(states, fmt.Sprintf("%d: %q durability %d", i, short(s.content), s.durability))
		}
		// Not require: the call may come from a goroutine of the driver.
		p.t.Errorf("broken promise: %s has %d bytes: %q\nacknowledged: %d of\n%s\nsteps:\n%s", key, len(content),
			short(content), h.acked, strings.Join(states, "\n"), p.doing)
	}
}

// TestPowerLoss does this and that with two Drivers and a small journal, and loses power at every
// sync and after every step.
func TestPowerLoss(t *testing.T) {
	rounds, steps := 12, 40
	if testing.Short() {
		rounds = 4
	}
	for seed := range rounds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			p := newPowerTest(t, uint64(seed), nil)
			p.every = 4
			p.open()
			p.open()
			for range steps {
				p.step()
				p.p.observe()
				p.lose()
			}
			p.killAll()
			require.Greater(t, p.built, steps)
		})
	}
}

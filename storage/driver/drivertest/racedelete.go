package drivertest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/storage/driver"
)

// These constants bound raceDelete.
const (
	raceTime   = 600 * time.Millisecond // the duration of each half
	raceRounds = 4000                   // the maximum of rounds of a half
	raceFew    = 20                     // the minimum of rounds of a half, on slow storage
)

// raceDelete: among Deletes of one version and Puts on it, exactly one wins, and a Delete never
// removes another version. A driver that checks and then acts fails only if another operation comes
// in between. So there are many rounds of a few contenders, in random order and with short random
// delays. Half of the rounds run beside Lists: if a driver releases its lock for a moment, a
// waiting operation then gets in between.
func (s *suite) raceDelete(t *testing.T) {
	t.Run("Alone", func(t *testing.T) { s.raceDeletes(t, 0) })
	t.Run("BesideLists", func(t *testing.T) { s.raceDeletes(t, 2) })
}

func (s *suite) raceDeletes(t *testing.T, listers int) {
	d := s.new(t)
	rnd := rand.New(rand.NewPCG(1, 2))
	var stop atomic.Bool
	listed := make(chan error, listers)
	if listers > 0 {
		for i := range 500 {
			put(t, d, fmt.Sprintf("more/%03d", i), "", &driver.PutOptions{Durability: driver.Relaxed})
		}
	}
	for range listers {
		go func() {
			var err error
			for err == nil && !stop.Load() {
				_, err = listKeys(t.Context(), d, "more/", nil, -1)
			}
			listed <- err
		}()
	}
	defer func() {
		stop.Store(true)
		for range listers {
			require.NoError(t, <-listed)
		}
	}()
	begin := time.Now()
	for round := 0; round < raceRounds && (round < raceFew || time.Since(begin) < raceTime); round++ {
		raceDeleteOnce(t, d, rnd, fmt.Sprintf("a/b/c%d/key", round%3))
	}
}

// contender is what one goroutine of a round does.
type contender int

const (
	deletes   contender = iota // deletes the version
	puts                       // puts on condition of the version
	overrides                  // puts without a condition
)

// raceDeleteOnce races two to four contenders. At least one is a Delete. The others are Deletes and
// Puts on the version, or include one Put without a condition.
func raceDeleteOnce(t *testing.T, d driver.Driver, rnd *rand.Rand, key string) {
	t.Helper()
	relaxed := &driver.PutOptions{Durability: driver.Relaxed}
	info := put(t, d, key, "first", relaxed)
	who := make([]contender, 2+rnd.IntN(3))
	override := rnd.IntN(3) == 0
	if override {
		who[1] = overrides
	}
	for i := range who {
		if i > 0 && !override {
			who[i] = contender(rnd.IntN(2))
		}
	}
	rnd.Shuffle(len(who), func(i, j int) { who[i], who[j] = who[j], who[i] })
	apart := []int{0, 1000, 20_000, 150_000}[rnd.IntN(4)] // nanoseconds
	waits := make([]time.Duration, len(who))
	for i := range waits {
		waits[i] = time.Duration(rnd.IntN(apart + 1))
	}

	var ready atomic.Int32
	errs := race(len(who), func(i int) error {
		// A channel would wake the goroutines one after the other. Goroutines that spin begin
		// together.
		for ready.Add(1); int(ready.Load()) < len(who); {
			runtime.Gosched()
		}
		for begin := time.Now(); time.Since(begin) < waits[i]; {
			runtime.Gosched()
		}
		switch who[i] {
		case deletes:
			return d.Delete(t.Context(), key, info.Version)
		case puts:
			opts := &driver.PutOptions{IfVersion: info.Version, Durability: driver.Relaxed}
			_, err := d.Put(t.Context(), key, strings.NewReader(fmt.Sprint("by ", i)), opts)
			return err
		}
		_, err := d.Put(t.Context(), key, strings.NewReader("override"), relaxed)
		return err
	})
	if override {
		requireOverridden(t, d, key, who, errs)
		return
	}
	winner := outcome(t, errs, driver.ErrChanged, driver.ErrNotExist)
	if who[winner] == puts {
		requireContent(t, d, key, fmt.Sprint("by ", winner))
		return
	}
	_, err := d.Stat(t.Context(), key)
	require.ErrorIs(t, err, driver.ErrNotExist, "a Delete has won")
}

// requireOverridden requires that the object of the Put without a condition remains, whether the
// Put came before or after a Delete of another version.
func requireOverridden(t *testing.T, d driver.Driver, key string, who []contender, errs []error) {
	t.Helper()
	won := 0
	for i, err := range errs {
		switch {
		case err == nil && who[i] == deletes:
			won++
		case err != nil && who[i] == overrides:
			require.NoError(t, err)
		case err != nil:
			require.True(t, errors.Is(err, driver.ErrChanged) || errors.Is(err, driver.ErrNotExist), "got %v", err)
		}
	}
	require.LessOrEqual(t, won, 1, "two win")
	content, _, err := fetch(t.Context(), d, key)
	require.NoError(t, err, "a Delete has removed another version than its own")
	require.Equal(t, "override", content)
}

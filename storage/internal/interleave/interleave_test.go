package interleave

import (
	"os"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// numberFromEnv returns the number in an environment variable, or otherwise if the variable is
// unset.
func numberFromEnv(t *testing.T, name string, otherwise int) int {
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	require.NoError(t, err, name)
	return n
}

// seedsToRun returns the number of seeds that TestInterleaved runs.
func seedsToRun(t *testing.T) int {
	seeds := 1500
	if testing.Short() {
		seeds = 150
	}
	return numberFromEnv(t, "REGISTRYKIT_INTERLEAVE_SEEDS", seeds)
}

// TestInterleaved runs many seeds, or the one in REGISTRYKIT_INTERLEAVE_SEED. See the comment of
// the package.
func TestInterleaved(t *testing.T) {
	runs := newRunner(t)
	if seed := numberFromEnv(t, "REGISTRYKIT_INTERLEAVE_SEED", -1); seed >= 0 {
		mix := os.Getenv("REGISTRYKIT_INTERLEAVE_MIX")
		r := runs.run(t, config{seed: uint64(seed), mix: mix, detail: true})
		t.Log(r.story)
		require.NoError(t, r.err)
		return
	}
	calls, acks, begun := 0, 0, time.Now()
	seeds := seedsToRun(t)
	for seed := range uint64(seeds) {
		r := runs.run(t, config{seed: seed})
		if r.err != nil {
			// The second run records the details. A run may differ from the first, see
			// TestInterleavedAgain, so it may take several attempts to fail again.
			for range 10 {
				if again := runs.run(t, config{seed: seed, detail: true}); again.err != nil {
					r = again
					break
				}
			}
			require.NoError(t, r.err, "seed %d\n%s", seed, r.story)
		}
		calls += r.calls
		acks += r.acks
	}
	t.Logf("%d seeds, %d storage calls, %d changes acknowledged and checked, %v", seeds, calls, acks,
		time.Since(begun).Round(time.Millisecond))
}

// TestInterleavedMixes runs each extra mix with a tenth of the seeds. TestInterleaved runs one seed
// of a mix if REGISTRYKIT_INTERLEAVE_MIX and REGISTRYKIT_INTERLEAVE_SEED are set.
func TestInterleavedMixes(t *testing.T) {
	runs := newRunner(t)
	seeds := seedsToRun(t) / 10
	for _, mix := range extraMixes {
		t.Run(mix, func(t *testing.T) {
			for seed := range uint64(seeds) {
				if r := runs.run(t, config{seed: seed, mix: mix}); r.err != nil {
					again := runs.run(t, config{seed: seed, mix: mix, detail: true})
					require.NoError(t, r.err, "seed %d\n%s", seed, again.story)
				}
			}
		})
	}
}

// TestInterleavedAgain checks that a seed decides a run: of up to six runs, two have the same story.
// Runs may differ in what a collection reads again, which depends on package hash/maphash. Three in a
// row differ in one of 300 seeds.
func TestInterleavedAgain(t *testing.T) {
	runs := newRunner(t)
	// Versions differ: before the actors begin, concurrent calls run in any order.
	versions := regexp.MustCompile(`\[[0-9a-z]+ `)
	for seed := range uint64(25) {
		stories := map[string]bool{}
		for n := 1; len(stories) == n-1; n++ {
			require.LessOrEqual(t, n, 6, "seed %d", seed)
			r := runs.run(t, config{seed: seed, detail: true})
			require.NotEmpty(t, r.story)
			stories[versions.ReplaceAllString(r.story, "[")] = true
		}
	}
}

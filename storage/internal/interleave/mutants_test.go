//go:build !race

package interleave

import (
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestInterleavedMutants breaks one rule after the other. What TestInterleaved checks finds each of
// them: most within a few hundred of the seeds that it runs, some only within thousands. The race
// detector would find nothing in what is wrong by design.
func TestInterleavedMutants(t *testing.T) {
	runs := newRunner(t)
	keys := func(expression string) *regexp.Regexp { return regexp.MustCompile(expression) }
	for name, m := range map[string]mutant{
		"links are written whatever is there":                 {unconditionalPut: keys(`^r/[^/]*/b/`)},
		"links are removed whatever is there":                 {unconditionalDelete: keys(`^r/[^/]*/b/`)},
		"manifests are written whatever is there":             {unconditionalPut: keys(`^r/[^/]*/m/`)},
		"manifests are removed whatever is there":             {unconditionalDelete: keys(`^r/[^/]*/m/`)},
		"tags are written whatever is there":                  {unconditionalPut: keys(`^r/[^/]*/t/`), from: 200},
		"tags are changed on conditions whatever is there":    {unconditionalPut: keys(`^r/[^/]*/t/`), mix: "conditions"},
		"tags are removed whatever is there":                  {unconditionalDelete: keys(`^r/[^/]*/t/`), mix: "pointers"},
		"back references are removed whatever is there":       {unconditionalDelete: keys(`^r/[^/]*/x/`), mix: "pointers"},
		"entries of referrers are removed whatever is there":  {unconditionalDelete: keys(`^r/[^/]*/f/`), from: 790},
		"nobody sees that data are condemned":                 {unseen: keys(`^dead/`), from: 460},
		"nobody sees that data are gone":                      {lost: keys(`^data/`)},
		"the mark of data goes before the data":               {swapped: true, from: 3600},
		"lists of manifests are late":                         {late: keys(`^r/[^/]*/m/`)},
		"lists of links are late":                             {late: keys(`^r/[^/]*/b/`)},
		"manifests are no roots before they are visible":      {state: "pending"},
		"manifests that were refused are no roots":            {state: "refused"},
		"collectors do not see where tags are about to point": {blind: "collector", from: 7500},
		"the history is not a root":                           {unlisted: keys(`^h/`)},
		"pushes are not told of referrers":                    {unawaited: true, from: 3400},
		"pushes do not look for referrers":                    {unlisted: keys(`^r/[^/]*/f/`), from: 3000},
	} {
		t.Run(name, func(t *testing.T) {
			const limit = 8000
			calls := 0
			for seed := range uint64(limit) {
				seed += m.from
				r := runs.run(t, config{seed: seed, mix: m.mix, mutant: &m})
				if calls += r.calls; r.err != nil && runs.run(t, config{seed: seed, mix: m.mix}).err == nil {
					t.Logf("found with seed %d, after %d calls: %v", seed, calls, r.err)
					return
				}
			}
			require.Fail(t, "not found", "%d seeds, %d calls", limit, calls)
		})
	}
}

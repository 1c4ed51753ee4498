//go:build !race

package interleave

import (
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestInterleavedMutants breaks one rule after the other. The checks of TestInterleaved find each
// of them: most within a few hundred seeds, some only within thousands. The test is left out under
// the race detector, which has nothing to find in code that is wrong by design.
func TestInterleavedMutants(t *testing.T) {
	runs := newRunner(t)
	keys := func(expression string) *regexp.Regexp { return regexp.MustCompile(expression) }
	for name, m := range map[string]mutant{
		"links are written without conditions":                {unconditionalPut: keys(`^r/[^/]*/b/`)},
		"links are removed without conditions":                {unconditionalDelete: keys(`^r/[^/]*/b/`)},
		"manifests are written without conditions":            {unconditionalPut: keys(`^r/[^/]*/m/`)},
		"manifests are removed without conditions":            {unconditionalDelete: keys(`^r/[^/]*/m/`)},
		"tags are written without conditions":                 {unconditionalPut: keys(`^r/[^/]*/t/`), from: 200},
		"conditions of clients on tags are ignored":           {unconditionalPut: keys(`^r/[^/]*/t/`), mix: "conditions"},
		"tags are removed without conditions":                 {unconditionalDelete: keys(`^r/[^/]*/t/`), mix: "pointers"},
		"back references are removed without conditions":      {unconditionalDelete: keys(`^r/[^/]*/x/`), mix: "pointers"},
		"entries of referrers are removed without conditions": {unconditionalDelete: keys(`^r/[^/]*/f/`), from: 790},
		"marks of condemned data are not found":               {unseen: keys(`^dead/`), from: 460},
		"data are found after their removal":                  {lost: keys(`^data/`)},
		"the mark of data is removed before the data":         {swapped: true, from: 3600},
		"lists of manifests are late":                         {late: keys(`^r/[^/]*/m/`)},
		"lists of links are late":                             {late: keys(`^r/[^/]*/b/`)},
		"pending manifests are not roots":                     {state: "pending"},
		"refused manifests are not roots":                     {state: "refused"},
		"collectors do not see where tags are about to point": {blind: "collector", from: 7500},
		"the history is not a root":                           {unlisted: keys(`^h/`)},
		"pushes do not learn that a referrer awaits them":     {unawaited: true, from: 3400},
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

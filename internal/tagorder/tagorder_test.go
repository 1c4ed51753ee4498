package tagorder_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/Masterminds/semver/v3"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/internal/tagorder"
)

// TestCompareSortsForPeople: each list is in the order that people expect, from any beginning.
func TestCompareSortsForPeople(t *testing.T) {
	signature := "sha256-" + strings.Repeat("0", 64) + ".sig"
	for _, row := range []string{
		"latest v2 v1.10 v1.9.12 v1.9.1 v1.9.0 v1.9.0-rc10 v1.9.0-rc9 v1.9.0-beta",
		"latest 1 1.4 1.4.1 1.4.0 1.3 1.3.10 1.3.9 0.9",
		"2024.01.2 2024.01.1 2023.12.31 2023.2.1",
		"24.04 22.04 20.04",
		"13-slim 12 12-slim 12.1-slim",
		"1.4.0_build2 1.4.0_build1 1.4.0 1.4.0-alpine",
		"1.2.3.10 1.2.3.9 1.2.2",
		"20261201 20261130 20260101",
		"3.12 3.12.1-slim 3.12.1-bookworm 3.11",
		"latest 1.0.0 alpine debian-12 debian-11 debian-9 edge main ubuntu-24.04 ubuntu-22.04 " + signature,
		"1.0.0 8b69f7d 7f3a2b1 main-20 main-3",
		"v1.0.0 V0.9 vendor version",
		"1.4.0 v1.4.0",
		"99999999999999999999999999999 99999999999999999999999999998 1",
	} {
		want := strings.Fields(row)
		for range 20 {
			got := slices.Clone(want)
			rand.Shuffle(len(got), func(i, j int) { got[i], got[j] = got[j], got[i] })
			slices.SortFunc(got, tagorder.Compare)
			require.Equal(t, want, got)
		}
	}
}

// TestCompareAgreesWithSemver: semantic versions with pre-releases of dotted words and numbers have the
// order of the standard.
func TestCompareAgreesWithSemver(t *testing.T) {
	var tags []string
	for range 2000 {
		tag := fmt.Sprintf("%d.%d.%d", rand.IntN(3), rand.IntN(12), rand.IntN(12))
		switch rand.IntN(3) {
		case 0:
			tag += fmt.Sprintf("-%s.%d", []string{"alpha", "beta", "rc"}[rand.IntN(3)], rand.IntN(12))
		case 1:
			tag = "v" + tag
		}
		tags = append(tags, tag)
	}
	slices.SortFunc(tags, tagorder.Compare)
	for i := 1; i < len(tags); i++ {
		before, after := semver.MustParse(tags[i-1]), semver.MustParse(tags[i])
		require.False(t, before.LessThan(after), "%s before %s", tags[i-1], tags[i])
	}
}

// FuzzCompare: Compare is a total order of all texts.
func FuzzCompare(f *testing.F) {
	f.Add("1.4", "1.4.0", "1.4.0-rc1")
	f.Add("debian-12", "debian-012", "debian-")
	f.Add("sha256-a", "v", "1..2")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		ab, bc, ac := tagorder.Compare(a, b), tagorder.Compare(b, c), tagorder.Compare(a, c)
		require.Equal(t, -ab, tagorder.Compare(b, a))
		require.Equal(t, a == b, ab == 0)
		if ab <= 0 && bc <= 0 {
			require.LessOrEqual(t, ac, 0, "%q %q %q", a, b, c)
		}
	})
}

func TestCompareAllocatesNothing(t *testing.T) {
	require.Zero(t, testing.AllocsPerRun(100, func() { tagorder.Compare("v1.10.0-rc1", "v1.10.0-rc2") }))
}

func BenchmarkCompare(b *testing.B) {
	for b.Loop() {
		tagorder.Compare("v1.10.0-rc1", "v1.10.0-rc2")
	}
}

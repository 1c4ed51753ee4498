package maintenance

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/internal/e2e/harness"
)

// retainRules keep the newest two builds of each repository, and everything that is a release.
const retainRules = `rules:
  - name: releases
    tags: [v*]
    keep: all
  - name: two builds
    tags: [build-*]
    keep: {newest: 2}
`

// TestRetain makes a plan beside a running server, compares it with a later one, applies it, and
// undoes it.
func TestRetain(t *testing.T) {
	storage := filepath.Join(t.TempDir(), "data")
	s := serve(t, storage, "-history", "720h", "-collect-every", "0", "-collect-grace", "0")
	for i := range 4 {
		push(t, s, fmt.Sprintf("team/app:build-%d", i), fmt.Sprint("build ", i))
	}
	push(t, s, "team/app:v1", "build 0") // the release is the first build
	gone := s.DigestOf(t, "team/app", "build-1")

	rules, dir := write(t, "retain.yaml", retainRules), t.TempDir()
	first, second := filepath.Join(dir, "first.json"), filepath.Join(dir, "second.json")
	plan := []string{"retain", "plan", "-storage", storage, "-grace", "0", "-rules", rules, "-o"}
	var totals struct{ Tags, RemovedTags, RemovedManifests int64 }
	succeed(t, &totals, append(plan, first)...)
	require.EqualValues(t, 5, totals.Tags)
	require.EqualValues(t, 2, totals.RemovedTags)
	require.EqualValues(t, 1, totals.RemovedManifests)

	// A plan is refused where the repository has changed since. The diff shows the tags.
	push(t, s, "team/app:build-1", "build 1, again")
	succeed(t, &totals, append(plan, second)...)
	require.Contains(t, diff(t, first, second), "build-1")
	apply := []string{"retain", "apply", "-storage", storage, "-grace", "0", "-by", "ann"}
	status, out, errs := run(t, append(apply, "-dry-run", first)...)
	require.Equal(t, 4, status, errs)
	require.Len(t, s.TagsOf(t, "team/app"), 5, "a dry run changes nothing: %s", out)
	status, out, errs = run(t, append(apply, first)...)
	require.Equal(t, 4, status, "%s%s", out, errs)
	require.Equal(t, []string{"build-1", "build-2", "build-3", "v1"}, s.TagsOf(t, "team/app"))

	harness.NewProgram(t, "crane").Run(t, "validate", "--remote", s.Addr+"/team/app:v1")
	status, out, errs = run(t, "undo", "-storage", storage, "-by", "ann", first)
	require.Equal(t, 4, status, "build-1 was moved and is left alone: %s%s", out, errs)
	require.Equal(t, []string{"build-0", "build-1", "build-2", "build-3", "v1"}, s.TagsOf(t, "team/app"))
	_, err := harness.NewClient(s.URL()).Do(t.Context(), 200, "GET", "/v2/team/app/manifests/"+gone, harness.Accept(), nil)
	require.NoError(t, err, "the manifest is back")
}

// diff compares two files line by line.
func diff(t *testing.T, a, b string) string {
	t.Helper()
	read := func(path string) map[string]bool {
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		lines := map[string]bool{}
		for line := range strings.Lines(string(content)) {
			lines[strings.TrimRight(line, ",\n")] = true
		}
		return lines
	}
	var out strings.Builder
	before, after := read(a), read(b)
	for line := range before {
		if !after[line] {
			out.WriteString("-" + line + "\n")
		}
	}
	for line := range after {
		if !before[line] {
			out.WriteString("+" + line + "\n")
		}
	}
	return out.String()
}

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func measured(side string, cpu time.Duration) *result {
	const wall = time.Millisecond
	r := &result{Side: side, RSS: 20 << 20,
		samples: []sample{{ops: 1, cpu: cpu, wall: wall, latencies: []time.Duration{wall}}}}
	r.finish(1)
	return r
}

func TestJudge(t *testing.T) {
	r := row{goals: []goal{cpuTmpfs(30), cpuDisk(20), rateDisk(900), p99Disk(0.5), timesLimit(1.6)}}
	judged := func(place string, access bool, results ...*result) []verdict {
		l := &line{Results: results}
		l.judge(r, place, access)
		return l.Verdicts
	}
	ours, limit := measured(oursName, 25*time.Microsecond), measured(limitName, 10*time.Microsecond)
	memory := verdict{"≤ 48 MiB peak", 20, true}
	require.Equal(t, []verdict{{"≤ 30 µs", 25, true}, {"≤ 1.60 × limit", 2.5, false}, memory},
		judged("tmpfs", false, ours, limit))
	require.Equal(t, []verdict{{"≤ 30 µs", 25, true}, memory}, judged("tmpfs", false, ours), "no limit, no multiple")
	require.Equal(t, []verdict{{"≤ 20 µs", 25, false}, {"≥ 900/s", 1000, true}, {"≤ 0.50 ms p99", 1, false}, memory},
		judged("disk", false, ours, limit))
	require.Empty(t, judged("s3", false, ours, limit))
	require.Empty(t, judged("tmpfs", true, ours, limit))
	require.Empty(t, judged("tmpfs", false, &result{Side: oursName, Wrong: "404"}, limit))
}

func TestMarkdown(t *testing.T) {
	l := &line{Name: "GET blob", Allocations: 12.5, Results: []*result{measured(oursName, 25*time.Microsecond),
		{Side: "crane", Wrong: "GET http://127.0.0.1:5000/v2/: 404\n  not found"}, measured(limitName, 10*time.Microsecond)}}
	l.judge(row{goals: []goal{cpuTmpfs(30), timesLimit(1.6)}}, "tmpfs", false)
	only := &line{Name: "sync", Results: []*result{measured(limitName, 10*time.Microsecond)}}
	failed := &line{Name: "mount", Results: []*result{{Side: oursName, Wrong: "500"}}}
	tab := &table{Place: "tmpfs", Rounds: 1, Sides: []string{oursName, "crane", limitName},
		Lines: []*line{l, only, failed}}
	text := tab.markdown()
	require.Contains(t, text, strings.Join([]string{
		"| operation | ours | crane | limit | ÷ base | ÷ limit | goals |",
		"|---|---:|---:|---:|---:|---:|---|",
		"| GET blob | 25 | failed | 10 | | 2.50 | met: ≤ 30 µs; **missed: ≤ 1.60 × limit (2.50)** |",
		"| sync | | | 10 | | | |",
		"| mount | failed | | | | | |", ""}, "\n"))
	require.Contains(t, text, "| GET blob | 1 | 12.5 | | 1,000 (1, 20) | failed | 1,000 (1, 20) |\n")
	require.Contains(t, text, "\n- GET blob, crane: GET /v2/: 404 not found\n- mount, ours: 500\n")
	require.Equal(t, 1, tab.missed())
	require.Equal(t, 1, tab.wrong())
}

func TestOutput(t *testing.T) {
	tab := &table{Place: "tmpfs", Access: true, Rounds: 3, Sides: []string{oursName},
		Lines: []*line{{Name: "mount", Results: []*result{measured(oursName, time.Millisecond)},
			Verdicts: []verdict{{"≤ 1 µs", 1000, false}}}}}
	path := filepath.Join(t.TempDir(), "results")
	require.NoError(t, writeJSON(path, []*table{tab}))
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	var read []table
	require.NoError(t, json.Unmarshal(b, &read))
	require.Equal(t, tab.Lines[0].Verdicts, read[0].Lines[0].Verdicts)

	document := "# A\n<!-- compare tmpfs with access control -->\nold\n<!-- end -->\nB\n"
	require.NoError(t, os.WriteFile(path, []byte(document), 0o600))
	for range 2 {
		require.NoError(t, writeDoc(path, []*table{tab}))
		b, err = os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, strings.Replace(document, "old", "\n"+tab.markdown(), 1), string(b))
	}
	require.Error(t, writeDoc(path, []*table{{Place: "disk"}}))
	require.NoError(t, writeJSON("", nil))
	require.NoError(t, writeDoc("", nil))
}

func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 0.256: "0.26", 2: "2", 2.346: "2.35", 23.44: "23.4", 48: "48",
		234.4: "234", 1234.4: "1,234", 1_000_000: "1,000,000"} {
		require.Equal(t, want, number(v))
	}
}

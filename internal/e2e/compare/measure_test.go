package main

import (
	"context"
	"errors"
	"net/http"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/internal/e2e/harness"
)

// newMeasurement returns a measurement of two servers of the limit, of which one stands for this
// registry.
func newMeasurement(t *testing.T) *measurement {
	t.Helper()
	program := filepath.Join(t.TempDir(), "limit")
	require.NoError(t, harness.BuildHere(program, "./compare/limit"))
	m := &measurement{c: &config{rounds: 2, longest: time.Minute, setup: time.Minute, only: regexp.MustCompile("")},
		place: "tmpfs"}
	for _, name := range []string{oursName, limitName} {
		s := &side{name: name, options: harness.Options{Kind: harness.Ours, Program: program}, dir: t.TempDir()}
		m.sides = append(m.sides, s)
		t.Cleanup(func() { _ = s.server.Kill() })
	}
	return m
}

func deleteTag(ctx context.Context, s *side, _, _ int) error {
	_, err := s.c.Do(ctx, http.StatusAccepted, http.MethodDelete, "/v2/a/manifests/tag", nil, nil)
	return err
}

// TestWrongAnswerIsAFailure checks that a side that gives a wrong answer has an error and no times.
func TestWrongAnswerIsAFailure(t *testing.T) {
	m := newMeasurement(t)
	wrong := errors.New("wrong bytes")
	lines, err := m.scenario(t.Context(), scenario{rows: []row{
		{name: "late", ops: 10, op: func(ctx context.Context, s *side, round, n int) error {
			if s.name == oursName && round == 0 && n == 7 {
				return wrong
			}
			return deleteTag(ctx, s, round, n)
		}},
		{name: "right", ops: 10, op: deleteTag, goals: []goal{timesLimit(1000)}},
	}})
	require.NoError(t, err)
	late, right := lines[0], lines[1]
	require.Equal(t, "wrong bytes", late.side(oursName).Wrong)
	require.Zero(t, late.side(oursName).Rate)
	require.Empty(t, late.Verdicts)
	require.Empty(t, late.side(limitName).Wrong)

	require.Empty(t, right.side(oursName).Wrong)
	for _, r := range right.Results {
		require.Len(t, r.samples, 2)
		require.Equal(t, 10, r.samples[0].ops)
		require.Len(t, r.samples[0].latencies, 10)
		require.Positive(t, r.CPU)
		require.Positive(t, r.RSS)
	}
	require.LessOrEqual(t, right.side(limitName).Syncs, 1.0)
	require.Positive(t, right.side(limitName).Syncs)
	require.Len(t, right.Verdicts, 2)
}

// TestSetupThatFails checks that a side takes no part in rows that it cannot prepare.
func TestSetupThatFails(t *testing.T) {
	m := newMeasurement(t)
	lines, err := m.scenario(t.Context(), scenario{
		setup: func(context.Context, *side) error { return errors.New("no referrers") },
		rows:  []row{{name: "list", ops: 1, op: deleteTag}},
	})
	require.NoError(t, err)
	require.Equal(t, "no referrers", lines[0].side(oursName).Wrong)
	require.Empty(t, lines[0].side(limitName).Wrong, "the limit prepares nothing")
}

// TestRoundEnds checks that a round ends after its time, and after its operations.
func TestRoundEnds(t *testing.T) {
	m := newMeasurement(t)
	m.c.rounds = 1
	lines, err := m.scenario(t.Context(), scenario{rows: []row{
		{name: "long", ops: 1 << 40, op: deleteTag, longest: 20 * time.Millisecond},
		{name: "steps", ops: 3, op: deleteTag, after: deleteTag},
	}})
	require.NoError(t, err)
	require.Positive(t, lines[0].side(oursName).Rate)
	require.Equal(t, 3, lines[1].side(oursName).samples[0].ops)
}

package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestResult(t *testing.T) {
	r := result{
		name: "x",
		ours: []sample{{1 * time.Millisecond, 2 * time.Second}, {3 * time.Millisecond, 2 * time.Second},
			{9 * time.Millisecond, 2 * time.Second}},
		peer: []sample{{2 * time.Millisecond, 1 * time.Second}, {2 * time.Millisecond, 1 * time.Second},
			{3 * time.Millisecond, 1 * time.Second}},
	}
	require.Equal(t, 1.5, r.ratio())
	require.Equal(t, "| x | 3.00 ms | 2.00 ms | 1.50 | 2.00 s | 1.00 s | 2.00 |", r.String())
}

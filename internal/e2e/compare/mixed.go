package main

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// mixed is 80 % pulls, 15 % pushes and 5 % lists of tags.
func mixed() scenario {
	return scenario{setup: pushKnown, rows: []row{{name: "mixed", ops: 4000, workers: 8, op: mix, learn: learnMix,
		goals: []goal{rateDisk(1700)}}}}
}

// crowdSize is the number of clients of crowd.
const crowdSize = 1000

// crowd is the same from many clients. A round takes longest.
func crowd(longest time.Duration) scenario {
	return scenario{setup: pushKnown, rows: []row{{name: "mixed, 1,000 clients", ops: 1 << 30, workers: crowdSize, op: mix,
		learn: learnMix, longest: longest, only: []string{oursName, baseName},
		goals: []goal{{metric: rssMetric, most: 256}}}}}
}

func mix(ctx context.Context, s *side, round, n int) error {
	switch kind := n % 20; {
	case kind < 16:
		return pullKnown(ctx, s, round, n)
	case kind < 19:
		return pushImage(ctx, s, fmt.Sprintf("compare/mixed-%d", n%8), (round+2)*10_000_000+n)
	default:
		return listKnown(ctx, s, n/20)
	}
}

func listKnown(ctx context.Context, s *side, n int) error {
	_, err := s.c.Do(ctx, http.StatusOK, http.MethodGet, "/v2/"+knownRepo(n)+"/tags/list?n=100", nil, nil)
	return err
}

func learnMix(ctx context.Context, s *side) error {
	for n := range known {
		if err := listKnown(ctx, s, n); err != nil {
			return err
		}
	}
	return learnKnown(ctx, s)
}

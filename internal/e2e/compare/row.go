package main

import (
	"context"
	"time"
)

// scenario is a group of rows that share what setup stores. It begins with empty registries.
type scenario struct {
	setup func(ctx context.Context, s *side) error // or nil; not called for the limit
	rows  []row
}

// row is one line of the table.
type row struct {
	name    string
	ops     int // operations of a round
	workers int // concurrent clients; 0 means 4
	bytes   int // content of an operation; if positive, costs are per MB
	// learn makes the requests to which the limit responds as this registry does. It is for reads.
	// nil means that op makes no such requests.
	learn func(ctx context.Context, s *side) error
	// before runs before each round and is not measured. nil means no call.
	before func(ctx context.Context, s *side, round int) error
	// op is one operation. n counts from 0 in each round. The round -1 warms up. An error means
	// that the side gave a wrong answer.
	op func(ctx context.Context, s *side, round, n int) error
	// after runs after each measured operation and is not measured. A row with after runs one
	// operation at a time.
	after func(ctx context.Context, s *side, round, n int) error
	// round measures a round instead of op.
	round func(ctx context.Context, s *side, round int) (sample, error)
	// only has the names of the sides that take part. nil means all.
	only  []string
	goals []goal
	// longest is the longest time of a round. Default: the value of -round. An operation that has
	// begun is completed.
	longest time.Duration
}

// kept returns the rows that -only selects.
func (c *config) kept(rows []row) []row {
	var kept []row
	for _, r := range rows {
		if c.only.MatchString(r.name) {
			kept = append(kept, r)
		}
	}
	return kept
}

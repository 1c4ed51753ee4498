package main

import (
	"context"
	"net/http"
)

// syncs are the syncs that durability needs: one for each acknowledged request, which requests that
// wait at the same time share. Only the limit takes part: it appends a record to its log.
func syncs() scenario {
	op := func(ctx context.Context, s *side, _, _ int) error {
		_, err := s.c.Do(ctx, http.StatusAccepted, http.MethodDelete, "/v2/compare/syncs/manifests/tag", nil, nil)
		return err
	}
	only := []string{limitName}
	return scenario{rows: []row{
		{name: "synced append, 1 client", ops: 2000, workers: 1, op: op, only: only},
		{name: "synced append, 8 clients", ops: 8000, workers: 8, op: op, only: only},
	}}
}

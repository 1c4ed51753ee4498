package storage

import (
	"context"

	"github.com/opencontainers/go-digest"
)

// HistoryRoots returns what historyRoots yields: digests, and the content of those that are deleted.
func HistoryRoots(ctx context.Context, s *Store, repo string) (map[digest.Digest][]byte, error) {
	roots := map[digest.Digest][]byte{}
	for root, err := range s.historyRoots(ctx, repo) {
		if err != nil {
			return nil, err
		}
		if root.content != nil || roots[root.digest] == nil {
			roots[root.digest] = root.content
		}
	}
	return roots, nil
}

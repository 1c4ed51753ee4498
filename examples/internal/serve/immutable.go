package serve

import (
	"fmt"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/filter"
	"github.com/registrykit/registry/filter/glob"
)

// protect makes the tags that match the patterns of -immutable immutable.
func protect(b registry.Backend, patterns []string) (registry.Backend, error) {
	if len(patterns) == 0 {
		return b, nil
	}
	protects, err := glob.Tags(patterns...)
	if err != nil {
		return nil, fmt.Errorf("-immutable: %w", err)
	}
	return filter.Immutable(b, &filter.ImmutableOptions{Protects: protects}), nil
}

package serve

import (
	"fmt"

	"github.com/registrykit/registry/filter/glob"
)

// immutable returns a function that finds the tags that match the patterns of -immutable, or nil without patterns.
func immutable(patterns []string) (func(repo string) func(tag string) bool, error) {
	if len(patterns) == 0 {
		return nil, nil
	}
	protects, err := glob.Tags(patterns...)
	if err != nil {
		return nil, fmt.Errorf("-immutable: %w", err)
	}
	return protects, nil
}

package registrytest

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestDocNamesEachPart checks that the package comment describes every part of the kit.
func TestDocNamesEachPart(t *testing.T) {
	doc, err := os.ReadFile("doc.go")
	require.NoError(t, err)
	words := regexp.MustCompile(`\w+`).FindAllString(string(doc), -1)
	s := newSuite(nil, nil)
	for _, parts := range [][]part{s.readers(), s.writers(), s.conditionalWriters(), s.conditionalDeleters(),
		s.deleters(), s.keepers(), s.historians(), s.repositoryDeleters()} {
		for _, p := range parts {
			if !strings.HasPrefix(p.name, "CommitLast") { // described together
				require.True(t, slices.Contains(words, p.name), p.name)
			}
		}
	}
}

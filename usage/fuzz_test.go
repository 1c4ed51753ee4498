package usage_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/storage/memory"
	"github.com/registrykit/registry/usage"
)

// FuzzContent: whatever the content of a page or table is, reading it ends without a panic, and what was
// read stays the same when it is written and read again.
func FuzzContent(f *testing.F) {
	d := memory.New(nil)
	s := newStore(f, d, nil)
	push(f, s, "team/app", "v1", 1, 20_000)
	push(f, s, "team", "v1", 2, 10)
	_, err := newMeter(f, d).Count(f.Context(), nil)
	require.NoError(f, err)
	for _, key := range append(keys(f, d, "s/n/"), keys(f, d, "s/r/")...) {
		f.Add(usage.Content(read(f, d, key)), 3)
	}
	f.Fuzz(func(t *testing.T, content []byte, n int) {
		if rows, ok := usage.Rows(content); ok {
			again, ok := usage.Rows(rows)
			require.True(t, ok)
			require.Equal(t, rows, again)
		}
		if entries, ok := usage.Entries(content, n); ok {
			again, ok := usage.Entries(entries, n)
			require.True(t, ok)
			require.Equal(t, entries, again)
		}
	})
}

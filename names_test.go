package registry

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestNameKindAfterIsNextName: no valid name lies between a text and the name that replaces it in a
// list.
func TestNameKindAfterIsNextName(t *testing.T) {
	const letters = "-./09AZ_az~\x00\xff"
	var texts []string
	for range 20_000 {
		b := make([]byte, rand.IntN(6))
		for i := range b {
			b[i] = letters[rand.IntN(len(letters))]
		}
		texts = append(texts, string(b))
	}
	for _, kind := range []*nameKind{repositoryNames, tagNames} {
		require.True(t, slices.IsSorted([]byte(kind.bytes)))
		var names []string
		for _, s := range texts {
			for _, name := range []string{s, s + strings.Repeat("z", kind.max-len(s))} {
				if kind.check(name) == nil {
					names = append(names, name)
				}
			}
		}
		require.NotEmpty(t, names)
		slices.Sort(names)
		for _, s := range texts {
			after := kind.after(s)
			require.True(t, after == "" || kind.check(after) == nil, "%q %q", s, after)
			require.LessOrEqual(t, after, s)
			i, exact := slices.BinarySearch(names, s)
			if exact {
				require.Equal(t, s, after)
			} else if i > 0 {
				require.LessOrEqual(t, names[i-1], after, "%q", s)
			}
		}
	}
	require.Equal(t, strings.Repeat("a", 255), repositoryNames.after(strings.Repeat("a", 300)))
	require.Equal(t, strings.Repeat("a", 128), tagNames.after(strings.Repeat("a", 129)))
	require.Empty(t, tagNames.after("\x00"))
}

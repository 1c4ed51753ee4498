package options_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/internal/options"
)

func TestValueOfNilIsZero(t *testing.T) {
	require.Equal(t, 0, options.Value[int](nil))
}

func TestValueIsACopy(t *testing.T) {
	type opts struct{ Limit int }
	given := opts{Limit: 1}
	value := options.Value(&given)
	value.Limit = 2
	require.Equal(t, opts{Limit: 1}, given)
}

func TestDefaultSetsOnlyTheZeroValue(t *testing.T) {
	zero, set := 0, 5
	options.Default(&zero, 3)
	options.Default(&set, 3)
	require.Equal(t, []int{3, 5}, []int{zero, set})
}

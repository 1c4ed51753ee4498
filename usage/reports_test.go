package usage_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/registrytest"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver/drivertest"
	"github.com/registrykit/registry/storage/memory"
	"github.com/registrykit/registry/usage"
)

// TestReports: the reports of a list are those of Report, in a bounded number of requests.
func TestReports(t *testing.T) {
	d := drivertest.NewFaulty(memory.New(nil), nil)
	store, err := storage.New(t.Context(), d, nil)
	require.NoError(t, err)
	m, err := usage.New(store, d, nil)
	require.NoError(t, err)
	_, err = m.Reports(t.Context(), []string{"a"})
	require.ErrorIs(t, err, usage.ErrNotCounted)
	var names []string
	for i := range 30 {
		names = append(names, fmt.Sprintf("team%d/app%d", i%3, i))
		require.NoError(t, registrytest.RandomImage(uint64(i), 1, 10).Push(t.Context(), store, names[i], "v1"))
	}
	_, err = m.Count(t.Context(), nil)
	require.NoError(t, err)
	opens := d.Count("Open")
	all, err := m.Reports(t.Context(), append(names, "none", "team1", "team1", "zzz/last"))
	require.NoError(t, err)
	require.LessOrEqual(t, d.Count("Open")-opens, 4)
	require.Len(t, all, 31)
	for _, name := range append(names, "team1") {
		one, err := m.Report(t.Context(), name)
		require.NoError(t, err)
		require.Equal(t, one, all[name])
	}
	_, err = m.Reports(t.Context(), []string{"A"})
	require.ErrorIs(t, err, registry.ErrNameInvalid)
}

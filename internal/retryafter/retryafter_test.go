package retryafter_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/internal/retryafter"
)

func TestParse(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"0": 0, "7": 7 * time.Second, " 120 ": 2 * time.Minute,
		now.Add(time.Minute).Format(http.TimeFormat):  time.Minute,
		now.Add(-time.Minute).Format(http.TimeFormat): 0,
		strings.Repeat("9", 40):                       (1 << 31) * time.Second,
	} {
		wait, ok := retryafter.Parse(value, now)
		require.True(t, ok, value)
		require.Equal(t, want, wait, value)
	}
	for _, value := range []string{"", " ", "-1", "+1", "1.5", "1s", "soon", "9 9"} {
		wait, ok := retryafter.Parse(value, now)
		require.False(t, ok, value)
		require.Zero(t, wait, value)
	}
}

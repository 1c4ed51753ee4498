package duration_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/internal/duration"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0": 0, "0s": 0, "90s": 90 * time.Second, "1h30m": 90 * time.Minute, "30d": 720 * time.Hour,
		"7d12h": 180 * time.Hour, "106751d": 106751 * 24 * time.Hour, "0d": 0, "1.5h": 90 * time.Minute,
	} {
		got, err := duration.Parse(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
		again, err := duration.Parse(duration.Format(got))
		require.NoError(t, err, text)
		require.Equal(t, want, again, text)
	}
	for _, text := range []string{"", "d", "-1d", "-1s", "+1d", "+1s", "1", "1.5d", "30 d", "106752d", "106751d24h",
		"1d1d", "1w", "2d-1h", "99999999999d", "∞"} {
		_, err := duration.Parse(text)
		require.Error(t, err, text)
	}
}

func TestFormat(t *testing.T) {
	for want, d := range map[string]time.Duration{
		"0s": 0, "30d": 720 * time.Hour, "1d12h": 36 * time.Hour, "1h30m": 90 * time.Minute, "1m5s": 65 * time.Second,
		"10m": 10 * time.Minute, "1d10s": 24*time.Hour + 10*time.Second,
	} {
		require.Equal(t, want, duration.Format(d))
	}
}

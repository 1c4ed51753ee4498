package bytesize_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/internal/bytesize"
)

func TestParse(t *testing.T) {
	for s, want := range map[string]int64{
		"0": 0, "1": 1, "1048576": 1 << 20, "12B": 12, "12 b": 12,
		"500MB": 500e6, "500m": 500e6, "1kB": 1000, "1KB": 1000, "1k": 1000,
		"10GiB": 10 << 30, "10 GiB": 10 << 30, "10gi": 10 << 30, "1.5KiB": 1536, "0.001kB": 1,
		"2TB": 2e12, "2TiB": 2 << 40, "3PiB": 3 << 50, "1EB": 1e18, "7EiB": 7 << 60,
		"9223372036854775807": math.MaxInt64,
	} {
		got, err := bytesize.Parse(s)
		require.NoError(t, err, s)
		require.Equal(t, want, got, s)
	}
	for _, s := range []string{
		"", " ", "B", "GiB", "-1", "+1", "1.", ".5", "1..5", "1.5.5", "1e3", "0x10", "1_000", "1/2", "1,000", "ten",
		"1 ", " 1", "1  GiB", "1XB", "1iB", "1bb", "1 B B", "0.5", "1.0001kB", "9223372036854775808", "8EiB", "10EB",
		"1GiBps", "٣", "99999999999999999999999999999999999999999",
	} {
		_, err := bytesize.Parse(s)
		require.Error(t, err, s)
	}
}

func TestFormat(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 B", 1: "1 B", 1023: "1023 B", 1024: "1 KiB", 1536: "1.5 KiB", 1587: "1.55 KiB",
		10 << 30: "10 GiB", 1<<20 - 1: "1 MiB", 1<<30 - 1: "1 GiB", 1023 << 10: "1023 KiB", 500e6: "477 MiB",
		math.MaxInt64: "8 EiB", -1536: "-1.5 KiB",
	} {
		require.Equal(t, want, bytesize.Format(n), n)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"1", "10GiB", "1.5kB", "-1", "1e9", "9223372036854775807 B"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := bytesize.Parse(s)
		if err == nil {
			require.GreaterOrEqual(t, n, int64(0))
			require.NotEmpty(t, bytesize.Format(n))
		}
	})
}

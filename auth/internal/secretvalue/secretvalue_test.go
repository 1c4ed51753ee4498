package secretvalue_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth/internal/secretvalue"
)

func TestParseNew(t *testing.T) {
	value := secretvalue.New("rkx_", "abc234")
	require.Len(t, value, 4+6+32+7)
	require.NotEqual(t, value, secretvalue.New("rkx_", "abc234"))
	stated, ok := secretvalue.Parse(value, "rkx_", 6)
	require.True(t, ok)
	require.Equal(t, "abc234", stated)
	for _, n := range []int{0, 5, 7, -1} {
		_, ok = secretvalue.Parse(value, "rkx_", n)
		require.False(t, ok)
	}
	_, ok = secretvalue.Parse(value, "rky_", 6)
	require.False(t, ok)
	for i := range value {
		for _, c := range []string{"a", "b", "A", "1", "_", "\x00", "/", "é"} {
			if c != value[i:i+1] {
				_, ok = secretvalue.Parse(value[:i]+c+value[i+1:], "rkx_", 6)
				require.False(t, ok, "character %d", i)
			}
		}
	}
	_, ok = secretvalue.Parse(strings.Repeat("a", 1<<20), "", 1<<20-39)
	require.False(t, ok)
}

// TestKnownChecksum: the format does not change, since scanners know it. The checksum is that of another program:
// python3 -c 'import zlib,base64; print(base64.b32encode(zlib.crc32(b"rkp_"+b"a"*58).to_bytes(4,"big")))'.
func TestKnownChecksum(t *testing.T) {
	_, ok := secretvalue.Parse("rkp_"+strings.Repeat("a", 58)+"beda5ki", "rkp_", 26)
	require.True(t, ok)
}

func TestIs(t *testing.T) {
	for _, stated := range []string{"", "a", strings.Repeat("a", 80)} {
		value := secretvalue.New("rkx_", stated)
		require.True(t, secretvalue.Is(value))
		require.False(t, secretvalue.Is(value+"a"))
		require.False(t, secretvalue.Is(value[:len(value)-1]))
		require.False(t, secretvalue.Is(value[1:]))
	}
	for _, prefix := range []string{"ra_", "rk__", "rkA_", "rkxx", "xkx_"} {
		require.False(t, secretvalue.Is(secretvalue.New(prefix, "abc")), prefix)
	}
	for _, text := range []string{"", "rkx_", "rk", strings.Repeat("é", 100), strings.Repeat("rkx_", 1<<20)} {
		require.False(t, secretvalue.Is(text))
	}
}

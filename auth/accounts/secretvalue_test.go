package accounts_test

import (
	"fmt"
	"hash/crc32"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth/accounts"
)

// withChecksum returns a text with its checksum, as the format says. It is written anew here, so that a mistake in one
// of the two shows.
func withChecksum(s string) string {
	sum := uint64(crc32.ChecksumIEEE([]byte(s))) << 3
	text := ""
	for range 7 {
		text = string("abcdefghijklmnopqrstuvwxyz234567"[sum%32]) + text
		sum /= 32
	}
	return s + text
}

func TestParseSecret(t *testing.T) {
	for kind, prefix := range map[accounts.Kind]string{accounts.User: "rkp_", accounts.Robot: "rkr_"} {
		value := accounts.NewSecretValue(kind, "abcdefghijklmnop", "qrstuvwxyz")
		require.Len(t, value, 69)
		require.Equal(t, prefix+"abcdefghijklmnopqrstuvwxyz", value[:30])
		require.Equal(t, withChecksum(value[:62]), value)
		owner, id, ok := accounts.ParseSecret(value)
		require.True(t, ok)
		require.Equal(t, accounts.ID("abcdefghijklmnop"), owner)
		require.Equal(t, "qrstuvwxyz", id)
		for i := range value {
			for _, c := range []string{"a", "b", "_", "A", "1", "\x00", "/"} {
				if c == value[i:i+1] {
					continue
				}
				_, _, ok := accounts.ParseSecret(value[:i] + c + value[i+1:])
				require.False(t, ok, "character %d", i)
			}
		}
		for _, bad := range []string{"", value[1:], value[:68], value + "a", " " + value, strings.ToUpper(value),
			withChecksum("rkx_" + value[4:62]), withChecksum(prefix + "../../../../../../" + value[22:62])} {
			_, _, ok := accounts.ParseSecret(bad)
			require.False(t, ok, bad)
		}
	}
}

// TestSecretNotPrinted: a NewSecret shows its value only to those who ask for it.
func TestSecretNotPrinted(t *testing.T) {
	d := newDesk(t, nil, nil)
	s := d.secret(d.user("ann", "").ID, nil)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		require.NotContains(t, fmt.Sprintf(verb, s), s.Value.Value()[30:])
	}
}

func FuzzParseSecret(f *testing.F) {
	f.Add(accounts.NewSecretValue(accounts.User, "abcdefghijklmnop", "qrstuvwxyz"))
	f.Add(accounts.NewSecretValue(accounts.Robot, "abcdefghijklmnop", "qrstuvwxyz"))
	f.Add("rkp_" + strings.Repeat("a", 65))
	f.Fuzz(func(t *testing.T, value string) {
		owner, id, ok := accounts.ParseSecret(value)
		fits := len(value) > 62 && withChecksum(value[:62]) == value &&
			(strings.HasPrefix(value, "rkp_") || strings.HasPrefix(value, "rkr_")) &&
			strings.Trim(value[4:62], "abcdefghijklmnopqrstuvwxyz234567") == ""
		require.Equal(t, fits, ok)
		if ok {
			require.Equal(t, value[4:30], string(owner)+id)
		} else {
			require.Empty(t, string(owner)+id)
		}
	})
}

package driver_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/storage/driver"
)

func TestValidPrefix(t *testing.T) {
	long := strings.Repeat("a", driver.MaxKeyLength)
	for _, prefix := range []string{"", "a/", "a/b/", "A-._~9/", long + "/"} {
		require.True(t, driver.ValidPrefix(prefix), "%q", prefix)
	}
	for _, prefix := range []string{"/", "a", "a/b", "//", "a//", "./", "../", "a/../", "a b/", long + "a/"} {
		require.False(t, driver.ValidPrefix(prefix), "%q", prefix)
	}
}

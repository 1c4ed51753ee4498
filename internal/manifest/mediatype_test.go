package manifest_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/internal/manifest"
)

func TestIsMediaType(t *testing.T) {
	for _, s := range []string{"application/vnd.oci.image.manifest.v1+json", "a/b", "application/x_y"} {
		require.True(t, manifest.IsMediaType(s), s)
	}
	for _, s := range []string{"", "a", "a/", "/b", "a/b/c", "a b/c", "a/b\r\n", "+a/b", "a/" + strings.Repeat("b", 128),
		"ä/b"} {
		require.False(t, manifest.IsMediaType(s), s)
	}
}

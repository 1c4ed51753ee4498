package wire

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCleanPath(t *testing.T) {
	for path, clean := range map[string]bool{
		"/": true, "/a": true, "/a/b%2F..": true, "/a..b/.c": true, "": false, "a": false, "%2Fa": false, "//": false,
		"//a": false, "/a/": false, "/a//b": false, "/.": false, "/a/./b": false, "/a/../b": false, "/..": false,
	} {
		require.Equal(t, clean, CleanPath(path), path)
	}
}

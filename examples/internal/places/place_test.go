package places

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParseRegistry(t *testing.T) {
	hex0 := strings.Repeat("0", 64)
	for name, want := range map[string]Place{
		"alpine":                     {Base: "https://registry-1.docker.io", Image: "library/alpine"},
		"docker.io/a/b:c":            {Base: "https://registry-1.docker.io", Image: "a/b:c"},
		"http://localhost:5000/a/b":  {Base: "http://localhost:5000", Image: "a/b"},
		"ghcr.io/a/b@sha256:" + hex0: {Base: "https://ghcr.io", Image: "a/b@sha256:" + hex0},
		"x.io/a:b@sha256:" + hex0:    {Base: "https://x.io", Image: "a:b@sha256:" + hex0},
	} {
		got, err := New(Options{}).parseRegistry(name)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
}

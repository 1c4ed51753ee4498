package pinkey_test

import (
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/internal/pinkey"
	"github.com/registrykit/registry/reference"
)

func TestParse(t *testing.T) {
	for _, want := range []reference.Ref{{Tag: "v1"}, {Digest: digest.FromString("x")}} {
		repo, ref, ok := pinkey.Parse(pinkey.Key("docker.io/library/app", want))
		require.True(t, ok)
		require.Equal(t, "docker.io/library/app", repo)
		require.Equal(t, want, ref)
	}
	for _, key := range []string{"", "m/p/", "m/p/app", "m/p/app/t", "m/p/app/t/", "m/p/app/t/-", "m/p/app/sha256/12",
		"m/p/APP/t/v1", "m/p/app/t/v1/x"} {
		_, _, ok := pinkey.Parse(key)
		require.False(t, ok, key)
	}
}

package subjecttag_test

import (
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/internal/subjecttag"
	"github.com/registrykit/registry/reference"
)

func TestParseReadsWhatOfWrites(t *testing.T) {
	d := digest.FromString("content")
	for _, want := range []string{"", ".sig", ".att", ".a-b.c"} {
		subject, suffix, ok := subjecttag.Parse(subjecttag.Of(d) + want)
		require.True(t, ok)
		require.Equal(t, d, subject)
		require.Equal(t, want, suffix)
	}
	long := subjecttag.Of(digest.SHA512.FromString("content"))
	require.Len(t, long, reference.MaxTagLength)
	subject, suffix, ok := subjecttag.Parse(long)
	require.True(t, ok)
	require.Empty(t, subject)
	require.Empty(t, suffix)
}

func TestParseRejectsOtherTags(t *testing.T) {
	hex := digest.FromString("content").Encoded()
	for _, tag := range []string{"", "latest", "sha256-", "sha256-" + hex[1:], "sha256-" + hex + "0",
		"sha256-" + hex + "-sig", "sha1-" + hex, "sha256-" + strings.ToUpper(hex), "v1-sha256-" + hex,
		"sha256-" + hex[1:] + ".sig"} {
		_, _, ok := subjecttag.Parse(tag)
		require.False(t, ok, "%q", tag)
	}
}

package platform_test

import (
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/internal/platform"
)

func TestMatches(t *testing.T) {
	windows := ocispec.Platform{OS: "windows", OSVersion: "10.0.20348.1", Architecture: "amd64"}
	for _, row := range []struct {
		text string
		got  ocispec.Platform
		want bool
	}{
		{"linux/amd64", ocispec.Platform{OS: "linux", Architecture: "amd64"}, true},
		{"linux/amd64", ocispec.Platform{OS: "linux", Architecture: "arm64"}, false},
		{"Linux/AMD64/v1", ocispec.Platform{OS: "linux", Architecture: "amd64"}, true},
		{"linux/arm64", ocispec.Platform{OS: "linux", Architecture: "arm64", Variant: "v8"}, true},
		{"linux/arm64/v8", ocispec.Platform{OS: "linux", Architecture: "arm64"}, true},
		{"linux/arm64/v9", ocispec.Platform{OS: "linux", Architecture: "arm64"}, false},
		{"linux/arm/v7", ocispec.Platform{OS: "linux", Architecture: "arm", Variant: "7"}, true},
		{"linux/arm/v6", ocispec.Platform{OS: "linux", Architecture: "arm"}, false},
		{"windows(10.0.20348)/amd64", windows, true},
		{"windows(10.0.2)/amd64", windows, false},
	} {
		p, err := platform.Parse(row.text)
		require.NoError(t, err)
		require.Equal(t, row.text, p.String())
		require.Equal(t, row.want, p.Matches(&row.got), "%s %s", row.text, platform.Text(&row.got))
	}
}

func TestParseRejectsMalformedText(t *testing.T) {
	for _, text := range []string{"", "linux", "/amd64", "linux/", "linux/arm64/", "a/b/c/d",
		"linux /amd64", "win()x/amd64"} {
		_, err := platform.ParseAll([]string{"linux/amd64", text})
		require.ErrorContains(t, err, "platform", "%q", text)
	}
}

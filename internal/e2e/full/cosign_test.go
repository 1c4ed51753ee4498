package full

import (
	"strings"
	"testing"

	"github.com/registrykit/registry/internal/e2e/harness"
	"github.com/stretchr/testify/require"
)

// cosign returns cosign with a new pair of keys in the current folder.
func cosign(t *testing.T) *harness.Program {
	t.Helper()
	c := harness.NewProgram(t, "cosign")
	c.Env = append(c.Env, "COSIGN_PASSWORD=")
	t.Chdir(t.TempDir())
	c.Run(t, "generate-key-pair")
	return c
}

// Without a network there is no log of signatures to write to or to look at.
var (
	signing = []string{"--key", "cosign.key", "--tlog-upload=false", "--use-signing-config=false", "-y",
		"--allow-http-registry"}
	verifying = []string{"--key", "cosign.pub", "--insecure-ignore-tlog", "--private-infrastructure",
		"--allow-http-registry"}
)

func with(command string, flags []string, more ...string) []string {
	return append(append([]string{command}, flags...), more...)
}

// TestCosign signs an image and attests something of it, in the format that keeps tags beside the
// image, and in the one that uses referrers, and verifies both.
func TestCosign(t *testing.T) {
	for _, format := range []struct {
		repo, flag string
		referrers  bool
	}{
		{"cosign/referrers", "--new-bundle-format=true", true},
		{"cosign/tags", "--new-bundle-format=false", false},
	} {
		t.Run(format.repo, func(t *testing.T) {
			c := cosign(t)
			ref := registry.Addr + "/" + format.repo
			digest := push(t, ref+":latest")
			image := ref + "@" + digest

			_, _, err := c.Try(t, with("verify", verifying, format.flag, image)...)
			require.Error(t, err, "there is no signature yet")
			c.Run(t, with("sign", signing, format.flag, image)...)
			require.Contains(t, c.Run(t, with("verify", verifying, format.flag, image)...), digest)

			write(t, ".", "predicate.json", `{"buildType":"a test"}`)
			c.Run(t, with("attest", signing, format.flag, "--type", "custom", "--predicate", "predicate.json", image)...)
			require.NotEmpty(t, c.Run(t, with("verify-attestation", verifying, format.flag, "--type", "custom", image)...))

			tags := registry.TagsOf(t, format.repo)
			if format.referrers {
				require.Equal(t, []string{"latest"}, tags)
				require.Len(t, referrersOf(t, format.repo, digest), 2)
			} else {
				name := strings.Replace(digest, ":", "-", 1)
				require.ElementsMatch(t, []string{"latest", name + ".sig", name + ".att"}, tags)
			}
			require.Contains(t, c.Run(t, "tree", "--allow-http-registry", image), digest)

			// A copy takes the signatures along. cosign's own, which it calls deprecated, knows the
			// tags only.
			if format.referrers {
				harness.NewProgram(t, "oras").Run(t, "cp", "--recursive", "--from-plain-http", "--to-plain-http", image,
					ref+"-copy:latest")
			} else {
				c.Run(t, "copy", "--allow-http-registry", image, ref+"-copy:latest")
			}
			c.Run(t, with("verify", verifying, format.flag, ref+"-copy@"+digest)...)

			// The signature is of this image: another is refused, and so is another key.
			other := push(t, ref+":other")
			_, _, err = c.Try(t, with("verify", verifying, format.flag, ref+"@"+other)...)
			require.Error(t, err)
			_, _, err = cosign(t).Try(t, with("verify", verifying, format.flag, image)...)
			require.Error(t, err)
		})
	}
}

// referrersOf asks the registry itself for the artifact types of the referrers.
func referrersOf(t *testing.T, repo, digest string) (kinds []string) {
	t.Helper()
	for _, m := range referrers(t, repo, digest).Manifests {
		kinds = append(kinds, m.ArtifactType)
	}
	return kinds
}

package maintenance

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/internal/e2e/harness"
)

// TestQuota pushes more than a limit allows, with the clients that people use. Each shows the
// figures to its user.
func TestQuota(t *testing.T) {
	storage := filepath.Join(t.TempDir(), "data")
	limits := write(t, "quota.yaml", "limits:\n- {prefix: small, max: {bytes: 100KiB}}\n- {prefix: few, max: {tags: 1}}\n")
	s := serve(t, storage, "-quota", limits)
	image := harness.Layout(t, harness.Image(t, "amd64", t.Name())) // busybox takes about 1 MiB
	crane, skopeo := harness.NewProgram(t, "crane"), harness.NewProgram(t, "skopeo")
	refused := func(what, stdout, stderr string, err error) {
		t.Helper()
		require.Error(t, err, what)
		t.Logf("%s: %s", what, lastLine(stdout+stderr))
		require.Regexp(t, `(?i)denied`, stdout+stderr, what)
		require.Regexp(t, `small`, stdout+stderr, what)
		require.Regexp(t, `100 ?KiB`, stdout+stderr, what)
	}
	out, errs, err := crane.Try(t, "push", image, s.Addr+"/small/app:v1")
	refused("crane", out, errs, err)
	out, errs, err = skopeo.Try(t, "copy", "--dest-tls-verify=false", "oci:"+image+":latest",
		"docker://"+s.Addr+"/small/app:v1")
	refused("skopeo", out, errs, err)
	podman, context := harness.Podman(t), harness.BuildContext(t, t.Name(), "")
	podman.Run(t, "build", "-q", "--isolation", "chroot", "-t", "local/app", context)
	out, errs, err = podman.Try(t, "push", "--tls-verify=false", "local/app", s.Addr+"/small/app:v1")
	refused("podman", out, errs, err)
	buildah := harness.NewProgram(t, "buildah", podman.Args[:4]...) // the images of podman
	out, errs, err = buildah.Try(t, "push", "--tls-verify=false", "--storage-driver", "vfs", "local/app",
		s.Addr+"/small/app:v1")
	refused("buildah", out, errs, err)
	docker := harness.Docker(t)
	docker.Run(t, "build", "-q", "-t", s.Addr+"/small/app:v1", context)
	out, errs, err = docker.Try(t, "push", s.Addr+"/small/app:v1")
	refused("docker", out, errs, err)

	push(t, s, "few/app:v1", "one")
	_, errs, err = crane.Try(t, "push", image, s.Addr+"/few/app:v2")
	require.Error(t, err)
	require.Contains(t, errs, "DENIED")
	harness.NewProgram(t, "crane").Run(t, "push", image, s.Addr+"/other/app:v1") // no limit
	var states []struct {
		Prefix string
		Used   struct{ Tags int64 }
	}
	succeed(t, &states, "quota", "-storage", storage, "-quota", limits, "few/app")
	require.Len(t, states, 1)
	require.EqualValues(t, 1, states[0].Used.Tags, fmt.Sprint(states))
}

// lastLine returns the end of the output of a program.
func lastLine(s string) string { return s[max(0, len(s)-300):] }

package full

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/registrykit/registry/internal/e2e/harness"
	"github.com/stretchr/testify/require"
)

// front starts nginx, and demands at the end of the test that requests came through it, and with
// none of them a failure of a server.
func front(t *testing.T) *harness.Front {
	t.Helper()
	f := harness.NewFront(t, registry)
	t.Cleanup(func() {
		b, err := os.ReadFile(f.Log)
		require.NoError(t, err)
		log := strings.Split(strings.TrimSpace(string(b)), "\n")
		require.Greater(t, len(log), 5)
		for _, line := range log {
			require.NotRegexp(t, ` 5\d\d$`, line)
		}
	})
	return f
}

// TestNginxDocker pushes and pulls with an engine that trusts the authority as one of the system.
func TestNginxDocker(t *testing.T) {
	f := front(t)
	t.Setenv("SSL_CERT_FILE", f.CA)
	d, ref := harness.Docker(t), f.Host+"/nginx/docker:latest"
	d.Run(t, "build", "-q", "-t", ref, harness.BuildContext(t, t.Name(), ""))
	id := d.Run(t, "inspect", "-f", "{{.Id}}", ref)
	d.Run(t, "push", ref)
	d.Run(t, "rmi", ref)
	d.Run(t, "pull", ref)
	require.Equal(t, id, d.Run(t, "inspect", "-f", "{{.Id}}", ref))
}

// TestNginxContainers is podman, buildah and skopeo, which take the authority from a folder of
// certificates.
func TestNginxContainers(t *testing.T) {
	f := front(t)
	certs := "--cert-dir=" + filepath.Dir(f.CA)
	p, ref := harness.Podman(t), f.Host+"/nginx/podman:latest"
	p.Run(t, "build", "-q", "--isolation", "chroot", "-t", ref, harness.BuildContext(t, t.Name(), ""))
	id := p.Run(t, "inspect", "-f", "{{.Id}}", ref)
	p.Run(t, "push", certs, ref)
	p.Run(t, "rmi", ref)
	p.Run(t, "pull", certs, ref)
	require.Equal(t, id, p.Run(t, "inspect", "-f", "{{.Id}}", ref))

	s := harness.NewProgram(t, "skopeo")
	s.Run(t, "copy", "--src-cert-dir="+filepath.Dir(f.CA), "--dest-cert-dir="+filepath.Dir(f.CA), "docker://"+ref,
		"docker://"+f.Host+"/nginx/skopeo:latest")
	_, _, err := s.Try(t, "inspect", "docker://"+ref)
	require.Error(t, err, "who does not know the authority must be refused")

	dir := t.TempDir()
	b := harness.NewProgram(t, "buildah", "--root", dir+"/root", "--runroot", dir+"/run", "--storage-driver", "vfs")
	t.Cleanup(func() { _, _, _ = b.Try(t, "rmi", "--all", "--force") })
	b.Run(t, "pull", certs, ref)
	b.Run(t, "push", certs, ref, "docker://"+f.Host+"/nginx/buildah:latest")
}

// TestNginxContainerd pulls and pushes with ctr.
func TestNginxContainerd(t *testing.T) {
	f := front(t)
	push(t, registry.Addr+"/nginx/containerd:latest")
	c, ref := harness.Containerd(t), f.Host+"/nginx/containerd:latest"
	c.Run(t, "images", "pull", "--tlscacert", f.CA, "--snapshotter", "native", ref)
	c.Run(t, "images", "push", "--tlscacert", f.CA, f.Host+"/nginx/containerd-again:latest", ref)
	require.Equal(t, registry.DigestOf(t, "nginx/containerd", "latest"),
		registry.DigestOf(t, "nginx/containerd-again", "latest"))
}

// TestNginxGo is the clients whose connections are HTTP/2: nginx speaks it to them, and HTTP/1.1 to
// the registry.
func TestNginxGo(t *testing.T) {
	f := front(t)
	t.Chdir(t.TempDir())
	layout := harness.Layout(t, harness.BigImage(t, t.TempDir(), 9, 50_000_000))

	c := harness.NewProgram(t, "crane")
	c.Env = append(c.Env, "SSL_CERT_FILE="+f.CA)
	c.Run(t, "push", layout, f.Host+"/nginx/crane:latest")
	c.Run(t, "validate", "--remote", f.Host+"/nginx/crane:latest")
	c.Run(t, "copy", f.Host+"/nginx/crane:latest", f.Host+"/nginx/mounted:latest")

	r := harness.NewProgram(t, "regctl")
	// else regctl mounts what crane has pushed
	other := harness.Layout(t, harness.BigImage(t, t.TempDir(), 10, 50_000_000))
	ca, err := os.ReadFile(f.CA)
	require.NoError(t, err)
	r.Run(t, "registry", "set", "--cacert", string(ca), "--blob-chunk", "10000000", "--blob-max", "1", f.Host)
	r.Run(t, "image", "copy", "ocidir://"+other+":latest", f.Host+"/nginx/regctl:latest")
	r.Run(t, "image", "copy", f.Host+"/nginx/regctl:latest", "ocidir://"+t.TempDir()+":back")

	o := harness.NewProgram(t, "oras")
	write(t, ".", "hello.txt", "hello")
	o.Run(t, "push", "--ca-file", f.CA, f.Host+"/nginx/oras:latest", "hello.txt")
	o.Run(t, "attach", "--ca-file", f.CA, "--artifact-type", "application/vnd.example.note", f.Host+"/nginx/oras:latest",
		"hello.txt")
	require.Contains(t, o.Run(t, "discover", "--ca-file", f.CA, f.Host+"/nginx/oras:latest"),
		"application/vnd.example.note")

	h := harness.NewProgram(t, "helm")
	h.Run(t, "push", "--ca-file", f.CA, chart(t, h, "hello", "0.1.0", ""), "oci://"+f.Host+"/nginx/charts")
	h.Run(t, "pull", "--ca-file", f.CA, "oci://"+f.Host+"/nginx/charts/hello")

	image := f.Host + "/nginx/crane@" + registry.DigestOf(t, "nginx/crane", "latest")
	s := cosign(t)
	s.Run(t, "sign", "--key", "cosign.key", "--tlog-upload=false", "--use-signing-config=false", "-y",
		"--registry-cacert", f.CA, image)
	s.Run(t, "verify", "--key", "cosign.pub", "--insecure-ignore-tlog", "--private-infrastructure", "--registry-cacert",
		f.CA, image)

	b, err := os.ReadFile(f.Log)
	require.NoError(t, err)
	log := string(b)
	for _, seen := range []string{
		`^PUT /v2/nginx/crane/manifests/latest HTTP/2\.0 201$`,
		`^POST /v2/nginx/mounted/blobs/uploads/\?.*mount=.* 201$`,
		`^PATCH /v2/nginx/regctl/.* 202$`,
	} {
		require.True(t, regexp.MustCompile(`(?m)`+seen).MatchString(log), "no %s in\n%s", seen, log)
	}
}

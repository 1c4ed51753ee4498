package mirror

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/registrykit/registry/internal/e2e/harness"
	"github.com/stretchr/testify/require"
)

// puller is a client of the mirror with its settings.
type puller struct {
	// ref returns what the client is told to pull, for "library/one" and ":v1" or "@DIGEST".
	ref func(repo, end string) string
	// pull pulls it.
	pull func(t *testing.T, ref string)
	// forget removes what the client has pulled.
	forget func(t *testing.T, ref string)
}

// pullers are the clients of CI. Those of the long form are in full_test.go.
var pullers = map[string]func(t *testing.T, p *place) *puller{
	"docker":                   docker,
	"containerd":               containerd("docker.io", `server = "https://docker.io"`, "%s", ``),
	"containerd/override_path": containerd("docker.io", ``, "%s/v2/docker.io", `override_path = true`),
	"containerd/port":          containerd("registry.example:5000", ``, "%s", ``),
	"containerd/default":       containerd("quay.io", ``, "%s", ``),
	"podman":                   podman,
	"buildah":                  buildah,
	"skopeo":                   skopeo,
	"crane":                    crane,
}

// TestClients pulls an image with each client: cold, warm, and with the upstream stopped. The
// upstream gets one GET for the manifest and for each blob, whatever the number of pulls.
func TestClients(t *testing.T) {
	noInternet(t)
	for _, kind := range upstreamKinds() {
		for name, with := range pullers {
			t.Run(string(kind)+"/"+name, func(t *testing.T) { pullStory(t, newPlace(t, kind), with) })
		}
	}
}

func pullStory(t *testing.T, p *place, with func(t *testing.T, p *place) *puller) {
	d := p.push(t, "library/one:v1")
	c := with(t, p)
	tag, pinned := c.ref("library/one", ":v1"), c.ref("library/one", "@"+d.String())
	p.seen.Forget()

	c.pull(t, tag)
	require.Equal(t, 1, p.seen.Count(`^GET /v2/library/one/manifests/`), "%s", p.seen)
	require.Equal(t, blobsOfImage, p.seen.Count(`^GET /v2/library/one/blobs/.* 200$`), "%s", p.seen)
	require.Zero(t, p.seen.Count(`^HEAD .*/blobs/`), "%s", p.seen)
	requests := p.seen.String()

	for _, ref := range []string{tag, pinned} {
		c.forget(t, ref)
		p.seen.Forget()
		c.pull(t, ref)
		require.Zero(t, p.seen.Count(`^GET `), "%s", p.seen)
		require.LessOrEqual(t, p.seen.Count(`^HEAD `), 2, "%s", p.seen)
	}
	warm := p.seen.String()

	p.seen.Stop()
	require.NoError(t, p.upstream.Stop())
	for _, ref := range []string{tag, pinned} {
		c.forget(t, ref)
		c.pull(t, ref)
	}
	t.Logf("cold:\n%s\nwarm, by digest:\n%s", requests, warm)
}

// docker uses registry-mirrors, which docker asks for images of Docker Hub only.
func docker(t *testing.T, p *place) *puller {
	d := harness.Docker(t, "--registry-mirror", p.mirror.URL())
	return &puller{
		ref:    func(repo, end string) string { return strings.TrimPrefix(repo, "library/") + end },
		pull:   func(t *testing.T, ref string) { d.Run(t, "pull", ref) },
		forget: func(t *testing.T, ref string) { _, _, _ = d.Try(t, "rmi", "--force", ref) },
	}
}

// containerd uses hosts.toml in the folder of a registry, or in "_default" for one of them. host is
// the format of the URL of the mirror.
func containerd(registry, top, host, more string) func(t *testing.T, p *place) *puller {
	return func(t *testing.T, p *place) *puller {
		folder := registry
		if registry == "quay.io" {
			folder = "_default"
		}
		dir := t.TempDir()
		write(t, dir, filepath.Join(folder, "hosts.toml"), fmt.Sprintf(`%s
[host.%q]
capabilities = ["pull", "resolve"]
%s
`, top, fmt.Sprintf(host, p.mirror.URL()), more))
		c := harness.Containerd(t)
		return &puller{
			ref: func(repo, end string) string { return registry + "/" + repo + end },
			pull: func(t *testing.T, ref string) {
				c.Run(t, "images", "pull", "--hosts-dir", dir, "--snapshotter", "native", ref)
				c.Run(t, "images", "check", "--snapshotter", "native", "name=="+ref)
			},
			forget: func(t *testing.T, _ string) {
				for _, ref := range strings.Fields(c.Run(t, "images", "ls", "--quiet")) {
					c.Run(t, "images", "rm", "--sync", ref)
				}
			},
		}
	}
}

// registriesConf returns the path of a registries.conf with a mirror of docker.io. more are lines of
// the mirror.
func registriesConf(t *testing.T, p *place, more string) string {
	t.Helper()
	return write(t, t.TempDir(), "registries.conf", fmt.Sprintf(`unqualified-search-registries = ["docker.io"]
[[registry]]
location = "docker.io"
[[registry.mirror]]
location = "%s/docker.io"
insecure = true
%s
`, p.mirror.Addr, more))
}

// withConf makes podman or buildah read a registries.conf instead of that below /etc.
func withConf(c *harness.Program, path string) *harness.Program {
	c.Env = append(c.Env, "CONTAINERS_REGISTRIES_CONF="+path)
	return c
}

func hubRef(repo, end string) string { return "docker.io/" + repo + end }

func podman(t *testing.T, p *place) *puller {
	c := withConf(harness.Podman(t), registriesConf(t, p, ""))
	return &puller{ref: hubRef, pull: func(t *testing.T, ref string) { c.Run(t, "pull", ref) },
		forget: func(t *testing.T, _ string) { _, _, _ = c.Try(t, "rmi", "--all", "--force") }}
}

func buildah(t *testing.T, p *place) *puller {
	dir := harness.ShortDir(t)
	c := harness.NewProgram(t, "buildah", "--root", dir+"/root", "--runroot", dir+"/run", "--storage-driver", "vfs")
	withConf(c, registriesConf(t, p, ""))
	return &puller{ref: hubRef, pull: func(t *testing.T, ref string) { c.Run(t, "pull", ref) },
		forget: func(t *testing.T, _ string) { _, _, _ = c.Try(t, "rmi", "--all", "--force") }}
}

func skopeo(t *testing.T, p *place) *puller {
	c := harness.NewProgram(t, "skopeo", "--registries-conf", registriesConf(t, p, ""))
	return &puller{ref: hubRef, forget: func(*testing.T, string) {}, pull: func(t *testing.T, ref string) {
		c.Run(t, "copy", "docker://"+ref, "dir:"+t.TempDir())
	}}
}

// crane has no setting for mirrors: the name of the image is that in the mirror.
func crane(t *testing.T, p *place) *puller {
	c := harness.NewProgram(t, "crane")
	return &puller{
		ref:    func(repo, end string) string { return p.mirror.Addr + "/docker.io/" + repo + end },
		forget: func(*testing.T, string) {},
		pull: func(t *testing.T, ref string) {
			c.Run(t, "pull", "--format", "oci", ref, t.TempDir())
			c.Run(t, "validate", "--remote", ref)
		},
	}
}

// TestPodmanByDigestOnly and TestPodmanByTagOnly: such a mirror is asked for the one and not for the
// other.
func TestPodmanByDigestOnly(t *testing.T) { podmanOnly(t, "digest-only", "@", ":") }
func TestPodmanByTagOnly(t *testing.T)    { podmanOnly(t, "tag-only", ":", "@") }

func podmanOnly(t *testing.T, only, by, notBy string) {
	noInternet(t)
	p := newPlace(t, harness.Ours)
	ends := map[string]string{":": ":v1", "@": "@" + p.push(t, "library/one:v1").String()}
	c := withConf(harness.Podman(t), registriesConf(t, p, `pull-from-mirror = "`+only+`"`))
	c.Run(t, "pull", hubRef("library/one", ends[by]))
	require.Positive(t, p.seen.Count(`^GET /v2/library/one/blobs/`))
	_, _, _ = c.Try(t, "rmi", "--all", "--force")
	_, stderr, err := c.Try(t, "pull", hubRef("library/one", ends[notBy]))
	require.Error(t, err, "the mirror is not asked, and docker.io cannot be reached")
	require.Contains(t, stderr, "docker.io")
}

// TestPodmanLocation: a registry whose location is the mirror has no other source.
func TestPodmanLocation(t *testing.T) {
	noInternet(t)
	p := newPlace(t, harness.Ours)
	p.push(t, "library/one:v1")
	c := withConf(harness.Podman(t), write(t, t.TempDir(), "registries.conf", fmt.Sprintf(`[[registry]]
prefix = "docker.io"
location = "%s/docker.io"
insecure = true
`, p.mirror.Addr)))
	c.Run(t, "pull", "docker.io/library/one:v1")
	_, stderr, err := c.Try(t, "pull", "docker.io/library/two:v1")
	require.Error(t, err)
	require.NotContains(t, stderr, "127.0.0.1:1", "docker.io itself is not asked")
}

// TestNames: four ways lead to the same image, and names of no upstream lead nowhere.
func TestNames(t *testing.T) {
	p := newPlace(t, harness.Ours)
	d := p.push(t, "library/one:v1")
	p.seen.Forget()
	c := harness.NewClient(p.mirror.URL())
	get := func(want int, path string, header http.Header) *harness.Response {
		r, err := c.Do(t.Context(), want, http.MethodGet, path, header, nil)
		require.NoError(t, err, path)
		return r
	}
	for _, path := range []string{
		"/v2/library/one/manifests/v1", "/v2/one/manifests/v1", "/v2/docker.io/library/one/manifests/v1",
		"/v2/docker.io/one/manifests/v1", "/v2/index.docker.io/library/one/manifests/v1",
		"/v2/library/one/manifests/v1?ns=docker.io", "/v2/one/manifests/v1?ns=docker.io",
		"/v2/library/one/manifests/v1?ns=registry-1.docker.io", "/v2/library/one/manifests/v1?ns=Docker.IO:80",
		"/v2/docker.io/library/one/manifests/v1?ns=docker.io",
		"/v2/library/one/manifests/v1?ns=quay.io", "/v2/quay.io/library/one/manifests/v1",
		"/v2/library/one/manifests/v1?ns=registry.example:5000", "/v2/example/library/one/manifests/v1",
	} {
		r := get(http.StatusOK, path, harness.Accept())
		require.Equal(t, d, digest.FromBytes(r.Body), path)
		if _, ns, found := strings.Cut(path, "?ns="); found {
			require.NotEmpty(t, r.Header.Get("OCI-Namespace"), ns)
		}
	}
	seen := p.seen.String()
	for _, path := range []string{"/v2/library/one/manifests/v1?ns=ghcr.io", "/v2/local/one/manifests/v1",
		"/v2/library/one/manifests/v1?ns=registry.example"} {
		get(http.StatusNotFound, path, nil)
	}
	for _, ns := range []string{"ns=docker.io&ns=docker.io", "ns=docker.io&ns=quay.io", "ns=https://docker.io",
		"ns=docker.io/x", "ns=u@docker.io", "ns=docker.io%20", "ns=" + strings.Repeat("a", 256)} {
		get(http.StatusBadRequest, "/v2/library/one/manifests/v1?"+ns, nil)
	}
	get(http.StatusBadRequest, "/v2/quay.io/library/one/manifests/v1?ns=docker.io", nil)
	require.Equal(t, seen, p.seen.String(), "no request to the upstream")
}

// TestHost: a host name of the mirror means one upstream.
func TestHost(t *testing.T) {
	p := newPlace(t, harness.Ours)
	d := p.push(t, "team/one:v1")
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.mirror.URL()+"/v2/team/one/manifests/v1", nil)
	require.NoError(t, err)
	req.Host, req.Header = "quay.mirror.example", harness.Accept()
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	require.Equal(t, http.StatusOK, res.StatusCode)
	require.Equal(t, d.String(), res.Header.Get("Docker-Content-Digest"))
}

// TestReadOnly: repositories of an upstream cannot be pushed, also not by ns, and others can.
func TestReadOnly(t *testing.T) {
	p := newPlace(t, harness.Ours)
	p.push(t, "library/one:v1")
	c := harness.NewClient(p.mirror.URL())
	for path, want := range map[string]int{
		"/v2/docker.io/library/one/blobs/uploads/":        http.StatusForbidden,
		"/v2/library/one/blobs/uploads/":                  http.StatusForbidden,
		"/v2/library/one/blobs/uploads/?ns=docker.io":     http.StatusBadRequest,
		"/v2/library/one/blobs/uploads/?ns=other.example": http.StatusBadRequest,
		"/v2/local/one/blobs/uploads/":                    http.StatusAccepted,
	} {
		_, err := c.Do(t.Context(), want, http.MethodPost, path, nil, nil)
		require.NoError(t, err)
	}
	image := harness.Layout(t, harness.Image(t, "amd64", "local"))
	crane := harness.NewProgram(t, "crane")
	crane.Run(t, "push", image, p.mirror.Addr+"/local/app:v1")
	crane.Run(t, "validate", "--remote", p.mirror.Addr+"/local/app:v1")
}

package mirror

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/registrykit/registry/internal/e2e/harness"
	"github.com/stretchr/testify/require"
)

var full = flag.Bool("full", false, "run the long form of the tests")

// size returns the size of something in the short form of a test and in the long one.
func size(short, long int) int {
	if *full {
		return long
	}
	return short
}

// place is a mirror in front of an upstream.
type place struct {
	mirror   *harness.Server
	upstream *harness.Server
	seen     *harness.Recorder // in front of the upstream
}

// upstreamKinds are the registries that are mirrored.
func upstreamKinds() []harness.Kind {
	if *full {
		return []harness.Kind{harness.Ours, harness.Peer}
	}
	return []harness.Kind{harness.Ours}
}

// newPlace starts an upstream and a mirror of it. The upstream has several names for the mirror:
// docker.io, quay.io and registry.example:5000. Each pull of a tag asks the upstream.
func newPlace(t *testing.T, kind harness.Kind) *place {
	t.Helper()
	return newPlaceWith(t, kind, harness.Options{})
}

// newPlaceWith is like newPlace, with options of the mirror.
func newPlaceWith(t *testing.T, kind harness.Kind, o harness.Options) *place {
	t.Helper()
	p := &place{upstream: harness.New(t, harness.Options{Kind: kind, Storage: t.TempDir()})}
	p.seen = harness.NewRecorder(t, p.upstream.URL())
	p.mirror = newMirror(t, fmt.Sprintf(`
root: docker.io
local: [local/**]
upstreams:
- {name: docker.io, urls: ["http://%[1]s"], tagTTL: 0s}
- {name: quay.io, urls: ["http://%[1]s"], tagTTL: 0s, hosts: [quay.mirror.example]}
- {name: "registry.example:5000", prefix: example, urls: ["http://%[1]s"], tagTTL: 0s}
`, p.seen.Addr), o)
	return p
}

// newMirror starts examples/mirror with a configuration. o may have a storage, and further flags.
func newMirror(t *testing.T, config string, o harness.Options) *harness.Server {
	t.Helper()
	return harness.New(t, mirrorOptions(t, config, o))
}

// mirrorOptions returns the options of a mirror with a configuration.
func mirrorOptions(t *testing.T, config string, o harness.Options) harness.Options {
	t.Helper()
	if o.Program == "" {
		var err error
		o.Program, err = harness.BuildMirror()
		require.NoError(t, err)
	}
	path := filepath.Join(t.TempDir(), "mirror.yaml")
	require.NoError(t, os.WriteFile(path, []byte(config), 0o600))
	o.Kind, o.Args = harness.Ours, append(o.Args, "-config", path)
	if o.Storage == "" && o.Bucket == nil {
		o.Storage = filepath.Join(t.TempDir(), "data")
	}
	if o.Log == "" {
		o.Log = filepath.Join(t.TempDir(), "log")
	}
	return o
}

// push pushes an image to the upstream and returns its digest. ref is "repository:tag".
func (p *place) push(t *testing.T, ref string) digest.Digest {
	t.Helper()
	img := harness.Image(t, "amd64", t.Name()+ref)
	harness.NewProgram(t, "crane").Run(t, "push", harness.Layout(t, img), p.upstream.Addr+"/"+ref)
	d, err := img.Digest()
	require.NoError(t, err)
	return digest.Digest(d.String())
}

// images are the layers and the configuration of an image of push.
const blobsOfImage = 3

// noInternet makes every request of the programs that a test starts fail, unless it is for a loopback
// address. So a client that leaves the mirror out fails.
func noInternet(t *testing.T) {
	t.Helper()
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"} {
		t.Setenv(name, "http://127.0.0.1:1")
		t.Setenv(strings.ToLower(name), "http://127.0.0.1:1")
	}
	for _, name := range []string{"NO_PROXY", "no_proxy"} {
		t.Setenv(name, "127.0.0.0/8,localhost")
	}
}

// write makes a file and returns its path.
func write(t *testing.T, dir, name, content string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, []byte(content), 0o644))
	return path
}

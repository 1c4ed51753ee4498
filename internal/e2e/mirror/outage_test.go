package mirror

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/registrykit/registry/internal/e2e/harness"
	"github.com/registrykit/registry/internal/upstreamtest"
	"github.com/stretchr/testify/require"
)

// outage is a way in which an upstream fails, and what clients see then. A cell is a status, with
// "stale" for a Warning header and "wait" for Retry-After; "cut" is a body that breaks off.
type outage struct {
	name string
	// fault makes the upstream fail.
	fault func(s *upstreamtest.Server)
	// url, unless nil, is another URL of the upstream with which the mirror starts again.
	url func(t *testing.T) string
	// The cells, for a tag, a manifest by digest and a blob, that are cached, and that are not.
	tag, digest, blob          string
	newTag, newDigest, newBlob string
}

func all(f upstreamtest.Fault) func(*upstreamtest.Server) {
	return func(s *upstreamtest.Server) { s.Break(upstreamtest.Match{}, f) }
}

func outages() []outage {
	stale := func(name string, fault func(*upstreamtest.Server), url func(*testing.T) string, cold string) outage {
		return outage{name, fault, url, "200 stale", "200", "200", cold, cold, cold}
	}
	return []outage{
		{"200, same digest", func(*upstreamtest.Server) {}, nil, "200", "200", "200", "200", "200", "200"},
		{"404", all(upstreamtest.Status(404)), nil, "404", "200", "200", "404", "404", "404"},
		{"410", all(upstreamtest.Status(410)), nil, "404", "200", "200", "404", "404", "404"},
		stale("401", all(upstreamtest.Status(401)), nil, "404"),
		stale("403", all(upstreamtest.Status(403)), nil, "404"),
		stale("429, Retry-After", all(upstreamtest.Status(429, "Retry-After", "30")), nil, "429 wait"),
		stale("500", all(upstreamtest.Status(500)), nil, "503"),
		stale("no response", all(upstreamtest.HangHeader()), nil, "503"),
		stale("connection refused", func(s *upstreamtest.Server) { s.SetDown(true) }, nil, "503"),
		stale("no such host", nil, func(*testing.T) string { return noSuchHost }, "503"),
		stale("TLS failure", nil, foreignTLS, "503"),
		// The upstream still states the right digest of the tag.
		{"wrong bytes", all(upstreamtest.Flip(10)), nil, "200", "200", "200", "502", "502", "502"},
		{"compressed", all(upstreamtest.Gzip()), nil, "200", "200", "200", "502", "502", "502"},
	}
}

// noSuchHost is a URL without a host: a label of a name has at most 63 characters, so no resolver is
// asked.
var noSuchHost = "http://" + strings.Repeat("a", 64) + ".example"

// foreignTLS returns the URL of a server whose certificate nobody trusts.
func foreignTLS(t *testing.T) string {
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.Config.ErrorLog = silent()
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.URL
}

// TestOutages makes the upstream fail in each way, and asks for what is cached and what is not. It
// prints the table of docs/mirror.md.
func TestOutages(t *testing.T) {
	var mu sync.Mutex
	rows := make(map[string]string)
	t.Run("outage", func(t *testing.T) {
		for _, o := range outages() {
			t.Run(o.name, func(t *testing.T) {
				t.Parallel()
				row := o.run(t)
				mu.Lock()
				defer mu.Unlock()
				rows[o.name] = row
			})
		}
	})
	table := "| upstream | cached tag | cached digest | cached blob | other tag | other digest | other blob |\n" +
		"|---|---|---|---|---|---|---|\n"
	for _, o := range outages() {
		table += rows[o.name]
	}
	t.Logf("HEAD and GET:\n%s", table)
}

// run returns the row of the table.
func (o outage) run(t *testing.T) string {
	s := upstreamtest.New(t)
	layer := []byte(strings.Repeat("cached", 1000))
	cached, _ := s.Image("library/cached", "v1", layer)
	other, _ := s.Image("library/other", "v1", []byte(strings.Repeat("other", 1000)))
	config := func(url string) string {
		return "upstreams: [{name: docker.io, urls: ['" + url + "'], tagTTL: 0s, negativeTTL: 0s, timeout: 1s, idle: 2s}]"
	}
	options := mirrorOptions(t, config(s.URL), harness.Options{})
	mirror := harness.New(t, options)
	for _, path := range []string{"manifests/v1", "blobs/" + digest.FromBytes(layer).String()} {
		require.Equal(t, "200", cell(t, mirror, http.MethodGet, "cached/"+path))
	}
	if o.fault != nil {
		o.fault(s)
	}
	if o.url != nil {
		require.NoError(t, mirror.Stop())
		mirror = newMirror(t, config(o.url(t)), harness.Options{Storage: options.Storage})
	}
	row, wants := "| "+o.name, []string{o.digest, o.blob, o.tag, o.newDigest, o.newBlob, o.newTag}
	var cells []string
	for i, path := range []string{
		"cached/manifests/" + cached.Digest.String(), "cached/blobs/" + digest.FromBytes(layer).String(),
		"cached/manifests/v1", "other/manifests/" + other.Digest.String(),
		"other/blobs/" + digest.FromString(strings.Repeat("other", 1000)).String(), "other/manifests/v1",
	} {
		head, get := cell(t, mirror, http.MethodHead, path), cell(t, mirror, http.MethodGet, path)
		both := get
		if head != get {
			both = head + ", " + get
		}
		cells = append(cells, both)
		// A wrong blob may also be cut off, when its first bytes are sent before the last ones arrive. The
		// upstream states its size right.
		ok := both == wants[i] || wants[i] == "502" && strings.Contains(path, "/blobs/") && strings.HasSuffix(both, "cut") ||
			wants[i] == "502" && head == "200" && get == "502"
		if !ok {
			t.Errorf("%s: HEAD %s, GET %s instead of %s", path, head, get, wants[i])
		}
	}
	for _, i := range []int{2, 0, 1, 5, 3, 4} {
		row += " | " + cells[i]
	}
	return row + " |\n"
}

// cell asks for something of Docker Hub and returns what the client sees.
func cell(t *testing.T, mirror *harness.Server, method, path string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	res, err := harness.NewClient(mirror.URL()).Send(ctx, method, "/v2/docker.io/library/"+path, harness.Accept(), nil, 0)
	require.NoError(t, err)
	defer res.Body.Close()
	seen := fmt.Sprint(res.StatusCode)
	if res.Header.Get("Warning") != "" {
		seen += " stale"
	}
	if res.Header.Get("Retry-After") != "" && res.StatusCode == http.StatusTooManyRequests {
		seen += " wait"
	}
	require.Empty(t, res.Header.Get("WWW-Authenticate"), "the challenge of the upstream")
	hash := sha256.New()
	if _, err := io.Copy(hash, res.Body); err != nil {
		return seen + " cut"
	}
	if d := res.Header.Get("Docker-Content-Digest"); method == http.MethodGet && res.StatusCode == http.StatusOK {
		require.Equal(t, d, fmt.Sprintf("sha256:%x", hash.Sum(nil)), "a body that ends is right")
	}
	return seen
}

// TestStartOffline: a mirror starts without its upstream, and -offline contacts none.
func TestStartOffline(t *testing.T) {
	s := upstreamtest.New(t)
	d, _ := s.Image("library/cached", "v1", []byte("layer"))
	config := "upstreams: [{name: docker.io, urls: ['" + s.URL + "'], tagTTL: 0s}]"
	options := mirrorOptions(t, config, harness.Options{})
	mirror := harness.New(t, options)
	require.Equal(t, "200", cell(t, mirror, http.MethodGet, "cached/manifests/v1"))
	require.NoError(t, mirror.Stop())
	s.Forget()
	mirror = newMirror(t, config, harness.Options{Storage: options.Storage, Args: []string{"-offline"}})
	require.Equal(t, "200 stale", cell(t, mirror, http.MethodGet, "cached/manifests/v1"))
	require.Equal(t, "200", cell(t, mirror, http.MethodGet, "cached/manifests/"+d.Digest.String()))
	require.Equal(t, "404", cell(t, mirror, http.MethodGet, "other/manifests/v1"))
	require.Zero(t, s.Connections())
	require.NoError(t, mirror.Stop())
	s.SetDown(true)
	mirror = newMirror(t, config, harness.Options{Storage: options.Storage})
	require.Equal(t, "200 stale", cell(t, mirror, http.MethodGet, "cached/manifests/v1"))
}

// TestAirGap carries an image in a folder to a network without its upstream, as docs/mirror.md says.
func TestAirGap(t *testing.T) {
	p := newPlace(t, harness.Ours)
	d := p.push(t, "library/one:v1")
	program, err := harness.BuildCopy()
	require.NoError(t, err)
	dir := filepath.Join(t.TempDir(), "carry")
	out, err := exec.CommandContext(t.Context(), program, "-referrers", p.mirror.URL()+"/docker.io/library/one:v1",
		"dir:"+dir+"//docker.io/library/one:v1").CombinedOutput()
	require.NoError(t, err, "%s", out)
	there := newMirror(t, "root: docker.io\nupstreams: [{name: docker.io, urls: ['http://127.0.0.1:1']}]",
		harness.Options{Storage: dir, Args: []string{"-offline"}})
	for _, path := range []string{"docker.io/library/one:v1", "one@" + d.String()} {
		harness.NewProgram(t, "crane").Run(t, "pull", there.Addr+"/"+path, filepath.Join(t.TempDir(), "image.tar"))
	}
}

// TestResume: a connection that breaks is continued by Range, at the next URL too, and a blob that
// cannot be completed breaks off.
func TestResume(t *testing.T) {
	a, b := upstreamtest.New(t), upstreamtest.New(t)
	layer := harness.RandomBytes(1, 20<<20)
	d := digest.FromBytes(layer)
	for _, s := range []*upstreamtest.Server{a, b} {
		s.Image("library/big", "v1", layer)
	}
	mirror := newMirror(t, "upstreams: [{name: docker.io, urls: ['"+a.URL+"', '"+b.URL+"'], idle: 2s, timeout: 2s}]",
		harness.Options{})
	blobs := upstreamtest.Match{Method: "GET", Kind: upstreamtest.Blob}
	a.Break(blobs, upstreamtest.Cut(7<<20)) // each time after 7 MiB
	require.Equal(t, "200", cell(t, mirror, http.MethodGet, "big/blobs/"+d.String()))
	t.Logf("%d GET of the blob at the first URL, %d at the second", a.Count("GET", upstreamtest.Blob),
		b.Count("GET", upstreamtest.Blob))
	for _, r := range append(a.Requests(), b.Requests()...) {
		t.Log(r.Method, r.Kind, r.Ref, r.Header.Get("Range"))
	}

	other := harness.RandomBytes(2, 20<<20)
	for _, s := range []*upstreamtest.Server{a, b} {
		s.Image("library/cut", "v1", other)
		s.Break(blobs, upstreamtest.Cut(0))
	}
	require.Contains(t, []string{"200 cut", "503", "502"}, cell(t, mirror, http.MethodGet, "cut/blobs/"+
		digest.FromBytes(other).String()))
}

// TestLoop: two mirrors that name each other do not ask for ever. The one that sees a request again
// answers 508, and the client gets an error.
func TestLoop(t *testing.T) {
	first := mirrorOptions(t, "", harness.Options{})
	addr, err := harness.FreeAddr()
	require.NoError(t, err)
	seen := harness.NewRecorder(t, "http://"+addr)
	second := newMirror(t, "upstreams: [{name: a.example, urls: ['http://"+seen.Addr+"']}]", harness.Options{})
	first.Addr = addr
	write(t, "/", first.Args[1], "upstreams: [{name: a.example, urls: ['"+second.URL()+"']}]")
	harness.New(t, first)
	r, err := harness.NewClient(second.URL()).Do(t.Context(), http.StatusOK, http.MethodGet,
		"/v2/a.example/a.example/a.example/a.example/a.example/x/manifests/v1", nil, nil)
	require.Error(t, err)
	require.Contains(t, []int{http.StatusNotFound, http.StatusServiceUnavailable, http.StatusLoopDetected}, r.Status)
	require.Len(t, strings.Split(seen.String(), "\n"), 1, "%s", seen)
}

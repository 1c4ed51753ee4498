package mirror_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/upstreamtest"
	"github.com/registrykit/registry/mirror"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/memory"
)

// outage is a row of the table of outages: what an upstream does, and the answers of the mirror by
// tag. By digest, cached content is always served, and content that is not cached is answered as a
// tag that is not cached.
type outage struct {
	name             string
	fault            upstreamtest.Fault // nil: the connection fails
	fail             connection         // how the connection fails
	cached, uncached int                // status
	warn             bool               // the answer from the cache has a warning
	retryAfter       bool               // the answer without a cache says when to try again
	change           func(u *mirror.Upstream)
}

func outages() []outage {
	keep := func(u *mirror.Upstream) { u.KeepDeleted = true }
	return []outage{
		{name: "200", fault: func(*upstreamtest.Reply) {}, cached: 200, uncached: 200},
		{name: "404", fault: upstreamtest.Status(404), cached: 404, uncached: 404},
		{name: "410", fault: upstreamtest.Status(410), cached: 404, uncached: 404},
		{name: "404, KeepDeleted", fault: upstreamtest.Status(404), cached: 200, uncached: 404, warn: true, change: keep},
		{name: "401", fault: upstreamtest.Status(401, "Www-Authenticate", `Basic realm="up"`), cached: 200, uncached: 404,
			warn: true},
		{name: "403", fault: upstreamtest.Status(403), cached: 200, uncached: 404, warn: true},
		{name: "429", fault: upstreamtest.Status(429, "Retry-After", "77"), cached: 200, uncached: 429, warn: true,
			retryAfter: true},
		{name: "500", fault: upstreamtest.Status(500), cached: 200, uncached: 503, warn: true, retryAfter: true},
		{name: "503", fault: upstreamtest.Status(503), cached: 200, uncached: 503, warn: true, retryAfter: true},
		{name: "silence", fault: upstreamtest.HangHeader(), cached: 200, uncached: 503, warn: true, retryAfter: true,
			change: func(u *mirror.Upstream) { u.Timeout = 200 * time.Millisecond }},
		{name: "no connection", fail: refused, cached: 200, uncached: 503, warn: true, retryAfter: true},
		{name: "no TLS", fail: plain, cached: 200, uncached: 503, warn: true, retryAfter: true},
		{name: "no address", fail: nameless, cached: 200, uncached: 503, warn: true, retryAfter: true},
	}
}

// connection is a way in which connections fail.
type connection int

const (
	works    connection = iota
	refused             // nobody listens
	plain               // the server does not speak TLS
	nameless            // the name has no address
)

// breaking is a transport whose connections fail in some way.
type breaking struct{ fails atomic.Int64 }

func (b *breaking) RoundTrip(req *http.Request) (*http.Response, error) {
	tr := http.DefaultTransport.(*http.Transport).Clone()
	defer tr.CloseIdleConnections()
	req = req.Clone(req.Context())
	switch connection(b.fails.Load()) {
	case refused:
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		_ = l.Close()
		req.URL.Host = l.Addr().String()
	case plain:
		req.URL.Scheme = "https"
	case nameless:
		tr.DialContext = func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.DNSError{Err: "no such host", Name: "up.example", IsNotFound: true}
		}
	}
	return tr.RoundTrip(req)
}

// TestOutages asks for content, cached and not, by HEAD and GET, by tag and digest, as the TTL of
// tags is over, while the upstream fails in each way.
func TestOutages(t *testing.T) {
	table := []string{fmt.Sprintf("%-18s %-7s %-7s %-16s %s", "upstream", "cached", "method", "reference", "answer")}
	for _, row := range outages() {
		t.Run(row.name, func(t *testing.T) {
			for _, cached := range []bool{true, false} {
				for _, method := range []string{"HEAD", "GET"} {
					for _, what := range []string{"manifest, tag", "manifest, digest", "blob"} {
						got := row.ask(t, cached, method, what)
						table = append(table, fmt.Sprintf("%-18s %-7v %-7s %-16s %s", row.name, cached, method, what, got))
					}
				}
			}
		})
	}
	t.Log("\n" + strings.Join(table, "\n"))
}

// ask checks one answer, and returns it for the table.
func (row *outage) ask(t *testing.T, cached bool, method, what string) string {
	t.Helper()
	connections := &breaking{}
	r := newRig(t, func(u *mirror.Upstream, _ *mirror.Options) {
		u.TagTTL, u.Transport = -1, connections
		if row.change != nil {
			row.change(u)
		}
	})
	url := r.serve(nil)
	desc, man := r.image("v1")
	if cached {
		_, err := r.pull(t.Context(), repo, "v1")
		require.NoError(t, err)
	}
	connections.fails.Store(int64(row.fail))
	if row.fault != nil {
		r.up.Break(upstreamtest.Match{}, row.fault)
	}
	r.up.Forget()
	path := "/v2/" + repo + "/" + pathOf(what, desc, man)
	res, body := do(t, method, url+path)
	byTag := strings.Contains(what, "tag")
	want, warn := row.uncached, false
	switch {
	case cached && byTag:
		want, warn = row.cached, row.warn
	case cached:
		want = http.StatusOK
	}
	require.Equal(t, want, res.StatusCode, "%v %s %s: %s", cached, method, what, body)
	require.Equal(t, warn, res.Header.Get("Warning") != "", "%v %s %s", cached, method, what)
	require.Empty(t, res.Header.Get("WWW-Authenticate"), "the challenge of the upstream must not be passed on")
	if want == http.StatusOK {
		require.Equal(t, digestIn(what, desc, man), res.Header.Get("Docker-Content-Digest"))
		if method == "GET" {
			require.Equal(t, digestIn(what, desc, man), string(digest.FromString(body)))
		}
	} else if !cached {
		require.Equal(t, row.retryAfter, res.Header.Get("Retry-After") != "")
	}
	if cached && !byTag {
		require.Zero(t, r.up.Count("", ""), "cached content by digest costs no request")
	}
	if row.name == "429" && !cached {
		require.Equal(t, "77", res.Header.Get("Retry-After"))
		n := r.up.Count("", "")
		for range 5 {
			do(t, method, url+path)
		}
		require.Equal(t, n, r.up.Count("", ""), "no request before Retry-After")
	}
	return strings.TrimSpace(fmt.Sprint(res.StatusCode, " ", res.Header.Get("Warning")))
}

func pathOf(what string, desc ocispec.Descriptor, man ocispec.Manifest) string {
	switch what {
	case "manifest, tag":
		return "manifests/v1"
	case "manifest, digest":
		return "manifests/" + string(desc.Digest)
	}
	return "blobs/" + digestIn(what, desc, man)
}

func digestIn(what string, desc ocispec.Descriptor, man ocispec.Manifest) string {
	if what == "blob" {
		return string(man.Layers[1].Digest)
	}
	return string(desc.Digest)
}

// TestWrongContentIsNeverServed: an upstream that sends other bytes than it should is answered with
// 502, or with what the store has.
func TestWrongContentIsNeverServed(t *testing.T) {
	for name, fault := range map[string]upstreamtest.Fault{
		"flipped": upstreamtest.Flip(10), "long": upstreamtest.Long(10), "other": upstreamtest.Replace([]byte("{}")),
		"encoded": upstreamtest.Gzip(), "mislabelled": upstreamtest.Header("Content-Type", ocispec.MediaTypeImageIndex),
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, func(u *mirror.Upstream, _ *mirror.Options) { u.TagTTL = -1 })
			url := r.serve(nil)
			first, _ := r.image("v1")
			_, err := r.pull(t.Context(), repo, "v1")
			require.NoError(t, err)

			r.up.Break(upstreamtest.Match{Method: "GET", Kind: upstreamtest.Manifest}, fault)
			second, _ := r.image("v2")
			for _, ref := range []string{"v2", string(second.Digest)} {
				res, body := do(t, "GET", url+"/v2/"+repo+"/manifests/"+ref)
				require.Equal(t, http.StatusBadGateway, res.StatusCode, body)
			}
			r.up.Tag("a/app", "v1", second.Digest)
			res, _ := do(t, "GET", url+"/v2/"+repo+"/manifests/v1")
			require.Equal(t, http.StatusOK, res.StatusCode)
			require.Equal(t, string(first.Digest), res.Header.Get("Docker-Content-Digest"))
			require.NotEmpty(t, res.Header.Get("Warning"))
			_, err = r.store.StatManifest(t.Context(), repo, byDigest(second.Digest), nil)
			require.ErrorIs(t, err, registry.ErrManifestUnknown)
		})
	}
}

// TestStaleAnswersAreRepeatedShortly: while the upstream fails, not each client makes it fail again,
// and once it works, the tag is confirmed soon.
func TestStaleAnswersAreRepeatedShortly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRigInMemory(t, nil)
		r.image("v1")
		_, err := r.pull(t.Context(), repo, "v1")
		require.NoError(t, err)
		time.Sleep(mirror.DefaultTagTTL)
		second, _ := r.image("v1")
		repair := r.up.Break(upstreamtest.Match{}, upstreamtest.Status(500))
		r.up.Forget()
		for range 100 {
			_, err := r.pull(t.Context(), repo, "v1")
			require.NoError(t, err)
		}
		require.Less(t, r.up.Count("", ""), 3)
		require.EqualValues(t, 100, r.m.Stats().Stale)
		repair()
		time.Sleep(2 * time.Minute)
		got, err := r.pull(t.Context(), repo, "v1")
		require.NoError(t, err)
		require.Equal(t, second.Digest, got.Digest)
		require.EqualValues(t, 100, r.m.Stats().Stale)
	})
}

// TestDeletedGrace: a tag that is gone is served for a while, and forgotten then.
func TestDeletedGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRigInMemory(t, func(u *mirror.Upstream, _ *mirror.Options) { u.DeletedGrace = time.Hour })
		desc, _ := r.image("v1")
		_, err := r.pull(t.Context(), repo, "v1")
		require.NoError(t, err)
		r.up.Delete("a/app", "v1")
		for range 6 { // found missing after ten minutes
			time.Sleep(mirror.DefaultTagTTL)
			_, err = r.m.GetManifest(t.Context(), repo, byTag("v1"))
			require.NoError(t, err)
		}
		time.Sleep(11 * time.Minute)
		_, err = r.m.GetManifest(t.Context(), repo, byTag("v1"))
		require.ErrorIs(t, err, registry.ErrManifestUnknown)
		_, err = r.store.StatManifest(t.Context(), repo, byTag("v1"), nil)
		require.ErrorIs(t, err, registry.ErrManifestUnknown)
		require.NoError(t, r.pullDigest(t.Context(), repo, desc.Digest), "by digest it is there")
	})
}

// TestOffline: the mirror serves what it has, whatever the TTL, and asks nobody.
func TestOffline(t *testing.T) {
	d := memory.New(nil)
	store, err := storage.New(t.Context(), d, nil)
	require.NoError(t, err)
	r := &rig{t: t, up: upstreamtest.New(t), store: store}
	r.restart(d, nil)
	desc, _ := r.image("v1")
	other, man := r.image("v2")
	_, err = r.pull(t.Context(), repo, "v1")
	require.NoError(t, err)

	r.restart(d, func(u *mirror.Upstream, o *mirror.Options) { u.TagTTL, o.Offline = -1, true })
	r.up.Forget()
	for range 3 {
		got, err := r.pull(t.Context(), repo, "v1")
		require.NoError(t, err)
		require.Equal(t, desc.Digest, got.Digest)
	}
	_, err = r.m.GetManifest(t.Context(), repo, byTag("v2"))
	require.ErrorIs(t, err, registry.ErrManifestUnknown)
	_, err = r.m.GetManifest(t.Context(), repo, byDigest(other.Digest))
	require.ErrorIs(t, err, registry.ErrManifestUnknown)
	_, err = r.m.OpenBlob(t.Context(), repo, man.Layers[0].Digest, nil)
	require.ErrorIs(t, err, registry.ErrBlobUnknown)
	for tag, err := range r.m.Tags(t.Context(), repo, nil) {
		require.NoError(t, err)
		require.Equal(t, "v1", tag)
	}
	require.Zero(t, r.up.Connections())
	require.Zero(t, r.up.Count("", ""))
}

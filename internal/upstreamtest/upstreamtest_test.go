package upstreamtest_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/client"
	"github.com/registrykit/registry/internal/upstreamtest"
	"github.com/registrykit/registry/reference"
)

// get sends a GET and returns the response with its body. headers are pairs.
func get(t *testing.T, url string, headers ...string) (*http.Response, string, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultTransport.(*http.Transport).Clone().RoundTrip(req)
	require.NoError(t, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return res, string(b), err
}

// TestClientReads: the client of this module reads everything from a server without faults.
func TestClientReads(t *testing.T) {
	s := upstreamtest.New(t)
	desc, image := s.Image("a/b", "1", []byte("layer"))
	s.Tag("a/b", "2", desc.Digest)
	index := s.Index("a/b", "all", desc)
	referrer := s.Referrer("a/b", desc, "application/x")
	c, err := client.New(s.URL, nil)
	require.NoError(t, err)
	got, err := c.StatManifest(t.Context(), "a/b", reference.Ref{Tag: "all"}, nil)
	require.NoError(t, err)
	require.Equal(t, index, got)
	m, err := c.GetManifest(t.Context(), "a/b", reference.Ref{Digest: desc.Digest})
	require.NoError(t, err)
	require.Equal(t, desc, m.Descriptor)
	b, err := c.OpenBlob(t.Context(), "a/b", image.Layers[0].Digest, nil)
	require.NoError(t, err)
	content, err := io.ReadAll(b.Body)
	require.NoError(t, err)
	require.Equal(t, "layer", string(content))
	var tags []string
	for tag, err := range c.Tags(t.Context(), "a/b", nil) {
		require.NoError(t, err)
		tags = append(tags, tag)
	}
	require.Equal(t, []string{"1", "2", "all"}, tags)
	for r, err := range c.Referrers(t.Context(), "a/b", desc.Digest, nil) {
		require.NoError(t, err)
		require.Equal(t, referrer.Digest, r.Digest)
		require.Equal(t, "application/x", r.ArtifactType)
	}
	require.Equal(t, 1, s.Count("GET", upstreamtest.Blob))
	require.Equal(t, 1, s.Count("GET", upstreamtest.Referrers))
}

func TestFaults(t *testing.T) {
	s := upstreamtest.New(t)
	d := s.Blob("r", []byte("0123456789")).Digest
	blob := s.URL + "/v2/r/blobs/" + d.String()
	other := upstreamtest.Match{Kind: upstreamtest.Blob}

	res, body, err := get(t, blob, "Range", "bytes=4-", "If-Range", `"`+d.String()+`"`)
	require.NoError(t, err)
	require.Equal(t, "456789", body)
	require.Equal(t, "bytes 4-9/10", res.Header.Get("Content-Range"))
	res, _, _ = get(t, blob, "Range", "bytes=10-")
	require.Equal(t, 416, res.StatusCode)
	_, body, _ = get(t, blob, "Range", "bytes=4-", "If-Range", `"x"`)
	require.Equal(t, "0123456789", body)

	for name, test := range map[string]struct {
		fault upstreamtest.Fault
		want  string
		fails bool
	}{
		"flip":     {fault: upstreamtest.Flip(0), want: "e123456789"},
		"short":    {fault: upstreamtest.Short(3), want: "0123456"},
		"long":     {fault: upstreamtest.Long(1), want: "0123456789\x00"},
		"cut":      {fault: upstreamtest.Cut(4), want: "0123", fails: true},
		"cut all":  {fault: upstreamtest.Cut(0), fails: true},
		"noRanges": {fault: upstreamtest.NoRanges(), want: "0123456789"},
		"noLength": {fault: upstreamtest.NoLength(), want: "0123456789"},
		"slow":     {fault: upstreamtest.Slow(3, time.Millisecond), want: "0123456789"},
	} {
		repair := s.Break(other, test.fault)
		_, body, err := get(t, blob, "Range", "bytes=0-")
		require.Equal(t, test.fails, err != nil, "%s: %v", name, err)
		require.Equal(t, test.want, body, name)
		repair()
	}
	s.Break(upstreamtest.Match{Skip: 1, Times: 1}, upstreamtest.Status(429, "Retry-After", "7"))
	for _, want := range []int{200, 429, 200} {
		res, _, _ := get(t, blob)
		require.Equal(t, want, res.StatusCode)
		require.Equal(t, want == 429, res.Header.Get("Retry-After") == "7")
	}
	s.Break(other, upstreamtest.Redirect("/storage/DIGEST"))
	res, _, _ = get(t, blob)
	require.Equal(t, "/storage/"+d.String(), res.Header.Get("Location"))
	_, body, _ = get(t, s.URL+"/storage/"+d.String())
	require.Equal(t, "0123456789", body)
}

func TestDown(t *testing.T) {
	s := upstreamtest.New(t)
	s.SetDown(true)
	_, err := http.Get(s.URL + "/v2/")
	require.Error(t, err)
	require.Zero(t, s.Connections())
	s.SetDown(false)
	res, err := http.Get(s.URL + "/v2/")
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, 1, s.Connections())
}

func TestTLS(t *testing.T) {
	s := upstreamtest.NewTLS(t)
	res, err := s.Client().Get(s.URL + "/v2/")
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, 2, res.ProtoMajor)
}

// TestInMemory: hangs take no time in a bubble.
func TestInMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := upstreamtest.NewInMemory(t, "upstream.test:5000")
		tr := upstreamtest.Transport(t, s)
		s.Break(upstreamtest.Match{Times: 1}, upstreamtest.HangHeader())
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		req, _ := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/v2/", nil)
		_, err := tr.RoundTrip(req)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, time.Minute, time.Since(start))
		req, _ = http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/v2/", nil)
		res, err := tr.RoundTrip(req)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		req, _ = http.NewRequestWithContext(t.Context(), http.MethodGet, "http://elsewhere.test/", nil)
		_, err = tr.RoundTrip(req)
		require.ErrorContains(t, err, "refused")
	})
}

func Example() {
	// In a test, t is its *testing.T.
	var t testing.TB = new(testing.B)
	s := upstreamtest.New(t)
	desc := s.Blob("library/alpine", []byte("layer"))
	s.Break(upstreamtest.Match{Kind: upstreamtest.Blob, Times: 1}, upstreamtest.Status(503))
	for range 2 {
		res, err := http.Get(s.URL + "/v2/library/alpine/blobs/" + desc.Digest.String())
		if err != nil {
			fmt.Println(err)
			return
		}
		_ = res.Body.Close()
		fmt.Println(res.StatusCode)
	}
	// Output:
	// 503
	// 200
}

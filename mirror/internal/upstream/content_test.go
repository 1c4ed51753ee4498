package upstream_test

import (
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/upstreamtest"
	"github.com/registrykit/registry/mirror/internal/upstream"
	"github.com/registrykit/registry/reference"
)

func TestReads(t *testing.T) {
	s := upstreamtest.New(t)
	u := newUpstream(t, nil, s)
	ctx := t.Context()
	layer := content(100_000, 1)
	desc, image := s.Image("a/b", "1", layer)

	got, err := u.StatManifest(ctx, "a/b", reference.Ref{Tag: "1"})
	require.NoError(t, err)
	require.Equal(t, desc, got)
	m, err := u.GetManifest(ctx, "a/b", reference.Ref{Digest: desc.Digest})
	require.NoError(t, err)
	require.Equal(t, desc, m.Descriptor)
	blob, err := u.StatBlob(ctx, "a/b", image.Layers[0].Digest)
	require.NoError(t, err)
	require.Equal(t, int64(len(layer)), blob.Size)
	res, b, err := fetch(ctx, u, "a/b", image.Layers[0].Digest, 0, "")
	require.NoError(t, err)
	same(t, layer, b)
	require.Equal(t, s.URL, res.URL)
	require.Equal(t, int64(len(layer)), res.Size)
	require.Equal(t, `"`+image.Layers[0].Digest.String()+`"`, res.ETag)

	for _, r := range s.Requests() {
		require.Equal(t, []string{"1.1 mirror"}, r.Header.Values("Via"))
		require.Equal(t, "identity", r.Header.Get("Accept-Encoding"))
	}
	stats := u.Stats()
	require.Equal(t, map[string]int64{"HEAD manifest": 1, "GET manifest": 1, "HEAD blob": 1, "GET blob": 1},
		stats.Requests)
	require.Empty(t, stats.Errors)
	require.Equal(t, int64(len(layer)), stats.Bytes)
	require.Equal(t, int64(-1), stats.Limit)
	require.False(t, stats.Down)
}

// TestThrough: the Via of a request goes on with the requests that it causes.
func TestThrough(t *testing.T) {
	s := upstreamtest.New(t)
	u := newUpstream(t, nil, s).Through("1.1 other, 1.0 proxy")
	s.Image("a", "1")
	require.NoError(t, stat(t.Context(), u, "a", "1"))
	require.Equal(t, "1.1 other, 1.0 proxy, 1.1 mirror", s.Requests()[0].Header.Get("Via"))
}

// TestWrongManifest: a manifest that is not what was asked for comes from the next URL, and the
// first one is not asked for it again.
func TestWrongManifest(t *testing.T) {
	text := []byte(`{"schemaVersion":2}`)
	for name, fault := range map[string]upstreamtest.Fault{
		"flipped":     upstreamtest.Flip(40),
		"short":       upstreamtest.Short(1),
		"long":        upstreamtest.Long(1),
		"compressed":  upstreamtest.Gzip(),
		"mislabelled": upstreamtest.Header("Content-Type", ocispec.MediaTypeImageIndex),
		"other":       upstreamtest.Replace(text),
		"huge":        upstreamtest.Replace(make([]byte, 5<<20)),
	} {
		t.Run(name, func(t *testing.T) {
			bad, good := upstreamtest.New(t), upstreamtest.New(t)
			u := newUpstream(t, nil, bad, good)
			desc, _ := bad.Image("r", "1", []byte("layer"))
			good.Image("r", "1", []byte("layer"))
			bad.Break(manifests, fault)
			ref := reference.Ref{Digest: desc.Digest}
			for range 3 {
				m, err := u.GetManifest(t.Context(), "r", ref)
				require.NoError(t, err)
				require.Equal(t, desc, m.Descriptor)
			}
			require.Equal(t, 1, bad.Count("GET", upstreamtest.Manifest))
			require.Equal(t, 3, good.Count("GET", upstreamtest.Manifest))
			require.Equal(t, map[string]int64{"digest": 1}, u.Stats().Errors)
			require.False(t, u.Stats().Down)

			only := newUpstream(t, nil, bad)
			for range 2 {
				_, err := only.GetManifest(t.Context(), "r", ref)
				require.ErrorIs(t, err, upstream.ErrContent)
			}
			require.Equal(t, 2, bad.Count("GET", upstreamtest.Manifest), "one for each Upstream")
		})
	}
}

// TestManifestOfTagIsChecked: without a digest in the question, the header counts.
func TestManifestOfTagIsChecked(t *testing.T) {
	s := upstreamtest.New(t)
	u := newUpstream(t, nil, s)
	s.Image("r", "1")
	s.Break(manifests, upstreamtest.Flip(40))
	_, err := u.GetManifest(t.Context(), "r", reference.Ref{Tag: "1"})
	require.ErrorIs(t, err, upstream.ErrContent)
}

// TestNoHead: an upstream that does not answer HEAD requests is asked by GET.
func TestNoHead(t *testing.T) {
	s := upstreamtest.New(t)
	u := newUpstream(t, nil, s)
	desc, _ := s.Image("r", "1")
	s.Break(upstreamtest.Match{Method: "HEAD"}, upstreamtest.Status(405))
	got, err := u.StatManifest(t.Context(), "r", reference.Ref{Tag: "1"})
	require.NoError(t, err)
	require.Equal(t, desc, got)
}

func TestTags(t *testing.T) {
	for name, fault := range map[string]upstreamtest.Fault{
		"relative link": func(*upstreamtest.Reply) {},
		"absolute link": upstreamtest.AbsoluteLink(),
		"no pages":      upstreamtest.Unpaged(),
	} {
		t.Run(name, func(t *testing.T) {
			s := upstreamtest.New(t)
			u := newUpstream(t, nil, s)
			want := []string{"1", "2", "3", "4", "5", "6", "7"}
			for _, tag := range want {
				s.Image("r", tag)
			}
			s.Break(upstreamtest.Match{Kind: upstreamtest.Tags}, fault)
			var got []string
			for after, more := "", true; more; {
				var page []string
				var err error
				page, more, err = u.Tags(t.Context(), "r", after, 3)
				require.NoError(t, err)
				require.LessOrEqual(t, len(page), 3)
				require.LessOrEqual(t, len(got), len(want))
				got = append(got, page...)
				after = got[len(got)-1]
			}
			require.Equal(t, want, got)
			require.Equal(t, 3, s.Count("GET", upstreamtest.Tags))
		})
	}
}

// TestTagsInAnyOrder: some registries list tags as they were pushed, and name the next page by a
// token. Some pages are empty.
func TestTagsInAnyOrder(t *testing.T) {
	s := upstreamtest.New(t)
	u := newUpstream(t, nil, s)
	s.Image("r", "1")
	type page struct{ tags, next string }
	pages := map[string]page{"": {`["v10","v9"]`, "x"}, "x": {`[]`, "y"}, "y": {`["latest","a"]`, "z"}, "z": {`null`, ""}}
	s.Break(upstreamtest.Match{Kind: upstreamtest.Tags}, func(r *upstreamtest.Reply) {
		p := pages[r.Request.URL.Query().Get("token")]
		r.Content = []byte(`{"name":"r","tags":` + p.tags + `}`)
		if p.next != "" {
			r.Header.Set("Link", `</v2/r/tags/list?token=`+p.next+`>; rel="next"`)
		}
	})
	var got []string
	for after, more := "", true; more; {
		var page []string
		var err error
		page, more, err = u.Tags(t.Context(), "r", after, 10)
		require.NoError(t, err)
		if got = append(got, page...); more {
			after = got[len(got)-1]
		}
	}
	require.Equal(t, []string{"v10", "v9", "latest", "a"}, got)

	s.Break(upstreamtest.Match{Kind: upstreamtest.Tags}, upstreamtest.Replace([]byte(`{"tags":["c","a","b","d"]}`)))
	tags, more, err := u.Tags(t.Context(), "r", "a", 1)
	require.NoError(t, err)
	require.True(t, more)
	require.Equal(t, []string{"b"}, tags)
	s.Break(upstreamtest.Match{Kind: upstreamtest.Tags},
		upstreamtest.Header("Link", `<http://example.com/v2/r/tags/list>; rel="next"`))
	_, _, err = u.Tags(t.Context(), "r", "", 1)
	require.ErrorIs(t, err, upstream.ErrContent)
	s.Repair()
	_, _, err = u.Tags(t.Context(), "none", "", 10)
	require.ErrorIs(t, err, registry.ErrNameUnknown)
}

func TestReferrers(t *testing.T) {
	s := upstreamtest.New(t)
	u := newUpstream(t, nil, s)
	desc, _ := s.Image("r", "1")
	want := s.Referrer("r", desc, "application/sig")
	got, err := u.Referrers(t.Context(), "r", desc.Digest)
	require.NoError(t, err)
	require.Len(t, got, 1)
	require.Equal(t, want.Digest, got[0].Digest)

	// Without the API, the list is under a tag.
	s.Break(upstreamtest.Match{Kind: upstreamtest.Referrers}, upstreamtest.Status(404))
	got, err = u.Referrers(t.Context(), "r", desc.Digest)
	require.NoError(t, err)
	require.Empty(t, got)
	want.ArtifactType = "application/sig"
	s.Index("r", "sha256-"+desc.Digest.Encoded(), want)
	got, err = u.Referrers(t.Context(), "r", desc.Digest)
	require.NoError(t, err)
	require.Equal(t, []ocispec.Descriptor{want}, got)
}

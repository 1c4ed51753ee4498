package upstream_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/upstreamtest"
	"github.com/registrykit/registry/mirror/internal/fill"
	"github.com/registrykit/registry/mirror/internal/upstream"
)

// download reads a blob as a fill does: it goes on after each break, and skips what it has if the
// URL has no ranges.
func download(ctx context.Context, u *upstream.Upstream, d digest.Digest, tries int) (got []byte, urls []string,
	err error) {
	etag := ""
	for range tries {
		var res *fill.Response
		if res, err = u.Blobs("r").Fetch(ctx, d, int64(len(got)), etag); err != nil {
			return got, urls, err
		}
		urls, etag = append(urls, res.URL), res.ETag
		if _, err = io.CopyN(io.Discard, res.Body, int64(len(got))-res.Offset); err == nil {
			var b []byte
			b, err = io.ReadAll(res.Body)
			got = append(got, b...)
		}
		_ = res.Body.Close()
		if err == nil {
			return got, urls, nil
		}
	}
	return got, urls, err
}

// TestResume: a body that breaks off goes on at the same URL, and after the second break at the next
// one.
func TestResume(t *testing.T) {
	for name, extra := range map[string]upstreamtest.Fault{
		"ranges": nil, "no ranges": upstreamtest.NoRanges(), "no length": upstreamtest.NoLength(),
		"no etag": upstreamtest.ETag(""), "weak etag": upstreamtest.ETag(`W/"1"`),
	} {
		t.Run(name, func(t *testing.T) {
			first, second := upstreamtest.New(t), upstreamtest.New(t)
			u := newUpstream(t, nil, first, second)
			want := content(1_000_000, 1)
			d := first.Blob("r", want).Digest
			second.Blob("r", want)
			second.Break(blobs, upstreamtest.ETag(`"other"`)) // each URL may have its own
			if extra != nil {
				first.Break(blobs, extra)
				second.Break(blobs, extra)
			}
			first.Break(blobs, upstreamtest.Cut(400_000))
			got, urls, err := download(t.Context(), u, d, 4)
			require.NoError(t, err)
			same(t, want, got)
			require.Equal(t, []string{first.URL, first.URL, second.URL}, urls)
			require.Equal(t, int64(2), u.Stats().Errors["broken"])
			require.False(t, u.Stats().Down)
		})
	}
}

// TestResumeSendsItsETag: the entity tag goes only to the URL that it came from.
func TestResumeSendsItsETag(t *testing.T) {
	first, second := upstreamtest.New(t), upstreamtest.New(t)
	u := newUpstream(t, nil, first, second)
	want := content(100_000, 1)
	d := first.Blob("r", want).Digest
	second.Blob("r", want)
	res, _, err := fetch(t.Context(), u, "r", d, 0, "")
	require.NoError(t, err)
	_, b, err := fetch(t.Context(), u, "r", d, 99_990, res.ETag)
	require.NoError(t, err)
	same(t, want[99_990:], b)
	require.Equal(t, res.ETag, first.Requests()[1].Header.Get("If-Range"))
	first.SetDown(true)
	got, b, err := fetch(t.Context(), u, "r", d, 99_990, res.ETag)
	require.NoError(t, err)
	same(t, want[99_990:], b)
	require.Equal(t, int64(99_990), got.Offset)
	require.Equal(t, int64(100_000), got.Size)
	require.Empty(t, second.Requests()[0].Header.Get("If-Range"))
}

// TestChanged: other content under the same URL ends the fill, if no other URL has the old one.
func TestChanged(t *testing.T) {
	first, second := upstreamtest.New(t), upstreamtest.New(t)
	u := newUpstream(t, nil, first, second)
	want := content(100_000, 1)
	d := first.Blob("r", want).Digest
	second.Blob("r", want)
	res, _, err := fetch(t.Context(), u, "r", d, 0, "")
	require.NoError(t, err)
	first.SetBlob("r", d, content(50_000, 2))
	first.Break(blobs, upstreamtest.ETag(`"new"`))
	got, b, err := fetch(t.Context(), u, "r", d, 10, res.ETag)
	require.NoError(t, err)
	require.Equal(t, second.URL, got.URL)
	same(t, want[10:], b)

	only := newUpstream(t, nil, first)
	_, _, err = fetch(t.Context(), only, "r", d, 10, res.ETag)
	require.ErrorIs(t, err, fill.ErrChanged)
	// Without an entity tag, the fill sees another size.
	first.Break(blobs, upstreamtest.ETag(""))
	got, _, err = fetch(t.Context(), only, "r", d, 10, "")
	require.NoError(t, err)
	require.Equal(t, int64(50_000), got.Size)
	// Shorter than what the fill has: the whole blob comes.
	got, _, err = fetch(t.Context(), only, "r", d, 60_000, "")
	require.NoError(t, err)
	require.Equal(t, int64(0), got.Offset)
	require.Equal(t, int64(50_000), got.Size)
}

// TestFetchRange: a part comes only from URLs with ranges.
func TestFetchRange(t *testing.T) {
	first, second := upstreamtest.New(t), upstreamtest.New(t)
	u := newUpstream(t, nil, first, second)
	want := content(100_000, 1)
	d := first.Blob("r", want).Digest
	second.Blob("r", want)
	for _, offset := range []int64{0, 500} {
		res, err := u.Blobs("r").FetchRange(t.Context(), d, offset, 100)
		require.NoError(t, err)
		b, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		same(t, want[offset:offset+100], b)
		require.Equal(t, offset, res.Offset)
		require.Equal(t, int64(len(want)), res.Size)
		require.NoError(t, res.Body.Close())
	}
	_, err := u.Blobs("r").FetchRange(t.Context(), d, 100_000, 100)
	require.ErrorIs(t, err, registry.ErrRangeInvalid)

	first.Break(blobs, upstreamtest.NoRanges())
	first.Forget()
	for range 3 {
		res, err := u.Blobs("r").FetchRange(t.Context(), d, 0, 100)
		require.NoError(t, err)
		require.Equal(t, second.URL, res.URL)
		require.NoError(t, res.Body.Close())
	}
	require.Equal(t, 1, first.Count("", ""), "the URL is known to have no ranges")
	second.Break(blobs, upstreamtest.NoRanges())
	second.Forget()
	for range 3 {
		_, err = u.Blobs("r").FetchRange(t.Context(), d, 500, 100)
		require.ErrorIs(t, err, registry.ErrUnsupported)
	}
	require.Equal(t, 1, second.Count("", ""))
	require.False(t, u.Stats().Down)
}

// TestBlame: a URL that has sent wrong content for a digest is not asked for it for ten minutes.
func TestBlame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u, s := inMemory(t, 2, nil)
		a, b := s[0].Blob("r", []byte("a")).Digest, s[0].Blob("r", []byte("b")).Digest
		s[1].Blob("r", []byte("a"))
		src := u.Blobs("r")
		src.Blame(s[0].URL, a, errors.New("wrong digest"))
		src.Blame("https://elsewhere.test", b, errors.New("not ours"))
		res, _, err := fetch(t.Context(), u, "r", a, 0, "")
		require.NoError(t, err)
		require.Equal(t, s[1].URL, res.URL)
		res, _, err = fetch(t.Context(), u, "r", b, 0, "")
		require.NoError(t, err)
		require.Equal(t, s[0].URL, res.URL)
		src.Blame(s[1].URL, a, errors.New("wrong digest"))
		s[0].Forget()
		_, _, err = fetch(t.Context(), u, "r", a, 0, "")
		require.ErrorIs(t, err, upstream.ErrContent)
		require.Zero(t, s[0].Count("", ""))
		time.Sleep(10 * time.Minute)
		_, _, err = fetch(t.Context(), u, "r", a, 0, "")
		require.NoError(t, err)
		require.Equal(t, int64(2), u.Stats().Errors["digest"])
	})
}

// TestWrongHeaders: a response that cannot be the blob is not passed on.
func TestWrongHeaders(t *testing.T) {
	for name, fault := range map[string]upstreamtest.Fault{
		"encoded": upstreamtest.Gzip(),
		"range": func(r *upstreamtest.Reply) {
			r.Status, r.Header["Content-Range"] = 206, []string{"bytes 0-9/100"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			bad, good := upstreamtest.New(t), upstreamtest.New(t)
			u := newUpstream(t, nil, bad, good)
			want := content(100_000, 1)
			d := bad.Blob("r", want).Digest
			good.Blob("r", want)
			bad.Break(blobs, fault)
			for range 2 {
				res, b, err := fetch(t.Context(), u, "r", d, 0, "")
				require.NoError(t, err)
				require.Equal(t, good.URL, res.URL)
				same(t, want, b)
			}
			require.Equal(t, 1, bad.Count("", ""))
		})
	}
}

// TestSilentBody: a body without progress breaks off, and one with slow progress does not. The time
// in which nobody reads does not count.
func TestSilentBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u, s := inMemory(t, 2, nil)
		want := content(100_000, 1)
		d := s[0].Blob("r", want).Digest
		s[1].Blob("r", want)
		s[0].Break(upstreamtest.Match{Times: 1}, upstreamtest.Slow(10_000, 29*time.Second))
		_, b, err := fetch(t.Context(), u, "r", d, 0, "")
		require.NoError(t, err)
		same(t, want, b)

		res, err := u.Blobs("r").Fetch(t.Context(), d, 0, "")
		require.NoError(t, err)
		time.Sleep(time.Hour)
		begin := make([]byte, 10)
		_, err = io.ReadFull(res.Body, begin)
		require.NoError(t, err)
		time.Sleep(time.Hour)
		b, err = io.ReadAll(res.Body)
		require.NoError(t, err)
		same(t, want, append(begin, b...))
		require.NoError(t, res.Body.Close())

		s[0].Break(all, upstreamtest.HangBody(50_000))
		start := time.Now()
		got, urls, err := download(t.Context(), u, d, 2)
		require.NoError(t, err)
		same(t, want, got)
		require.Equal(t, []string{s[0].URL, s[1].URL}, urls)
		require.Equal(t, upstream.DefaultIdle, time.Since(start))
		require.Equal(t, map[string]int64{"idle": 1}, u.Stats().Errors)
	})
}

// TestSilentManifest: a server that sends nothing but headers rests, too.
func TestSilentManifest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u, s := inMemory(t, 1, nil)
		s[0].Image("r", "1")
		s[0].Break(all, upstreamtest.HangBody(50))
		start := time.Now()
		_, err := u.GetManifest(t.Context(), "r", ref("1"))
		unavailable(t, err)
		require.Equal(t, upstream.DefaultIdle, time.Since(start))
		require.Equal(t, map[string]int64{"idle": 1}, u.Stats().Errors)
		_, err = u.GetManifest(t.Context(), "r", ref("1"))
		unavailable(t, err)
		require.Equal(t, 1, s[0].Count("", ""))
		require.True(t, u.Stats().Down)
	})
}

// TestEndlessManifest: a body that never ends, however steadily it comes, ends the call.
func TestEndlessManifest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u, s := inMemory(t, 1, nil)
		s[0].Image("r", "1")
		s[0].Break(all, upstreamtest.Slow(1, 20*time.Second))
		start := time.Now()
		_, err := u.GetManifest(t.Context(), "r", ref("1"))
		unavailable(t, err)
		require.Equal(t, 5*time.Minute, time.Since(start))
	})
}

// TestRedirects: blobs come from the storage that the upstream names; it rests by itself.
func TestRedirects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := upstreamtest.NewInMemory(t, "storage.test")
		api := upstreamtest.NewInMemory(t, "127.0.0.1:1")
		u := newUpstream(t, func(o *upstream.Options) { o.Transport = upstreamtest.Transport(t, api, store) }, api)
		want := content(1000, 1)
		d := api.Blob("r", want).Digest
		store.Blob("r", want)
		api.Image("r", "1")

		repair := api.Break(blobs, upstreamtest.Redirect("/storage/DIGEST"))
		_, b, err := fetch(t.Context(), u, "r", d, 0, "")
		require.NoError(t, err)
		same(t, want, b)
		repair()
		api.Break(blobs, upstreamtest.Redirect("http://storage.test/storage/DIGEST"))
		_, b, err = fetch(t.Context(), u, "r", d, 0, "")
		require.NoError(t, err)
		same(t, want, b)
		require.Empty(t, store.Requests()[0].Header.Get("Via"))
		require.Equal(t, int64(1), u.Stats().Requests["GET redirect"])

		// A signed URL that has expired is no answer of the registry.
		store.Break(upstreamtest.Match{Times: 1}, upstreamtest.Status(403))
		_, _, err = fetch(t.Context(), u, "r", d, 0, "")
		unavailable(t, err)
		store.Break(upstreamtest.Match{Times: 1}, upstreamtest.Status(429, "Retry-After", "100"))
		_, _, err = fetch(t.Context(), u, "r", d, 0, "")
		unavailable(t, err)

		// Nor is it one that the storage does not have the blob. Nobody may take it for a 404.
		store.Break(upstreamtest.Match{Times: 1}, upstreamtest.Status(404))
		_, _, err = fetch(t.Context(), u, "r", d, 0, "")
		unavailable(t, err)
		require.NotErrorIs(t, err, registry.ErrBlobUnknown)

		// A storage that hangs costs one timeout, and the registry goes on.
		store.Break(all, upstreamtest.HangHeader())
		start := time.Now()
		for range 3 {
			_, _, err = fetch(t.Context(), u, "r", d, 0, "")
			unavailable(t, err)
		}
		require.Equal(t, upstream.DefaultTimeout, time.Since(start))
		require.NoError(t, stat(t.Context(), u, "r", "1"))
		require.False(t, u.Stats().Down)
	})
}

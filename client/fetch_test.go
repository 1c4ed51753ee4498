package client_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/client"
	"github.com/registrykit/registry/registrytest"
)

// TestFetchFromRegistry checks Fetch against a registry of this module: one GET, and no HEAD.
func TestFetchFromRegistry(t *testing.T) {
	s := registrytest.NewServer(t, nil)
	content := registrytest.RandomBytes(1, 100_000)
	var got []string
	c := newClient(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.URL.Path, "uploads") {
			got = append(got, r.Method+" "+r.Header.Get("Range"))
		}
		s.Registry.ServeHTTP(w, r)
	}), nil)
	desc, err := registry.PushBlob(t.Context(), c, "a", "", bytes.NewReader(content))
	require.NoError(t, err)
	got = nil

	for _, a := range []struct {
		opts      *client.FetchOptions
		from, end int
		header    string
	}{
		{nil, 0, 100_000, ""},
		{&client.FetchOptions{Offset: 99_990}, 99_990, 100_000, "bytes=99990-"},
		{&client.FetchOptions{Length: 10}, 0, 10, "bytes=0-9"},
		{&client.FetchOptions{Offset: 50, Length: 10}, 50, 60, "bytes=50-59"},
		{&client.FetchOptions{Offset: 99_995, Length: 10}, 99_995, 100_000, "bytes=99995-100004"},
	} {
		f, err := c.Fetch(t.Context(), "a", desc.Digest, a.opts)
		require.NoError(t, err)
		b, err := io.ReadAll(f.Body)
		require.NoError(t, err)
		require.NoError(t, f.Body.Close())
		require.Equal(t, content[a.from:a.end], b)
		require.EqualValues(t, a.from, f.Offset)
		require.EqualValues(t, 100_000, f.Size)
		require.Equal(t, []string{"GET " + a.header}, got)
		got = nil

		// The same entity tag gives the same part; another one gives the whole blob.
		require.NotEmpty(t, f.ETag)
		o := client.FetchOptions{Offset: 7, ETag: f.ETag}
		f, err = c.Fetch(t.Context(), "a", desc.Digest, &o)
		require.NoError(t, err)
		require.EqualValues(t, 7, f.Offset)
		require.NoError(t, f.Body.Close())
		o.ETag = `"other"`
		f, err = c.Fetch(t.Context(), "a", desc.Digest, &o)
		require.NoError(t, err)
		require.Zero(t, f.Offset)
		require.EqualValues(t, 100_000, f.Size)
		require.NoError(t, f.Body.Close())
		got = nil
	}
	_, err = c.Fetch(t.Context(), "a", desc.Digest, &client.FetchOptions{Offset: 100_000})
	require.ErrorIs(t, err, registry.ErrRangeInvalid)
	_, err = c.Fetch(t.Context(), "a", digest.FromString("x"), nil)
	require.ErrorIs(t, err, registry.ErrBlobUnknown)
}

// TestFetchInvalidNotSent checks that invalid arguments cause no request.
func TestFetchInvalidNotSent(t *testing.T) {
	c := newClient(t, serve(t, func(http.ResponseWriter, *http.Request) { t.Error("asked") }), nil)
	d := digest.FromString("x")
	for _, o := range []client.FetchOptions{
		{Offset: -1}, {Length: -1}, {Offset: 1 << 62, Length: 1 << 62}, {Offset: 1, Length: 1<<63 - 1},
		{Offset: 1, ETag: `W/"x"`}, {Offset: 1, ETag: "x"}, {Offset: 1, ETag: "\"x\r\n\""}, {Offset: 1, ETag: `"`},
		{Offset: 1, ETag: `"a"b"`},
	} {
		_, err := c.Fetch(t.Context(), "a", d, &o)
		require.Error(t, err, "%+v", o)
	}
	for _, repo := range []string{"", "A", "../a", "a/../b", "a?x"} {
		_, err := c.Fetch(t.Context(), repo, d, nil)
		require.ErrorIs(t, err, registry.ErrNameInvalid)
	}
	_, err := c.Fetch(t.Context(), "a", "sha256:x", nil)
	require.ErrorIs(t, err, registry.ErrDigestInvalid)
}

// TestFetchContradictoryRefused checks that the header of a response is not believed blindly.
func TestFetchContradictoryRefused(t *testing.T) {
	const part = "bytes 10-19/100"
	for name, a := range map[string]struct {
		status int
		header http.Header // to a request for 10 bytes from byte 10 on
	}{
		"gzip":                 {200, http.Header{"Content-Encoding": {"gzip"}}},
		"second encoding":      {206, http.Header{"Content-Encoding": {"identity", "br"}, "Content-Range": {part}}},
		"no range":             {206, nil},
		"other start":          {206, http.Header{"Content-Range": {"bytes 11-19/100"}}},
		"start before":         {206, http.Header{"Content-Range": {"bytes 9-19/100"}}},
		"too much":             {206, http.Header{"Content-Range": {"bytes 10-20/100"}}},
		"backwards":            {206, http.Header{"Content-Range": {"bytes 10-9/100"}}},
		"end after the size":   {206, http.Header{"Content-Range": {"bytes 10-19/19"}}},
		"negative":             {206, http.Header{"Content-Range": {"bytes -10-19/100"}}},
		"plus":                 {206, http.Header{"Content-Range": {"bytes 10-+19/100"}}},
		"unknown range":        {206, http.Header{"Content-Range": {"bytes */100"}}},
		"other unit":           {206, http.Header{"Content-Range": {"items 10-19/100"}}},
		"huge":                 {206, http.Header{"Content-Range": {"bytes 10-19/9223372036854775807"}}},
		"overflow":             {206, http.Header{"Content-Range": {"bytes 10-19/99999999999999999999"}}},
		"two ranges":           {206, http.Header{"Content-Range": {part, part}}},
		"multipart":            {206, http.Header{"Content-Type": {"multipart/byteranges; boundary=x"}}},
		"other length":         {206, http.Header{"Content-Range": {part}, "Content-Length": {"11"}}},
		"other entity tag":     {206, http.Header{"Content-Range": {part}, "Etag": {`"other"`}}},
		"part as whole":        {200, http.Header{"Content-Range": {part}}},
		"start as whole":       {200, http.Header{"Content-Range": {"bytes 0-19/100"}}},
		"implausible length":   {200, http.Header{"Content-Length": {"9000000000000000000"}}},
		"malformed whole":      {200, http.Header{"Content-Range": {"x"}}},
		"contradictory length": {200, http.Header{"Content-Range": {"bytes 0-9/10"}, "Content-Length": {"11"}}},
	} {
		c := newClient(t, serve(t, func(w http.ResponseWriter, _ *http.Request) {
			for key, values := range a.header {
				w.Header()[key] = values
			}
			w.WriteHeader(a.status)
		}), nil)
		_, err := c.Fetch(t.Context(), "a", digest.FromString("x"), &client.FetchOptions{Offset: 10, Length: 10, ETag: `"e"`})
		require.ErrorIs(t, err, client.ErrContent, name)
	}
	c := newClient(t, serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Range", "bytes 0-9/10")
		w.WriteHeader(http.StatusPartialContent)
	}), nil)
	_, err := c.Fetch(t.Context(), "a", digest.FromString("x"), nil)
	require.ErrorIs(t, err, client.ErrContent, "no range was requested")
}

// TestFetchSizes checks which sizes, offsets and entity tags a response gives.
func TestFetchSizes(t *testing.T) {
	for name, a := range map[string]struct {
		status        int
		header        http.Header // to a request from byte 4 on
		body          string
		offset, size  int64
		etag, readErr string
	}{
		"whole":             {200, http.Header{"Content-Length": {"9"}}, "012345678", 0, 9, "", ""},
		"whole, no length":  {200, nil, "012345678", 0, -1, "", ""},
		"identity":          {200, http.Header{"Content-Encoding": {" Identity"}}, "01", 0, -1, "", ""},
		"part":              {206, http.Header{"Content-Range": {"Bytes 4-8/9"}}, "45678", 4, 9, "", ""},
		"part, no size":     {206, http.Header{"Content-Range": {"bytes 4-8/*"}}, "45678", 4, -1, "", ""},
		"short part":        {206, http.Header{"Content-Range": {"bytes 4-6/9"}}, "456", 4, 9, "", "unexpected EOF"},
		"less than stated":  {206, http.Header{"Content-Range": {"bytes 4-8/9"}}, "456", 4, 9, "", "unexpected EOF"},
		"more than stated":  {206, http.Header{"Content-Range": {"bytes 4-8/9"}}, "456789", 4, 9, "", "more than announced"},
		"strong entity tag": {200, http.Header{"Etag": {`"a!b"`}}, "", 0, -1, `"a!b"`, ""},
		"weak entity tag":   {200, http.Header{"Etag": {`W/"a"`}}, "", 0, -1, "", ""},
		"no entity tag":     {200, http.Header{"Etag": {`a`}}, "", 0, -1, "", ""},
		"long entity tag":   {200, http.Header{"Etag": {`"` + strings.Repeat("x", 2000) + `"`}}, "", 0, -1, "", ""},
	} {
		c := newClient(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
			require.Equal(t, "identity", r.Header.Get("Accept-Encoding"))
			for key, values := range a.header {
				w.Header()[key] = values
			}
			w.WriteHeader(a.status)
			w.(http.Flusher).Flush() // no Content-Length of its own
			_, _ = io.WriteString(w, a.body)
		}), nil)
		f, err := c.Fetch(t.Context(), "a", digest.FromString("x"), &client.FetchOptions{Offset: 4})
		require.NoError(t, err, name)
		require.Equal(t, a.offset, f.Offset, name)
		require.Equal(t, a.size, f.Size, name)
		require.Equal(t, a.etag, f.ETag, name)
		b, err := io.ReadAll(f.Body)
		require.NoError(t, f.Body.Close())
		if a.readErr == "" {
			require.NoError(t, err, name)
			require.Equal(t, a.body, string(b), name)
			continue
		}
		require.ErrorContains(t, err, a.readErr, name)
		_, again := f.Body.Read(make([]byte, 1))
		require.Equal(t, err, again, name)
		require.LessOrEqual(t, len(b), 5, name)
		if a.readErr == "unexpected EOF" {
			require.ErrorIs(t, err, registry.ErrUnavailable, name)
			require.ErrorIs(t, err, io.ErrUnexpectedEOF, name)
		} else {
			require.ErrorIs(t, err, client.ErrContent, name)
		}
	}
}

// TestFetchFollowsRedirects checks that Range and If-Range reach the target of a redirect, that
// relative redirects are resolved, and that a refusal of the target is not one of the registry.
func TestFetchFollowsRedirects(t *testing.T) {
	status := http.StatusOK
	elsewhere := serve(t, func(w http.ResponseWriter, r *http.Request) {
		require.False(t, hasSecret(r))
		require.Empty(t, r.Header.Get("Via"))
		if status != http.StatusOK {
			w.WriteHeader(status)
			return
		}
		w.Header().Set("ETag", `"e"`)
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader("content"))
	})
	c := newClient(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
		require.True(t, hasSecret(r))
		if !strings.HasPrefix(r.URL.Path, "/moved/here") {
			w.Header().Set("Location", "../../../moved/here?x=1")
			w.WriteHeader(http.StatusTemporaryRedirect)
			return
		}
		require.Equal(t, "x=1", r.URL.RawQuery)
		http.Redirect(w, r, elsewhere, http.StatusTemporaryRedirect)
	}), &client.Options{Authorize: secret, Header: http.Header{"Via": {"1.1 mirror"}}})
	opts := &client.FetchOptions{Offset: 3, ETag: `"e"`}
	f, err := c.Fetch(t.Context(), "a", digest.FromString("content"), opts)
	require.NoError(t, err)
	b, err := io.ReadAll(f.Body)
	require.NoError(t, err)
	require.NoError(t, f.Body.Close())
	require.Equal(t, "tent", string(b))
	require.EqualValues(t, 3, f.Offset)

	for s, want := range map[int]error{
		http.StatusUnauthorized: registry.ErrUnavailable, http.StatusForbidden: registry.ErrUnavailable,
		http.StatusNotFound: registry.ErrBlobUnknown, http.StatusGone: registry.ErrBlobUnknown,
		http.StatusBadGateway: registry.ErrUnavailable,
	} {
		status = s
		_, err := c.Fetch(t.Context(), "a", digest.FromString("content"), opts)
		require.ErrorIs(t, err, want, s)
	}
}

// TestFetchEndsWithContext checks that the end of the context, and Close, end a response.
func TestFetchEndsWithContext(t *testing.T) {
	ended := make(chan struct{}, 2)
	c := newClient(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(1<<40))
		_, _ = io.WriteString(w, "x")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		ended <- struct{}{}
	}), nil)
	ctx, cancel := context.WithCancel(t.Context())
	f, err := c.Fetch(ctx, "a", digest.FromString("x"), nil)
	require.NoError(t, err)
	_, err = io.ReadFull(f.Body, make([]byte, 1))
	require.NoError(t, err)
	cancel()
	_, err = f.Body.Read(make([]byte, 1))
	require.ErrorIs(t, err, context.Canceled)
	<-ended
	require.NoError(t, f.Body.Close())

	f, err = c.Fetch(t.Context(), "a", digest.FromString("x"), nil)
	require.NoError(t, err)
	require.NoError(t, f.Body.Close())
	<-ended
}

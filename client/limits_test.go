package client_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/client"
	"github.com/registrykit/registry/reference"
)

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// respond returns a response without a body.
func respond(r *http.Request, status int, header http.Header) (*http.Response, error) {
	return &http.Response{StatusCode: status, Header: header, Body: http.NoBody, Request: r}, nil
}

// TestCleanupTimesOut checks that cleanup after the end of the caller's context has a timeout.
func TestCleanupTimesOut(t *testing.T) {
	deletes := 0
	tr := roundTripper(func(r *http.Request) (*http.Response, error) {
		if r.Method == http.MethodDelete {
			deletes++
			end, ok := r.Context().Deadline()
			require.True(t, ok)
			require.LessOrEqual(t, time.Until(end), 10*time.Second)
			require.NoError(t, r.Context().Err())
		}
		if r.Method == http.MethodPatch {
			return nil, errors.New("broken")
		}
		return respond(r, http.StatusAccepted, http.Header{"Location": {"/v2/a/blobs/uploads/x"}})
	})
	c, err := client.New("http://example.com", &client.Options{HTTPClient: &http.Client{Transport: tr}})
	require.NoError(t, err)
	_, err = c.MountBlob(t.Context(), "a", digest.FromString("x"), &registry.MountOptions{From: "b"})
	require.ErrorIs(t, err, registry.ErrBlobUnknown)
	_, err = registry.PushBlob(t.Context(), c, "a", "", strings.NewReader("x"))
	require.ErrorIs(t, err, registry.ErrUnavailable)
	require.Equal(t, 2, deletes)
}

// TestListRepeatedPageFails checks that no page is requested after one without a new name.
func TestListRepeatedPageFails(t *testing.T) {
	n := 0
	c := newClient(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
		n++
		w.Header().Set("Link", fmt.Sprintf(`<%s?page=%d>; rel="next"`, r.URL.Path, n))
		_, _ = io.WriteString(w, `{"tags":["same"],"repositories":["same"],"manifests":[{"digest":"`+string(
			digest.FromString("x"))+`"}]}`)
	}), nil)
	tags, err := collect(c.Tags(t.Context(), "a", nil))
	require.ErrorContains(t, err, "do not end")
	require.Equal(t, []string{"same"}, tags)
	_, err = collect(c.Repositories(t.Context(), &registry.ListOptions{After: "z"}))
	require.ErrorContains(t, err, "do not end")
	for _, err := range c.Referrers(t.Context(), "a", digest.FromString("x"), nil) {
		require.ErrorContains(t, err, "do not end")
	}
	require.Equal(t, 6, n)
}

// TestListInvalidElementStopsReading checks that nothing after the first invalid element of a list
// is read.
func TestListInvalidElementStopsReading(t *testing.T) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	element := ""
	c := newClient(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, `{"unknown":[{},"]"],"`+map[bool]string{true: "tags",
			false: "manifests"}[strings.HasSuffix(r.URL.Path, "/list")]+`":[`)
		part := strings.Repeat(element, 1<<16)
		for range 100 {
			if _, err := io.WriteString(w, part); err != nil {
				return
			}
		}
	}), nil)
	element = `"",`
	_, err := collect(c.Tags(t.Context(), "a", nil))
	require.ErrorIs(t, err, client.ErrContent)
	element = `{},`
	for _, err := range c.Referrers(t.Context(), "a", digest.FromString("x"), nil) {
		require.ErrorIs(t, err, client.ErrContent)
	}
	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(16<<20))
	many := newClient(t, serve(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"tags":["a"`+strings.Repeat(`,"a"`, 100_000)+`]}`)
	}), nil)
	_, err = collect(many.Tags(t.Context(), "a", nil))
	require.ErrorIs(t, err, client.ErrTooLarge)
}

// TestReadAfterWrongContentFails checks that every Read after ErrContent fails.
func TestReadAfterWrongContentFails(t *testing.T) {
	c := newClient(t, serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hellO") }), nil)
	blob, err := c.OpenBlob(t.Context(), "a", digest.FromString("hello"), nil)
	require.NoError(t, err)
	defer blob.Body.Close()
	buf := make([]byte, 5)
	for range 3 {
		n, err := blob.Body.Read(buf)
		require.Zero(t, n)
		require.ErrorIs(t, err, client.ErrContent)
		_, err = blob.Body.Seek(2, io.SeekStart)
		require.NoError(t, err)
	}
}

// TestSeekWithoutRangesRefusesLongSkip checks that the end of a large blob is not read by skipping
// all that precedes it.
func TestSeekWithoutRangesRefusesLongSkip(t *testing.T) {
	c := newClient(t, serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(int64(1)<<62))
	}), nil)
	blob, err := c.OpenBlob(t.Context(), "a", digest.FromString("hello"), nil)
	require.NoError(t, err)
	defer blob.Body.Close()
	_, err = blob.Body.Seek(-5, io.SeekEnd)
	require.NoError(t, err)
	_, err = blob.Body.Read(make([]byte, 5))
	require.ErrorIs(t, err, registry.ErrUnsupported)
}

// TestUploadImplausibleSizeIgnored checks that an implausible size of an upload is ignored.
func TestUploadImplausibleSizeIgnored(t *testing.T) {
	for _, last := range []string{"9223372036854775807", "9223372036854775806", "-5"} {
		c := newClient(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", "/v2/a/blobs/uploads/x")
			w.Header().Set("Range", "0-"+last)
			_, _ = io.Copy(io.Discard, r.Body)
			w.WriteHeader(http.StatusAccepted)
		}), nil)
		u, err := c.CreateUpload(t.Context(), "a", nil)
		require.NoError(t, err)
		_, err = u.Append(t.Context(), 0, 5, strings.NewReader("hello"))
		require.NoError(t, err)
		require.EqualValues(t, 5, u.Size())
		_, err = u.Append(t.Context(), 5, 1<<63-1, strings.NewReader("hello"))
		require.ErrorIs(t, err, registry.ErrBlobTooLarge)
	}
}

// TestSlowResponseAbandoned checks that the client does not wait for the rest of a response that it
// does not need, and that the error of an ended context stays that of the context.
func TestSlowResponseAbandoned(t *testing.T) {
	trickle := func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			_, _ = io.WriteString(w, " ")
			_ = http.NewResponseController(w).Flush()
			time.Sleep(10 * time.Millisecond)
		}
	}
	c := newClient(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.Method {
		case http.MethodDelete:
			w.WriteHeader(http.StatusAccepted)
		case http.MethodHead:
			w.Header().Set("Content-Length", "5000000")
			return
		default:
			w.Header().Set("Content-Length", "5000000")
		}
		trickle(w, r)
	}), nil)
	begin := time.Now()
	require.NoError(t, c.DeleteBlob(t.Context(), "a", digest.FromString("x"), nil))
	require.Less(t, time.Since(begin), 5*time.Second)

	within := func() context.Context {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		t.Cleanup(cancel)
		return ctx
	}
	_, err := collect(c.Tags(within(), "a", nil))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	for _, at := range []int64{0, 1000} {
		blob, err := c.OpenBlob(within(), "a", digest.FromString("x"), nil)
		require.NoError(t, err)
		_, err = blob.Body.Seek(at, io.SeekStart)
		require.NoError(t, err)
		_, err = io.ReadAll(blob.Body)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.NoError(t, blob.Body.Close())
	}
}

// TestErrorTextsCleaned checks that texts of the registry become one short line without the
// upload's location.
func TestErrorTextsCleaned(t *testing.T) {
	const id = "0123456789abcdef"
	text := `a\u001b[31m\nlevel=INFO forged\u202e` + strings.Repeat("x", 5000)
	c := newClient(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			w.Header().Set("Location", "/elsewhere/"+id+"?state=hunter2")
			w.WriteHeader(http.StatusAccepted)
			return
		}
		w.WriteHeader(http.StatusForbidden)
		if r.Method == http.MethodDelete {
			text = "no " + r.URL.Path
		}
		_, _ = io.WriteString(w, `{"errors":[{"code":"X\n`+strings.Repeat("X",
			100)+`","message":"`+text+`","detail":{"at":"`+r.URL.Path+`"}}]}`)
	}), nil)
	_, err := c.GetManifest(t.Context(), "a", reference.Ref{Tag: "v1"})
	require.ErrorIs(t, err, registry.ErrDenied)
	require.Less(t, len(err.Error()), 4000)
	require.NotRegexp(t, `[^ -~]`, err.Error())
	var e *registry.Error
	require.ErrorAs(t, err, &e)
	require.True(t, strings.HasPrefix(e.Message(), "a [31m level=INFO forged x"), e.Message())
	var sent *client.Error
	require.ErrorAs(t, err, &sent)
	require.LessOrEqual(t, len(sent.Code), 64)

	u, err := c.CreateUpload(t.Context(), "a", nil)
	require.NoError(t, err)
	_, appended := u.Append(t.Context(), 0, 1, strings.NewReader("x"))
	_, committed := u.Commit(t.Context(), digest.FromString("x"), nil)
	for _, err := range []error{u.Cancel(t.Context()), appended, committed} {
		require.ErrorAs(t, err, &e)
		require.NotContains(t, err.Error(), id)
		require.NotContains(t, err.Error(), "hunter2")
		require.Contains(t, err.Error(), "/v2/a/blobs/uploads/<id>")
		require.Nil(t, e.Detail())
	}
	raw, err := base64.RawURLEncoding.DecodeString(u.ID())
	require.NoError(t, err)
	require.Contains(t, string(raw), id)
}

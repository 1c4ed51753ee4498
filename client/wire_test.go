package client_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/client"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/registrytest"
)

// TestErrorOfResponse checks which error of this module each response becomes.
func TestErrorOfResponse(t *testing.T) {
	for _, a := range []struct {
		status int
		code   string
		want   *registry.Error // nil: a *client.Error
	}{
		{404, "MANIFEST_UNKNOWN", registry.ErrManifestUnknown},
		{404, "NAME_UNKNOWN", registry.ErrManifestUnknown},
		{404, "", registry.ErrManifestUnknown},
		{401, "UNAUTHORIZED", registry.ErrUnauthorized},
		{401, "", registry.ErrUnauthorized},
		{403, "DENIED", registry.ErrDenied},
		{409, "DENIED", registry.ErrTagExists},
		{405, "UNSUPPORTED", registry.ErrUnsupported},
		{400, "NAME_INVALID", registry.ErrNameInvalid},
		{400, "TAG_INVALID", registry.ErrTagInvalid},
		{400, "MANIFEST_INVALID", registry.ErrManifestInvalid},
		{413, "MANIFEST_INVALID", registry.ErrManifestTooLarge},
		{413, "SIZE_INVALID", registry.ErrBlobTooLarge},
		{400, "SIZE_INVALID", registry.ErrSizeInvalid},
		{416, "BLOB_UPLOAD_INVALID", registry.ErrRangeInvalid},
		{416, "", registry.ErrRangeInvalid},
		{400, "BLOB_UPLOAD_INVALID", registry.ErrUploadInvalid},
		{429, "TOOMANYREQUESTS", registry.ErrTooManyRequests},
		{502, "", registry.ErrUnavailable},
		{503, "UNAVAILABLE", registry.ErrUnavailable},
		{507, "NO_SPACE", registry.ErrNoSpace},
		{422, "DIGEST_INVALID", registry.ErrDigestInvalid},
		{500, "UNKNOWN", nil},
		{500, "DENIED", nil},
		{418, "TEAPOT", nil},
		{204, "", nil},
	} {
		c := newClient(t, serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(a.status)
			if a.code != "" {
				_, _ = io.WriteString(w, `{"errors":[{"code":"`+a.code+`","message":"for people","detail":{"a":"b"}}]}`)
			}
		}), nil)
		_, err := c.GetManifest(t.Context(), "a", reference.Ref{Tag: "v1"})
		var wire *client.Error
		require.ErrorAs(t, err, &wire, "%d %s", a.status, a.code)
		require.Equal(t, a.status, wire.Status)
		require.Equal(t, a.code, wire.Code)
		var e *registry.Error
		if a.want == nil {
			require.False(t, errors.As(err, &e), "%d %s: %v", a.status, a.code, err)
			continue
		}
		require.ErrorIs(t, err, a.want, "%d %s", a.status, a.code)
		require.ErrorAs(t, err, &e)
		require.Equal(t, 7*time.Second, e.RetryAfter())
		if a.code != "" {
			require.Equal(t, "for people", e.Message())
			require.NotNil(t, e.Detail())
		}
	}
}

// TestErrorsAreBounded checks that only a little of an error body is read, and less is kept.
func TestErrorsAreBounded(t *testing.T) {
	for _, body := range []string{
		strings.Repeat("x", 10<<20), `{"errors":[{"code":"DENIED","message":"` + strings.Repeat("m", 50_000) + `"}]}`, "{",
		`{"errors":[]}`, `{"errors":null}`, "<html>",
	} {
		c := newClient(t, serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, body)
		}), nil)
		_, err := c.GetManifest(t.Context(), "a", reference.Ref{Tag: "v1"})
		require.ErrorIs(t, err, registry.ErrDenied)
		require.Less(t, len(err.Error()), 4096)
	}
}

// TestSeekWithoutRangesSkips checks that the start of a blob is skipped if the registry ignores
// ranges.
func TestSeekWithoutRangesSkips(t *testing.T) {
	content := registrytest.RandomBytes(1, 10_000)
	c := newClient(t, serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "10000")
		_, _ = w.Write(content)
	}), nil)
	blob, err := c.OpenBlob(t.Context(), "a", digest.FromBytes(content), nil)
	require.NoError(t, err)
	defer blob.Body.Close()
	_, err = blob.Body.Seek(-10, io.SeekEnd)
	require.NoError(t, err)
	got, err := io.ReadAll(blob.Body)
	require.NoError(t, err)
	require.Equal(t, content[9990:], got)
}

// TestReferrersByTag checks that referrers come from the tag if the registry has no referrers API.
func TestReferrersByTag(t *testing.T) {
	subject := registrytest.RandomImage(1, 1, 10).Descriptor
	art := registrytest.Artifact("application/x.test", subject, nil)
	list := registrytest.Index(art)
	tag := "sha256-" + subject.Digest.Encoded()
	c := newClient(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v2/a/manifests/"+tag {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", list.Descriptor.MediaType)
		_, _ = w.Write(list.Manifest)
	}), nil)
	for repo, want := range map[string]int{"a": 1, "b": 0} {
		n := 0
		for desc, err := range c.Referrers(t.Context(), repo, subject.Digest, nil) {
			require.NoError(t, err)
			require.Equal(t, art.Descriptor.Digest, desc.Digest)
			n++
		}
		require.Equal(t, want, n)
	}
}

// TestPutTagsOneByOneWithoutParameter checks that tags are set one by one if the registry ignores
// the parameter tag.
func TestPutTagsOneByOneWithoutParameter(t *testing.T) {
	s := registrytest.NewServer(t, nil)
	var paths []string
	c := newClient(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
		paths = append(paths, r.URL.Path)
		r.URL.RawQuery = ""
		s.Registry.ServeHTTP(w, r)
	}), nil)
	img := registrytest.Index()
	_, err := c.PutManifest(t.Context(), "a", img.Descriptor.MediaType, img.Manifest,
		&registry.PutOptions{Tags: []registry.TagPut{{Name: "v1"}, {Name: "v2"}}})
	require.NoError(t, err)
	require.Equal(t, []string{"/v2/a/manifests/" + string(img.Descriptor.Digest), "/v2/a/manifests/v1",
		"/v2/a/manifests/v2"}, paths)
	_, err = c.PutManifest(t.Context(), "a", img.Descriptor.MediaType, img.Manifest, &registry.PutOptions{
		Digest: digest.SHA512.FromBytes(img.Manifest), Tags: []registry.TagPut{{Name: "v1"}},
	})
	require.ErrorIs(t, err, registry.ErrUnsupported)
}

// TestTagsInOneLine checks that one header line may name several tags (RFC 9110, section 5.3).
func TestTagsInOneLine(t *testing.T) {
	img := registrytest.RandomImage(1, 1, 10)
	n := 0
	c := newClient(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
		n++
		w.Header().Set("OCI-Tag", strings.Join(r.URL.Query()["tag"], ", "))
		w.WriteHeader(http.StatusCreated)
	}), nil)
	res, err := c.PutManifest(t.Context(), "a", img.Descriptor.MediaType, img.Manifest,
		&registry.PutOptions{Tags: []registry.TagPut{{Name: "v1"}, {Name: "v2"}}})
	require.NoError(t, err)
	require.Equal(t, []string{"v1", "v2"}, res.Tags)
	require.Equal(t, 1, n, "no tag is sent again")
}

// TestStatManifestFallsBackToGet checks that StatManifest falls back to GET if HEAD lacks headers.
func TestStatManifestFallsBackToGet(t *testing.T) {
	img := registrytest.RandomImage(1, 1, 10)
	c := newClient(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			w.Header().Set("Content-Type", img.Descriptor.MediaType+"; charset=utf-8")
			_, _ = w.Write(img.Manifest)
		}
	}), nil)
	desc, err := c.StatManifest(t.Context(), "a", reference.Ref{Tag: "v1"}, nil)
	require.NoError(t, err)
	require.Equal(t, img.Descriptor, desc)
}

// TestBaseURLWithPath checks a base URL with a path.
func TestBaseURLWithPath(t *testing.T) {
	s := registrytest.NewServer(t, nil)
	u := serve(t, http.StripPrefix("/some/where", s.Registry).ServeHTTP)
	for _, base := range []string{u + "/some/where", u + "/some/where/",
		strings.Replace(u, "http://", "HTTP://", 1) + "/some//where"} {
		c := newClient(t, base, nil)
		img := registrytest.RandomImage(1, 2, 1000)
		require.NoError(t, img.Push(t.Context(), c, "a/b", "v1"))
		m, err := c.GetManifest(t.Context(), "a/b", reference.Ref{Tag: "v1"})
		require.NoError(t, err)
		require.Equal(t, img.Manifest, m.Content)
	}
}

// TestCredentialsOfEachRequest checks that Authorize is called for each request, and that its error
// prevents the request.
func TestCredentialsOfEachRequest(t *testing.T) {
	n, sent := 0, 0
	stop := errors.New("no credentials")
	s := registrytest.NewServer(t, nil)
	c := newClient(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
		sent++
		s.Registry.ServeHTTP(w, r)
	}), &client.Options{Authorize: func(*http.Request) error {
		if n++; n > 3 {
			return stop
		}
		return nil
	}})
	_, err := registry.PushBlob(t.Context(), c, "a", "", strings.NewReader("x"))
	require.NoError(t, err)
	require.Equal(t, 3, sent)
	_, err = c.StatBlob(t.Context(), "a", digest.FromString("x"), nil)
	require.ErrorIs(t, err, stop)
	require.Equal(t, 3, sent)
}

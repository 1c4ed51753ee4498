package client_test

import (
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/client"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/registrytest"
)

// serve returns the URL of a server that responds with f.
func serve(t *testing.T, f http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(f)
	t.Cleanup(s.Close)
	return s.URL
}

// secret adds credentials in a header of its own, which an http.Client would forward to every host.
func secret(r *http.Request) error {
	r.Header.Set("Authorization", "Bearer secret")
	r.Header.Set("X-Secret", "secret")
	return nil
}

func hasSecret(r *http.Request) bool {
	return r.Header.Get("Authorization") != "" || r.Header.Get("X-Secret") != "" || r.Header.Get("Cookie") != ""
}

// TestRedirectElsewhereWithoutCredentials checks that redirects to another host, or only to another
// port, carry no credentials.
func TestRedirectElsewhereWithoutCredentials(t *testing.T) {
	content := []byte("content")
	d := digest.FromBytes(content)
	var asked, leaked atomic.Int32
	elsewhere := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if hasSecret(r) {
			leaked.Add(1)
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
	})
	home := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Secret") != "secret" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		http.SetCookie(w, &http.Cookie{Name: "a", Value: "b"})
		http.Redirect(w, r, elsewhere+"/data?signature=x", http.StatusTemporaryRedirect)
	})
	c := newClient(t, home, &client.Options{Authorize: secret})
	blob, err := c.OpenBlob(t.Context(), "a", d, nil)
	require.NoError(t, err)
	defer blob.Body.Close()
	_, err = blob.Body.Seek(3, io.SeekStart)
	require.NoError(t, err)
	got, err := io.ReadAll(blob.Body)
	require.NoError(t, err)
	require.Equal(t, "tent", string(got))
	require.EqualValues(t, 2, asked.Load())
	require.Zero(t, leaked.Load())

	// Writes are not redirected at all.
	_, err = registry.PushBlob(t.Context(), c, "a", d, bytes.NewReader(content))
	require.ErrorContains(t, err, "redirect")
	_, err = c.PutManifest(t.Context(), "a", "", content, nil)
	require.ErrorContains(t, err, "redirect")
	require.EqualValues(t, 2, asked.Load())
}

// TestRedirectToPlainHTTPRefused checks that redirects from https to http are rejected.
func TestRedirectToPlainHTTPRefused(t *testing.T) {
	var asked atomic.Int32
	plain := serve(t, func(http.ResponseWriter, *http.Request) { asked.Add(1) })
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, plain, http.StatusFound)
	}))
	defer s.Close()
	roots := s.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	defer tr.CloseIdleConnections()
	c, err := client.New(s.URL, &client.Options{HTTPClient: &http.Client{Transport: tr}})
	require.NoError(t, err)
	_, err = c.StatManifest(t.Context(), "a", reference.Ref{Tag: "v1"}, nil)
	require.ErrorContains(t, err, "redirect to http://")
	require.Zero(t, asked.Load())
}

func TestRedirectsEnd(t *testing.T) {
	n := 0
	c := newClient(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
		n++
		http.Redirect(w, r, "/again", http.StatusFound)
	}), nil)
	_, err := c.GetManifest(t.Context(), "a", reference.Ref{Tag: "v1"})
	require.ErrorContains(t, err, "too many redirects")
	require.Less(t, n, 10)
	for _, location := range []string{"", "ftp://example.com/", "//user:password@example.com/", "http:///x"} {
		c := newClient(t, serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", location)
			w.WriteHeader(http.StatusFound)
		}), nil)
		_, err := c.GetManifest(t.Context(), "a", reference.Ref{Tag: "v1"})
		require.ErrorContains(t, err, "redirect to", "%q", location)
	}
}

// TestUploadLocationElsewhereRefused checks that the Location of an upload must be at the registry.
func TestUploadLocationElsewhereRefused(t *testing.T) {
	var asked atomic.Int32
	elsewhere := serve(t, func(http.ResponseWriter, *http.Request) { asked.Add(1) })
	for _, location := range []string{
		"", elsewhere + "/x", strings.Replace(elsewhere, "http:", "https:", 1), "//example.com/prefix/v2/",
		"http://user@HOST/prefix/v2/a", "/v2/a/blobs/uploads/1",
		"../../../../../v2/", "/prefix/../v2/", "/prefix", "::", "ftp://HOST/prefix/x",
		"/prefix/%2e%2e/admin", "/prefix/x/%2E./..%2fadmin", "/prefix/%252e%252e/admin", "/prefix/..%5cadmin",
	} {
		var host string
		u := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", strings.Replace(location, "HOST", host, 1))
			w.WriteHeader(http.StatusAccepted)
		})
		host = strings.TrimPrefix(u, "http://")
		c := newClient(t, u+"/prefix", &client.Options{Authorize: secret})
		_, err := c.CreateUpload(t.Context(), "a", nil)
		require.ErrorContains(t, err, "no Location at the registry", "%q", location)
		_, err = c.MountBlob(t.Context(), "a", digest.FromString("x"), &registry.MountOptions{From: "b"})
		require.ErrorIs(t, err, registry.ErrBlobUnknown)
	}
	require.Zero(t, asked.Load())
}

// TestUploadIDs checks that an id works only for its owner, in its repository, and for clients with
// the same key.
func TestUploadIDs(t *testing.T) {
	s := registrytest.NewServer(t, nil)
	key := []byte("key")
	c := newClient(t, s.URL, &client.Options{UploadKey: key})
	u, err := c.CreateUpload(t.Context(), "a", &registry.UploadOptions{Owner: "alice"})
	require.NoError(t, err)
	_, err = newClient(t, s.URL, &client.Options{UploadKey: key}).ResumeUpload(t.Context(), "a", u.ID(),
		&registry.ResumeOptions{Owner: "alice"})
	require.NoError(t, err)
	for _, other := range []*client.Client{newClient(t, s.URL, nil),
		newClient(t, s.URL+"/x", &client.Options{UploadKey: key})} {
		_, err = other.ResumeUpload(t.Context(), "a", u.ID(), &registry.ResumeOptions{Owner: "alice"})
		require.ErrorIs(t, err, registry.ErrUploadUnknown)
	}
	// A forged id causes no request.
	n := 0
	c = newClient(t, serve(t, func(http.ResponseWriter, *http.Request) { n++ }), nil)
	for _, payload := range []string{"\x00s1", "\x00w/v2/a/blobs/uploads/1", "\x00whttp://example.com/"} {
		_, err := c.ResumeUpload(t.Context(), "a",
			base64.RawURLEncoding.EncodeToString([]byte(strings.Repeat("m", 16+8)+payload)),
			&registry.ResumeOptions{Owner: "alice"})
		require.ErrorIs(t, err, registry.ErrUploadUnknown)
	}
	require.Zero(t, n)
}

// TestNextPageElsewhereRefused checks that the next page must be a page of the same list.
func TestNextPageElsewhereRefused(t *testing.T) {
	for _, link := range []string{
		"<http://example.com/v2/a/tags/list>; rel=next", "</v2/b/tags/list>; rel=next", "</v2/_catalog>; rel=\"next\"",
		"<//example.com/v2/a/tags/list>; rel=next", "<::>; rel=next",
	} {
		c := newClient(t, serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Link", link)
			_, _ = io.WriteString(w, `{"tags":["v1"]}`)
		}), nil)
		tags, err := collect(c.Tags(t.Context(), "a", nil))
		require.Equal(t, []string{"v1"}, tags)
		require.ErrorContains(t, err, "the link to the next page leads elsewhere", link)
	}
}

// TestListEndlessPagesFail checks that endless pages end with an error.
func TestListEndlessPagesFail(t *testing.T) {
	n := 0
	c := newClient(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
		n++
		w.Header().Set("Link", fmt.Sprintf(`<%s?page=%d>; rel="next"`, r.URL.Path, n))
		_, _ = io.WriteString(w, `{"tags":[]}`)
	}), nil)
	_, err := collect(c.Tags(t.Context(), "a", nil))
	require.ErrorContains(t, err, "do not end")
	require.LessOrEqual(t, n, 300, "empty pages are allowed: the caller may see nothing on them")
}

func collect(list func(func(string, error) bool)) (all []string, err error) {
	for v, err := range list {
		if err != nil {
			return all, err
		}
		all = append(all, v)
	}
	return all, nil
}

// TestListsAreChecked checks that malformed names and unordered pages are rejected.
func TestListsAreChecked(t *testing.T) {
	for body, want := range map[string]string{
		`{"tags":["a","../b"]}`: "other content", `{"tags":["b","a"]}`: "not in order",
		`{"tags":["a","a"]}`: "not in order", `{"tags":"a"}`: "malformed list", `{"tags":[1]}`: "cannot unmarshal",
		`[]`: "malformed list", ``: "unexpected EOF", `{"tags":["a"]`: "unexpected EOF", `{"tags":["a"]} {`: "malformed list",
		`{"tags":["a"}`: "invalid character", `{"tags":["a` + strings.Repeat("x", 2000): "too much",
	} {
		c := newClient(t, serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) }),
			&client.Options{MaxListSize: 1000})
		_, err := collect(c.Tags(t.Context(), "a", nil))
		require.ErrorContains(t, err, want, body)
		_, err = collect(c.Repositories(t.Context(), nil))
		if strings.HasPrefix(body, `{"tags":`) {
			continue // members other than the list are not checked
		}
		require.Error(t, err)
	}
	for _, body := range []string{
		`{"manifests":[{"digest":"sha256:../x"}]}`, `{"manifests":[{}]}`, `[]`, strings.Repeat(" ", 1001),
	} {
		c := newClient(t, serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) }),
			&client.Options{MaxListSize: 1000})
		for _, err := range c.Referrers(t.Context(), "a", digest.FromString("x"), nil) {
			require.Error(t, err, body)
		}
	}
}

// TestGetManifestWrongContentFails checks that a manifest with another digest or an ambiguous type
// is rejected.
func TestGetManifestWrongContentFails(t *testing.T) {
	img := registrytest.RandomImage(1, 1, 10)
	right, other := img.Descriptor.Digest, digest.FromString("another")
	type response struct {
		body, mediaType string
		digest          digest.Digest
	}
	for name, a := range map[string]response{
		"other content": {"{}", img.Descriptor.MediaType, ""},
		"other type":    {string(img.Manifest), ocispec.MediaTypeImageIndex, right},
		"too much":      {string(img.Manifest) + strings.Repeat(" ", 4000), img.Descriptor.MediaType, ""},
	} {
		c := newClient(t, serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", a.mediaType)
			if a.digest != "" {
				w.Header().Set("Docker-Content-Digest", string(a.digest))
			}
			_, _ = io.WriteString(w, a.body)
		}), &client.Options{MaxManifestSize: 2000})
		_, err := c.GetManifest(t.Context(), "a", reference.Ref{Digest: right})
		require.Error(t, err, name)
		if name == "too much" {
			require.ErrorIs(t, err, client.ErrTooLarge)
		} else {
			require.ErrorIs(t, err, client.ErrContent)
		}
	}
	// By tag, only the header states a digest to compare.
	c := newClient(t, serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Docker-Content-Digest", string(other))
		w.Header().Set("Content-Type", img.Descriptor.MediaType)
		_, _ = w.Write(img.Manifest)
	}), nil)
	_, err := c.GetManifest(t.Context(), "a", reference.Ref{Tag: "v1"})
	require.ErrorIs(t, err, client.ErrContent)
	_, err = c.StatManifest(t.Context(), "a", reference.Ref{Digest: right}, nil)
	require.ErrorIs(t, err, client.ErrContent)
	_, err = c.StatBlob(t.Context(), "a", right, nil)
	require.ErrorIs(t, err, client.ErrContent)
	_, err = c.PutManifest(t.Context(), "a", "", img.Manifest, nil)
	require.Error(t, err)
}

// TestReadBlobWrongContentFails checks that reading a blob with wrong content never succeeds to its
// end.
func TestReadBlobWrongContentFails(t *testing.T) {
	content := registrytest.RandomBytes(1, 100_000)
	d := digest.FromBytes(content)
	flipped := bytes.Clone(content)
	flipped[50_000] ^= 1
	read := func(f http.HandlerFunc) ([]byte, error) {
		c := newClient(t, serve(t, f), nil)
		blob, err := c.OpenBlob(t.Context(), "a", d, nil)
		if err != nil {
			return nil, err
		}
		defer blob.Body.Close()
		return io.ReadAll(blob.Body)
	}
	got, err := read(func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(flipped))
	})
	require.ErrorIs(t, err, client.ErrContent)
	require.Less(t, len(got), len(content), "the end is kept back")
	for _, size := range []int{len(content) - 1, len(content) + 1} {
		_, err = read(func(w http.ResponseWriter, r *http.Request) {
			body := content
			if r.Method == http.MethodGet {
				body = append(bytes.Clone(content), 0)[:size]
			}
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
		})
		require.ErrorIs(t, err, client.ErrContent, "%d bytes", size)
	}
	_, err = read(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(len(content)))
		if r.Method == http.MethodGet {
			_, _ = w.Write(content[:60_000])
			panic(http.ErrAbortHandler)
		}
	})
	require.ErrorIs(t, err, registry.ErrUnavailable, "cut off")
	empty := digest.FromString("not empty")
	c := newClient(t, serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "0")
	}), nil)
	blob, err := c.OpenBlob(t.Context(), "a", empty, nil)
	require.NoError(t, err)
	_, err = io.ReadAll(blob.Body)
	require.ErrorIs(t, err, client.ErrContent, "an empty one")
}

func TestNewRefuses(t *testing.T) {
	for _, u := range []string{
		"", "example.com", "ftp://example.com", "http://", "https://user:password@example.com", "http://example.com?x",
		"http://example.com#x", "http:x", "http://[", "/v2/",
	} {
		_, err := client.New(u, nil)
		require.Error(t, err, u)
		require.NotContains(t, err.Error(), "password")
	}
	_, err := client.New("http://example.com", &client.Options{MaxListSize: -1})
	require.Error(t, err)
}

// TestMalformedNamesNotSent checks that names that could change the URL are not sent.
func TestMalformedNamesNotSent(t *testing.T) {
	n := 0
	c := newClient(t, serve(t, func(http.ResponseWriter, *http.Request) { n++ }), nil)
	for _, bad := range []string{"", "..", "a/../b", "a?x", "a#x", "a%2fb", "A"} {
		_, err := c.StatBlob(t.Context(), bad, digest.FromString("x"), nil)
		require.ErrorIs(t, err, registry.ErrNameInvalid)
		_, err = c.MountBlob(t.Context(), "a", digest.FromString("x"), &registry.MountOptions{From: bad + "/"})
		require.ErrorIs(t, err, registry.ErrNameInvalid)
	}
	_, err := c.GetManifest(t.Context(), "a", reference.Ref{Tag: "../x"})
	require.ErrorIs(t, err, registry.ErrTagInvalid)
	_, err = c.GetManifest(t.Context(), "a", reference.Ref{Digest: "sha256:../x"})
	require.ErrorIs(t, err, registry.ErrDigestInvalid)
	_, err = c.PutManifest(t.Context(), "a", "application/json\r\nX: y", []byte("{}"), nil)
	require.ErrorIs(t, err, registry.ErrManifestInvalid)
	require.Zero(t, n)
}

// TestSecretsStayOutOfErrors checks that errors contain neither the query of a signed URL nor
// credentials.
func TestSecretsStayOutOfErrors(t *testing.T) {
	gone := serve(t, func(http.ResponseWriter, *http.Request) {})
	u, err := url.Parse(gone)
	require.NoError(t, err)
	c := newClient(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://"+u.Hostname()+":1/x?signature=hunter2", http.StatusFound)
	}), &client.Options{Authorize: secret})
	_, err = c.GetManifest(t.Context(), "a", reference.Ref{Tag: "v1"})
	require.ErrorIs(t, err, registry.ErrUnavailable)
	require.NotContains(t, err.Error(), "hunter2")
	require.NotContains(t, err.Error(), "secret")
}

package client_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/client"
	"github.com/registrykit/registry/reference"
)

// seen records the requests that a server received, and which of them had credentials.
type seen struct {
	mu   sync.Mutex
	with map[string]bool // key: method, path and query
}

func (s *seen) add(r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.with == nil {
		s.with = map[string]bool{}
	}
	s.with[r.Method+" "+r.URL.RequestURI()] = hasSecret(r)
}

// TestCredentialsEndAtForeignHost checks that a host that a redirect leads to cannot send the
// credentials to a path of its choice at the registry, neither with a redirect nor with a next
// link.
func TestCredentialsEndAtForeignHost(t *testing.T) {
	var home, foreign string
	var got seen
	foreign = serve(t, func(w http.ResponseWriter, r *http.Request) {
		require.False(t, hasSecret(r))
		if !strings.Contains(r.URL.Path, "list") {
			http.Redirect(w, r, home+"/v2/victim/blobs/chosen", http.StatusTemporaryRedirect)
			return
		}
		// The next page is at the registry, with a query that this host chooses.
		w.Header().Set("Link", `<`+home+`/v2/a/tags/list?chosen=1>; rel="next"`)
		_, _ = io.WriteString(w, `{"tags":["a"]}`)
	})
	home = serve(t, func(w http.ResponseWriter, r *http.Request) {
		got.add(r)
		switch {
		case r.URL.Query().Get("chosen") == "2":
			_, _ = io.WriteString(w, `{"tags":["c"]}`)
		case r.URL.Query().Get("chosen") == "1":
			w.Header().Set("Link", `</v2/a/tags/list?chosen=2>; rel="next"`)
			_, _ = io.WriteString(w, `{"tags":["b"]}`)
		case strings.HasSuffix(r.URL.Path, "/chosen"):
			http.Redirect(w, r, "/v2/victim/blobs/again", http.StatusFound)
		case !strings.HasPrefix(r.URL.Path, "/v2/victim/"):
			http.Redirect(w, r, foreign+"/"+r.URL.Path, http.StatusTemporaryRedirect)
		}
	})
	c := newClient(t, home, &client.Options{Authorize: secret})
	_, err := c.StatBlob(t.Context(), "a", digest.FromString("x"), nil)
	require.Error(t, err)
	_, err = c.GetManifest(t.Context(), "a", reference.Ref{Tag: "v1"})
	require.Error(t, err)
	tags, err := collect(c.Tags(t.Context(), "a", nil))
	require.NoError(t, err)
	require.Equal(t, []string{"a", "b", "c"}, tags)

	require.Equal(t, map[string]bool{
		"HEAD /v2/a/blobs/" + string(digest.FromString("x")): true,
		"GET /v2/a/manifests/v1":                             true,
		"GET /v2/a/tags/list?n=1000":                         true,
		"HEAD /v2/victim/blobs/chosen":                       false,
		"HEAD /v2/victim/blobs/again":                        false,
		"GET /v2/victim/blobs/chosen":                        false,
		"GET /v2/victim/blobs/again":                         false,
		"GET /v2/a/tags/list?chosen=1":                       false,
		"GET /v2/a/tags/list?chosen=2":                       false,
	}, got.with)
}

// TestUploadForeignHostNotAsked checks that only the registry itself states the location and size
// of an upload. Another host could move it to a path of its choice.
func TestUploadForeignHostNotAsked(t *testing.T) {
	var home string
	var got seen
	foreign := serve(t, func(w http.ResponseWriter, r *http.Request) {
		t.Error("asked")
		w.Header().Set("Location", home+"/v2/victim/blobs/uploads/chosen")
		w.Header().Set("Range", "0-4")
		w.WriteHeader(http.StatusNoContent)
	})
	home = serve(t, func(w http.ResponseWriter, r *http.Request) {
		got.add(r)
		w.Header().Set("Location", "/v2/a/blobs/uploads/1")
		switch r.Method {
		case http.MethodPost:
			w.WriteHeader(http.StatusAccepted)
		case http.MethodGet:
			http.Redirect(w, r, foreign+"/x", http.StatusTemporaryRedirect)
		default:
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	c := newClient(t, home, &client.Options{Authorize: secret})
	u, err := c.CreateUpload(t.Context(), "a", nil)
	require.NoError(t, err)
	n, err := u.Append(t.Context(), 0, 5, strings.NewReader("hello"))
	require.Error(t, err)
	require.Zero(t, n)
	_, err = c.ResumeUpload(t.Context(), "a", u.ID(), nil)
	require.ErrorContains(t, err, "to another host")
	require.Error(t, u.Cancel(t.Context()))
	for request := range got.with {
		require.NotContains(t, request, "victim")
	}
}

// TestAppendNeverMoreThanSent checks that Append returns at most the number of bytes that it read,
// even if the registry reports more.
func TestAppendNeverMoreThanSent(t *testing.T) {
	for _, last := range []int64{1<<60 - 2, 1 << 40, 5, 4, 2} {
		c := newClient(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", "/v2/a/blobs/uploads/x")
			if n, _ := io.Copy(io.Discard, r.Body); n > 0 {
				w.Header().Set("Range", fmt.Sprintf("0-%d", last))
			}
			w.WriteHeader(http.StatusAccepted)
		}), nil)
		for _, length := range []int64{5, -1} {
			u, err := c.CreateUpload(t.Context(), "a", nil)
			require.NoError(t, err)
			n, err := u.Append(t.Context(), 0, length, strings.NewReader("hello"))
			if last != 4 {
				require.ErrorIs(t, err, registry.ErrRangeInvalid)
			}
			require.Equal(t, min(last+1, 5), n)
		}
	}
}

// TestUploadLocationTooLongRefused checks that a Location that does not fit into an id is rejected
// before anything is sent there.
func TestUploadLocationTooLongRefused(t *testing.T) {
	for length, want := range map[int]string{6000: "", 7000: "too long", 500_000: "too long"} {
		c := newClient(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", "/v2/a/blobs/uploads/"+strings.Repeat("x", length))
			w.WriteHeader(map[bool]int{true: http.StatusAccepted, false: http.StatusNoContent}[r.Method == http.MethodPost])
		}), nil)
		u, err := c.CreateUpload(t.Context(), "a", nil)
		if want != "" {
			require.ErrorContains(t, err, want)
			continue
		}
		require.NoError(t, err)
		_, err = c.ResumeUpload(t.Context(), "a", u.ID(), nil)
		require.NoError(t, err)
	}
}

// TestStatManifestImplausibleRefused checks that an implausible size is not passed on, and that a
// malformed type is replaced by that of the content.
func TestStatManifestImplausibleRefused(t *testing.T) {
	d := digest.FromString("x")
	mediaType, size := "application/json", "4194305"
	c := newClient(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Docker-Content-Digest", string(d))
		w.Header().Set("Content-Type", mediaType)
		w.Header().Set("Content-Length", size)
	}), nil)
	_, err := c.StatManifest(t.Context(), "a", reference.Ref{Tag: "v1"}, nil)
	require.ErrorIs(t, err, client.ErrTooLarge)
	size = "4194304"
	_, err = c.StatManifest(t.Context(), "a", reference.Ref{Tag: "v1"}, nil)
	require.NoError(t, err)
	mediaType, size = "application/"+strings.Repeat("x", 300), "2"
	_, err = c.StatManifest(t.Context(), "a", reference.Ref{Tag: "v1"}, nil)
	require.Error(t, err)
}

// TestListSizeCountsAllBytes checks that MaxListSize covers all bytes of a response, not only
// elements.
func TestListSizeCountsAllBytes(t *testing.T) {
	padding := strings.Repeat(" ", 300)
	for name, page := range map[string]string{
		"white space at the end": `{%s}` + padding,
		"white space before":     padding + `{%s}`,
		"white space within":     `{` + padding + `%s}`,
		"unknown member":         `{"x":"` + padding + `",%s}`,
		"many unknown members":   `{` + strings.Repeat(`"x":{},`, 40) + `%s}`,
	} {
		asked, elements := 0, func(int) string { return "" }
		c := newClient(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
			asked++
			w.Header().Set("Link", fmt.Sprintf(`<%s?page=%d>; rel="next"`, r.URL.Path, asked))
			_, _ = fmt.Fprintf(w, page, elements(asked))
		}), &client.Options{MaxListSize: 1000})

		elements = func(n int) string {
			return fmt.Sprintf(`"manifests":[{"digest":%q}]`, digest.FromString(fmt.Sprint(n)))
		}
		for _, err := range c.Referrers(t.Context(), "a", digest.FromString("x"), nil) {
			require.ErrorIs(t, err, client.ErrTooLarge, name)
		}
		require.LessOrEqual(t, asked, 4, name)

		// Consecutive empty pages count together, until a page has a name.
		for _, list := range []string{"tags", "repositories"} {
			asked = 0
			elements = func(n int) string {
				if n == 3 {
					return `"` + list + `":["a"]`
				}
				return `"` + list + `":[]`
			}
			names, err := collect(c.Tags(t.Context(), "a", nil))
			if list == "repositories" {
				asked = 0
				names, err = collect(c.Repositories(t.Context(), nil))
			}
			require.ErrorIs(t, err, client.ErrTooLarge, name)
			require.Equal(t, []string{"a"}, names, name)
			require.LessOrEqual(t, asked, 7, name)
		}

		// The limit does not apply to the sum of pages with names.
		asked = 0
		elements = func(n int) string { return fmt.Sprintf(`"tags":["%04d"]`, n) }
		n := 0
		for _, err := range c.Tags(t.Context(), "a", nil) {
			require.NoError(t, err)
			if n++; n == 20 {
				break
			}
		}
		require.Equal(t, 20, n)
	}
}

package client_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/client"
)

// TestHeadersAreBounded checks that a response with too many headers is an error.
func TestHeadersAreBounded(t *testing.T) {
	c := newClient(t, serve(t, func(w http.ResponseWriter, _ *http.Request) {
		for i := range 20 {
			w.Header().Set(fmt.Sprintf("X-%d", i), strings.Repeat("x", 60_000))
		}
	}), nil)
	_, err := c.Fetch(t.Context(), "a", digest.FromString("x"), nil)
	require.ErrorIs(t, err, client.ErrTooLarge)
}

// TestChallengeRepeatsOnce checks that Challenge decides whether a request is sent once more.
func TestChallengeRepeatsOnce(t *testing.T) {
	var bodies []string
	want, n, status := "Bearer 2", 0, http.StatusUnauthorized
	failure := `{"errors":[{"code":"DENIED","message":"your token has expired"}]}`
	var challenge func(*http.Response) (bool, error)
	opts := &client.Options{
		Authorize: func(r *http.Request) error {
			n++
			r.Header.Set("Authorization", "Bearer "+strconv.Itoa(n))
			return nil
		},
		Challenge: func(res *http.Response) (bool, error) { return challenge(res) },
	}
	c := newClient(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		bodies = append(bodies, r.Header.Get("Authorization")+" "+string(b))
		w.Header().Set("Location", "/v2/a/blobs/uploads/1")
		if r.Header.Get("Authorization") != want {
			w.Header().Set("WWW-Authenticate", "Basic")
			w.WriteHeader(status)
			_, _ = io.WriteString(w, failure)
			return
		}
		w.WriteHeader(http.StatusCreated)
	}), opts)
	put := func() error {
		_, err := c.PutManifest(t.Context(), "a", "application/json", []byte("{}"), nil)
		return err
	}

	for _, status = range []int{http.StatusUnauthorized, http.StatusForbidden} {
		bodies, n = nil, 0
		challenge = func(res *http.Response) (bool, error) {
			require.Equal(t, "Bearer 1", res.Request.Header.Get("Authorization"))
			require.Equal(t, status, res.StatusCode)
			require.NoError(t, res.Request.Context().Err())
			b, err := io.ReadAll(res.Body)
			require.Equal(t, failure, string(b))
			return true, err
		}
		require.NoError(t, put())
		require.Equal(t, []string{"Bearer 1 {}", "Bearer 2 {}"}, bodies)
	}

	// The repeated request is not repeated again, and the text of the last response counts.
	bodies, n, want = nil, 0, "Bearer never"
	called := 0
	challenge = func(*http.Response) (bool, error) { called++; return true, nil }
	err := put()
	require.Equal(t, 2, called)
	require.ErrorIs(t, err, registry.ErrDenied)
	require.ErrorContains(t, err, "has expired")
	require.Len(t, bodies, 2)

	// Without a repetition, the error is that of the response.
	bodies, n = nil, 0
	challenge = func(*http.Response) (bool, error) { return false, nil }
	require.ErrorContains(t, put(), "has expired")
	require.Len(t, bodies, 1)

	stop := errors.New("stop")
	challenge = func(*http.Response) (bool, error) { return true, stop }
	require.ErrorIs(t, put(), stop)
	require.Len(t, bodies, 2)
}

// TestChallengeOnlyWithCredentials checks that Challenge gets no response of another host, and none
// to a request that carried no credentials.
func TestChallengeOnlyWithCredentials(t *testing.T) {
	var home string
	elsewhere := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/back" {
			http.Redirect(w, r, home+"/refused", http.StatusFound)
			return
		}
		w.Header().Set("WWW-Authenticate", "Basic")
		w.WriteHeader(http.StatusUnauthorized)
	})
	target := "/"
	home = serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/refused" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		http.Redirect(w, r, elsewhere+target, http.StatusFound)
	})
	var observed []string
	c := newClient(t, home, &client.Options{
		Authorize: secret,
		Challenge: func(*http.Response) (bool, error) { t.Error("asked"); return true, nil },
		Observe: func(res *http.Response) {
			observed = append(observed, fmt.Sprint(res.StatusCode, " ", res.Request.URL.Host))
		},
	})
	_, err := c.Fetch(t.Context(), "a", digest.FromString("x"), nil)
	require.ErrorIs(t, err, registry.ErrUnavailable)
	host := strings.TrimPrefix(home, "http://")
	require.Equal(t, []string{"302 " + host}, observed)
	target, observed = "/back", nil
	_, err = c.Fetch(t.Context(), "a", digest.FromString("x"), nil)
	require.ErrorIs(t, err, registry.ErrUnavailable)
	require.Equal(t, []string{"302 " + host, "401 " + host}, observed)
}

// TestChallengeBodyIsBounded checks that Challenge gets a part of a long body, and that a request
// whose body cannot be sent twice is not repeated.
func TestChallengeBodyIsBounded(t *testing.T) {
	n := 0
	c := newClient(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if r.Method == http.MethodPost {
			w.Header().Set("Location", "/v2/a/blobs/uploads/1")
			w.WriteHeader(http.StatusAccepted)
			return
		}
		if r.Method == http.MethodPatch {
			n++
		}
		w.WriteHeader(http.StatusForbidden)
		_, _ = w.Write(make([]byte, 10<<20))
	}), &client.Options{Authorize: secret, Challenge: func(res *http.Response) (bool, error) {
		b, err := io.ReadAll(res.Body)
		require.Len(t, b, 64<<10)
		return true, err
	}})
	u, err := c.CreateUpload(t.Context(), "a", nil)
	require.NoError(t, err)
	_, err = u.Append(t.Context(), 0, 5, strings.NewReader("hello"))
	require.ErrorIs(t, err, registry.ErrDenied)
	require.Equal(t, 1, n)
}

// TestHeaderIsSent checks that Options.Header is sent and does not replace the client's own headers.
func TestHeaderIsSent(t *testing.T) {
	via := strings.ToLower("Via") // not canonical
	h := http.Header{via: {"1.1 a", "1.1 b"}, "Range": {"bytes=0-0"}, "User-Agent": {"x"}, "Accept-Encoding": {"gzip"}}
	var got http.Header
	c := newClient(t, serve(t, func(_ http.ResponseWriter, r *http.Request) { got = r.Header }),
		&client.Options{Header: h, UserAgent: "mine"})
	h[via][0] = "changed"
	f, err := c.Fetch(t.Context(), "a", digest.FromString("x"), &client.FetchOptions{Offset: 7})
	require.NoError(t, err)
	require.NoError(t, f.Body.Close())
	require.Equal(t, []string{"1.1 a", "1.1 b"}, got.Values("Via"))
	require.Equal(t, []string{"bytes=7-"}, got.Values("Range"))
	require.Equal(t, []string{"mine"}, got.Values("User-Agent"))
	require.Equal(t, []string{"identity"}, got.Values("Accept-Encoding"))
}

// TestGoneCountsAsNotFound checks that 410 means the same as 404.
func TestGoneCountsAsNotFound(t *testing.T) {
	c := newClient(t, serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusGone) }), nil)
	_, err := c.Fetch(t.Context(), "a", digest.FromString("x"), nil)
	require.ErrorIs(t, err, registry.ErrBlobUnknown)
	_, err = c.StatBlob(t.Context(), "a", digest.FromString("x"), nil)
	require.ErrorIs(t, err, registry.ErrBlobUnknown)
}

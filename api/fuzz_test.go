package api_test

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/internal/apicheck"
	"github.com/registrykit/registry/registrytest"
)

// fuzzRequests is the number of requests of TestFuzz. `make hub` sends requests for 10 minutes.
const fuzzRequests = 3000

// TestFuzz sends requests that are made from the description of an API with all parts, right and wrong ones, as several
// callers. No response may have a status of 500 or more, or be outside the description.
func TestFuzz(t *testing.T) {
	base := newMatrixSite(t)
	c := base.with(t)
	seed := uint64(time.Now().UnixNano())
	t.Log("seed", seed)
	g := apicheck.NewGenerator(base.check, seed, map[string][]string{
		"user": {"read", "write", "owner", "admin"}, "organisation": {"acme"}, "namespace": {"acme", "read"},
		"account": {"read", "acme+deploy"}, "team": {"write"}, "robot": {"deploy"}, "tag": {"v1"}, "reference": {"v1"},
		"repository": {"acme/app", "hub.example/library/app"}, "job": {"collect"}, "prefix": {"acme", "read", "~"},
	})
	callers := []string{"", "read", "owner", "admin", "admin", "robot", "readtoken", "ses"}
	statuses := map[int]int{}
	for i := range fuzzRequests {
		if i%200 == 0 { // the requests also remove the callers
			c.renew(t)
		}
		statuses[c.current.fuzzAs(t, g, g.Next(), base.headers[callers[i%len(callers)]])]++
	}
	t.Log("statuses", statuses)
	require.Greater(t, statuses[200], fuzzRequests/20)
}

// fuzz sends a generated request, and compares the response with the description. It returns the status, or 0 if the
// request could not be sent.
func (s *site) fuzz(t *testing.T, g *apicheck.Generator, r apicheck.Request, user string) int {
	t.Helper()
	login := ""
	if user != "" {
		login = authorization(user, password)
	}
	return s.fuzzAs(t, g, r, login)
}

// fuzzAs is fuzz with the value of the header Authorization, or "".
func (s *site) fuzzAs(t *testing.T, g *apicheck.Generator, r apicheck.Request, login string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), r.Method, s.url+"/api"+r.Path, bytes.NewReader(r.Body))
	if err != nil {
		return 0 // net/http sends no such request
	}
	req.Header = r.Header
	if login != "" {
		req.Header.Set("Authorization", login)
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	require.NoError(t, err, "%s %s", r.Method, r.Path)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.Less(t, res.StatusCode, 500, "%s %s %s: %s", r.Method, r.Path, r.Body, body)
	described := req.Clone(t.Context())
	described.URL.Path = strings.TrimPrefix(req.URL.Path, "/api")
	described.URL.RawPath = strings.TrimPrefix(req.URL.RawPath, "/api")
	require.NoError(t, s.check.Check(apicheck.Exchange{Request: described, RequestBody: r.Body, Status: res.StatusCode,
		Header: res.Header, ResponseBody: body}), "%s", body)
	g.Learn(r, res.Header, body)
	return res.StatusCode
}

// TestFuzzRepositories is TestFuzz with content, and with the parts that show it.
func TestFuzzRepositories(t *testing.T) {
	c := newContentSite(t)
	_, err := c.meter.Count(t.Context(), nil)
	require.NoError(t, err)
	require.NoError(t, c.index.Refresh(t.Context()))
	seed := uint64(time.Now().UnixNano())
	t.Log("seed", seed)
	one, two := imageOne.Descriptor.Digest.String(), imageTwo.Descriptor.Digest.String()
	g := apicheck.NewGenerator(c.check, seed, map[string][]string{
		"repository": {"acme/app", "acme/app", "acme/web", "ann/tool", "none"}, "tag": {"v1", "v2", "latest"},
		"reference": {"v1", "latest", one, two}, "q": {"a", "app"}, "prefix": {"acme", "acme/app", "ann"},
		"digest": {one, two}, "to": {one, two}, "If-Match": {"*", `"` + one + `"`}, "If-None-Match": {"*", `"` + two + `"`},
		"user": {"ann", "bob"}, "organisation": {"acme"}, "namespace": {"acme", "ann"},
	})
	statuses := map[int]int{}
	for i := range fuzzRequests {
		if i%100 == 0 { // the requests also delete
			require.NoError(t, imageOne.Push(t.Context(), c.store, "acme/app", "v1", "latest"))
			require.NoError(t, imageTwo.Push(t.Context(), c.store, "acme/app", "v2"))
			require.NoError(t, registrytest.Artifact("a/b", imageOne.Descriptor, nil).Push(t.Context(), c.store, "acme/app"))
		}
		r := g.Next()
		for !strings.HasPrefix(r.Path, "/v1/repositories") && !strings.HasPrefix(r.Path, "/v1/search") &&
			!strings.HasPrefix(r.Path, "/v1/usage") && !strings.HasPrefix(r.Path, "/v1/rules") {
			r = g.Next()
		}
		statuses[c.fuzz(t, g, r, []string{"", "ann", "bob", "boss", "ann"}[i%5])]++
	}
	t.Log("statuses", statuses)
	require.Greater(t, statuses[200], fuzzRequests/20)
}

package rules_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/rules"
	"github.com/registrykit/registry/auth/token"
	"github.com/registrykit/registry/registrytest"
	"github.com/registrykit/registry/storage"
)

// people are the users. They log in by Basic, with the password "pw".
type people map[string]auth.Identity

func (p people) Authenticate(r *http.Request) (auth.Identity, error) {
	name, password, ok := r.BasicAuth()
	if !ok {
		return auth.Identity{}, nil
	}
	who, known := p[name]
	if !known || password != "pw" {
		return auth.Identity{}, auth.ErrCredentials
	}
	who.Name = name
	return who, nil
}

func (people) Challenge(*http.Request, []auth.Access) string { return `Basic realm="test"` }

// site is a registry over HTTP. Its clients follow the challenges that they get.
type site struct {
	t      *testing.T
	url    string
	store  *storage.Store
	tokens bool
	last   string // body of the last response
}

// eachWay runs a test twice: with passwords, and with tokens.
func eachWay(t *testing.T, who people, text string, test func(t *testing.T, s *site)) {
	for _, tokens := range []bool{false, true} {
		t.Run(map[bool]string{false: "Basic", true: "Bearer"}[tokens], func(t *testing.T) {
			access, err := rules.Parse([]byte(text))
			require.NoError(t, err)
			s := &site{t: t, store: registrytest.NewStore(t), tokens: tokens}
			opts := &registry.Options{Authenticator: who, Authorizer: access}
			wrap := func(h http.Handler) http.Handler { return h }
			if tokens {
				tokens, err := token.New(s.store, who, access, &token.Options{Always: true})
				require.NoError(t, err)
				opts.Authenticator, opts.Authorizer, wrap = tokens, tokens, tokens.Handler
			}
			reg, err := registry.New(s.store, opts)
			require.NoError(t, err)
			server := httptest.NewServer(wrap(reg))
			t.Cleanup(server.Close)
			s.url = server.URL
			test(t, s)
		})
	}
}

var challenged = regexp.MustCompile(`^Bearer realm="([^"]*)",service="([^"]*)"(?:,scope="([^"]*)")?`)

// do sends a request as a user, or anonymously if as is "". After a challenge, it sends the request
// again with credentials. It returns the last status.
func (s *site) do(as, method, path string, body []byte, mediaType string) int {
	s.t.Helper()
	res := s.send(method, s.url+path, body, mediaType, "")
	challenge := res.Header.Get("WWW-Authenticate")
	if res.StatusCode != http.StatusUnauthorized {
		return res.StatusCode
	}
	basic := ""
	if as != "" {
		r := &http.Request{Header: http.Header{}}
		r.SetBasicAuth(as, "pw")
		basic = r.Header.Get("Authorization")
	}
	if strings.HasPrefix(challenge, "Basic ") {
		return s.send(method, s.url+path, body, mediaType, basic).StatusCode
	}
	asked := challenged.FindStringSubmatch(challenge)
	require.NotNil(s.t, asked, challenge)
	q := url.Values{"service": {asked[2]}, "scope": {asked[3]}}
	require.Equal(s.t, 200, s.send("GET", asked[1]+"?"+q.Encode(), nil, "", basic).StatusCode)
	var response struct{ Token string }
	require.NoError(s.t, json.Unmarshal([]byte(s.last), &response))
	return s.send(method, s.url+path, body, mediaType, "Bearer "+response.Token).StatusCode
}

func (s *site) send(method, to string, body []byte, mediaType, authorization string) *http.Response {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, to, bytes.NewReader(body))
	require.NoError(s.t, err)
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	if mediaType != "" {
		req.Header.Set("Content-Type", mediaType)
	}
	res, err := http.DefaultClient.Do(req)
	require.NoError(s.t, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	require.NoError(s.t, err)
	s.last = string(b)
	return res
}

// push pushes an image as a client does. It returns the status of the first failure, or 201.
func (s *site) push(as, repo, ref string, img *registrytest.Content) int {
	s.t.Helper()
	for _, blob := range img.Blobs {
		d := string(digest.FromBytes(blob))
		if status := s.do(as, "POST", "/v2/"+repo+"/blobs/uploads/?digest="+d, blob,
			"application/octet-stream"); status != http.StatusCreated {
			return status
		}
	}
	return s.do(as, "PUT", "/v2/"+repo+"/manifests/"+ref, img.Manifest, img.Descriptor.MediaType)
}

func (s *site) pull(as, repo, ref string) int {
	s.t.Helper()
	return s.do(as, "GET", "/v2/"+repo+"/manifests/"+ref, nil, "")
}

// refused requires the status of a refusal: 401 if other credentials could suffice, otherwise 403.
func refused(t *testing.T, status int) {
	t.Helper()
	require.Contains(t, []int{http.StatusUnauthorized, http.StatusForbidden}, status)
}

func TestTeamPushesOverHTTP(t *testing.T) {
	eachWay(t, people{"ann": {Groups: []string{"team"}}, "eve": {}}, `
rules:
  - {who: {group: team}, repositories: "**", actions: [pull, push, overwrite]}
  - {who: everyone, repositories: "apps/**", actions: pull}
`, func(t *testing.T, s *site) {
		one, two := registrytest.RandomImage(1, 1, 10), registrytest.RandomImage(2, 1, 10)
		require.Equal(t, 201, s.push("ann", "apps/shop", "latest", one))
		require.Equal(t, 201, s.push("ann", "apps/shop", "latest", two))
		require.Equal(t, 201, s.push("ann", "internal/tool", "v1", one))
		for _, who := range []string{"", "eve", "ann"} {
			require.Equal(t, 200, s.pull(who, "apps/shop", "latest"))
			require.Equal(t, 200, s.do(who, "GET", "/v2/apps/shop/blobs/"+string(digest.FromBytes(two.Blobs[0])), nil, ""))
			require.Equal(t, 200, s.do(who, "GET", "/v2/apps/shop/tags/list", nil, ""))
		}
		for _, who := range []string{"", "eve"} {
			refused(t, s.pull(who, "internal/tool", "v1"))
			refused(t, s.pull(who, "internal/none", "v1"))
			refused(t, s.push(who, "apps/shop", "v2", one))
		}
		refused(t, s.do("ann", "DELETE", "/v2/apps/shop/manifests/latest", nil, ""))
		refused(t, s.do("ann", "GET", "/v2/_catalog", nil, ""))
	})
}

func TestNamespacesOverHTTP(t *testing.T) {
	eachWay(t, people{"acme": {}, "acme-2": {}, "Acme": {}, "*": {}, "customers": {}}, `
rules:
  - {who: authenticated, repositories: "customers/{user}/**", actions: "*"}
  - {who: authenticated, actions: catalog}
`, func(t *testing.T, s *site) {
		img := registrytest.RandomImage(1, 1, 10)
		require.Equal(t, 201, s.push("acme", "customers/acme/shop", "v1", img))
		require.Equal(t, 201, s.push("acme", "customers/acme", "v1", img))
		require.Equal(t, 201, s.push("acme-2", "customers/acme-2/shop", "v1", img))
		require.NoError(t, img.Push(t.Context(), s.store, "other", "v1"))
		for _, who := range []string{"", "acme-2", "Acme", "*", "customers"} {
			refused(t, s.pull(who, "customers/acme/shop", "v1"))
			refused(t, s.push(who, "customers/acme/shop", "v1", img))
		}
		for who, want := range map[string]string{"acme": `["customers/acme","customers/acme/shop"]`,
			"acme-2": `["customers/acme-2/shop"]`} {
			require.Equal(t, 200, s.do(who, "GET", "/v2/_catalog", nil, ""))
			require.JSONEq(t, `{"repositories":`+want+`}`, s.last)
			require.NotContains(t, s.last, "other")
		}
		require.Equal(t, 200, s.do("*", "GET", "/v2/_catalog", nil, ""))
		require.JSONEq(t, `{"repositories":[]}`, s.last)
		refused(t, s.do("", "GET", "/v2/_catalog", nil, ""))
		// A mount from a repository of another user becomes an upload, as if it did not exist.
		mount := "/v2/customers/acme-2/shop/blobs/uploads/?from=customers/acme/shop&mount=" +
			string(digest.FromBytes(img.Blobs[0]))
		require.Equal(t, 202, s.do("acme-2", "POST", mount, nil, ""))
		require.Equal(t, 202, s.do("acme", "DELETE", "/v2/customers/acme/shop/manifests/"+string(img.Descriptor.Digest),
			nil, ""))
	})
}

func TestCIPushesOverHTTP(t *testing.T) {
	runner := func(repository, ref string, protected bool) auth.Identity {
		return auth.Identity{Claims: map[string]any{"repository": repository, "ref": ref, "protected": protected,
			"attempt": 3, "roles": []string{"x", "builder"}}}
	}
	eachWay(t, people{
		"main": runner("acme/shop", "refs/heads/main", true), "fix": runner("acme/shop", "refs/heads/fix", true),
		"evil": runner("evil/shop", "refs/heads/main", true),
		"open": runner("acme/shop", "refs/heads/main", false), "ann": {},
	}, `
rules:
  - who: {claim: {repository: "acme/*", ref: refs/heads/main, protected: true, attempt: "[1-3]", roles: builder}}
    repositories: "**"
    actions: [pull, push, overwrite]
  - {who: authenticated, repositories: "**", actions: pull}
`, func(t *testing.T, s *site) {
		img := registrytest.RandomImage(1, 1, 10)
		require.Equal(t, 201, s.push("main", "shop", "v1", img))
		for _, who := range []string{"fix", "evil", "open", "ann"} {
			refused(t, s.push(who, "shop", "v2", img))
			require.Equal(t, 200, s.pull(who, "shop", "v1"))
		}
		refused(t, s.pull("", "shop", "v1"))
	})
}

// TestTagsOverHTTP: rules about tags also hold for tokens, although scopes contain no tags.
func TestTagsOverHTTP(t *testing.T) {
	eachWay(t, people{"dev": {Groups: []string{"devs"}}, "lead": {Groups: []string{"leads"}}, "bot": {}, "janitor": {}}, `
rules:
  - {who: {group: devs}, repositories: "**", tags: "v*", actions: [overwrite, delete], effect: deny}
  - {who: [{group: devs}, {group: leads}], repositories: "**", actions: "*"}
  - {who: {user: bot}, repositories: "**", tags: ["nightly-*", "!nightly-0"], actions: [pull, push, overwrite]}
  - {who: {user: janitor}, repositories: "**", tags: "nightly-*", actions: [pull, delete]}
`, func(t *testing.T, s *site) {
		one, two := registrytest.RandomImage(1, 1, 10), registrytest.RandomImage(2, 1, 10)
		remove := func(as, ref string) int { return s.do(as, "DELETE", "/v2/app/manifests/"+ref, nil, "") }

		// A group may set release tags, but may neither move nor delete them.
		require.Equal(t, 201, s.push("dev", "app", "v1", one))
		require.Equal(t, 409, s.push("dev", "app", "v1", two))
		require.Equal(t, 201, s.push("dev", "app", "latest", one))
		require.Equal(t, 201, s.push("dev", "app", "latest", two))
		require.Equal(t, 202, remove("dev", "latest"))
		refused(t, remove("dev", "v1"))
		refused(t, remove("dev", string(one.Descriptor.Digest)))
		refused(t, s.do("dev", "DELETE", "/v2/app/blobs/"+string(digest.FromBytes(one.Blobs[0])), nil, ""))
		require.Equal(t, 200, s.pull("dev", "app", "v1"))
		require.Equal(t, 201, s.push("lead", "app", "v1", two))
		require.Equal(t, 201, s.push("lead", "app", "v1", one))

		// Permission to push some tags includes blobs and manifests without a tag.
		require.Equal(t, 201, s.push("bot", "app", "nightly-1", one))
		require.Equal(t, 201, s.push("bot", "app", "nightly-1", two))
		require.Equal(t, 201, s.push("bot", "app", string(two.Descriptor.Digest), two))
		for _, tag := range []string{"v1", "v2", "nightly-0", "latest"} {
			refused(t, s.push("bot", "app", tag, two))
			refused(t, s.pull("bot", "app", tag))
		}
		put := "/v2/app/manifests/" + string(two.Descriptor.Digest) + "?tag=nightly-2&tag=v3"
		refused(t, s.do("bot", "PUT", put, two.Manifest, two.Descriptor.MediaType))
		require.Equal(t, 200, s.do("bot", "GET", "/v2/app/tags/list", nil, ""))
		require.Contains(t, s.last, `"tags":["nightly-1"]`)
		require.Equal(t, 200, s.pull("bot", "app", string(one.Descriptor.Digest)), "tags limit names, not content")
		refused(t, remove("bot", "nightly-1"))

		// Permission to delete some tags does not include deletes without a tag.
		require.Equal(t, 202, remove("janitor", "nightly-1"))
		refused(t, remove("janitor", "v1"))
		refused(t, remove("janitor", string(one.Descriptor.Digest)))
		refused(t, s.do("janitor", "DELETE", "/v2/app/blobs/"+string(digest.FromBytes(one.Blobs[0])), nil, ""))
		require.Equal(t, 200, s.pull("lead", "app", "v1"))
	})
}

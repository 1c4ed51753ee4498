package hub

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/internal/apicheck"
	"github.com/registrykit/registry/internal/e2e/harness"
)

// TestFuzz sends requests, right and wrong ones, that are made from the description of a hub. The
// callers are an admin, a user, the holder of a token, a robot, somebody with a session, and nobody.
// No response may have a status of 500 or more, or be outside the description, and the hub may not
// panic. The long form takes 10 minutes.
func TestFuzz(t *testing.T) {
	duration := 15 * time.Second
	if *full {
		duration = 10 * time.Minute
	}
	s := newSite(t, 1, harness.Options{Storage: filepath.Join(t.TempDir(), "data")})
	callers := s.populate(t)
	check, err := apicheck.New(s.want(t, 200, login{}, "GET", "/api/v1/openapi.json", "").body)
	require.NoError(t, err)
	seed := uint64(time.Now().UnixNano())
	t.Log("seed", seed)
	g := apicheck.NewGenerator(check, seed, map[string][]string{
		"user": {"ann", "bob", "cleo"}, "organisation": {"acme"}, "namespace": {"acme", "bob", "ann"},
		"account": {"bob", "bob+ci", "acme+ci"}, "robot": {"ci"}, "team": {"dev"},
		"repository": {"bob/app", "acme/app", "acme/web", "hub.example/library/app"},
		"tag":        {"latest", "v1"}, "reference": {"latest", "v1"},
		"job": {"usage", "scrub", "collect", "retain"}, "prefix": {"bob", "acme", "~", "bob/app"}, "q": {"app", "b"},
	})
	statuses, start, n, refused := map[int]int{}, time.Now(), 0, 0
	for ; time.Since(start) < duration; n++ {
		r := g.Next()
		if slices.Contains(harmful, r.Operation) && n%20 > 0 {
			continue
		}
		caller := callers[n%len(callers)]
		status := s.fuzz(t, check, g, r, caller)
		if statuses[status]++; (caller.name != "" || caller.session != "") && (status == 401 || status == 429) {
			refused++
		}
		if refused == 3 || n%1000 == 999 {
			callers, refused = s.renew(t, callers), 0
		}
	}
	t.Logf("%d requests: %v", n, statuses)
	require.Greater(t, statuses[200]+statuses[201]+statuses[204], n/20, "too few requests reached something")
	s.requireCleanLog(t)
}

// harmful are operations after which a caller may get 401 only, so they are rare.
var harmful = []string{"POST /v1/users/{user}/disable", "DELETE /v1/users/{user}", "PUT /v1/users/{user}/password",
	"DELETE /v1/users/{user}/password", "DELETE /v1/admins/{user}", "DELETE /v1/user/sessions",
	"POST /v1/users/{user}/rename"}

// fuzz sends a generated request, and compares the response with the description. It returns the status.
func (s *site) fuzz(t *testing.T, check *apicheck.Checker, g *apicheck.Generator, r apicheck.Request, as login) int {
	t.Helper()
	replica := s.Servers()[0].URL() // the balancer has errors of its own
	req, err := http.NewRequestWithContext(t.Context(), r.Method, replica+"/api"+r.Path, bytes.NewReader(r.Body))
	if err != nil {
		return 0 // net/http sends no such request
	}
	req.Header = r.Header
	// Wrong passwords slow down their address. A verified password is remembered for its address.
	req.Header.Set("X-Forwarded-For", as.address)
	switch {
	case as.session != "":
		req.Header.Set("Authorization", "Bearer "+as.session)
	case as.name != "":
		req.SetBasicAuth(as.name, as.secret)
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
	require.NoError(t, check.Check(apicheck.Exchange{Request: described, RequestBody: r.Body, Status: res.StatusCode,
		Header: res.Header, ResponseBody: body}), "%s", body)
	g.Learn(r, res.Header, body)
	return res.StatusCode
}

// populate makes accounts and content, and returns the callers.
func (s *site) populate(t *testing.T) []login {
	t.Helper()
	ann := login{name: "ann", secret: annPassword}
	s.want(t, 201, login{}, "POST", "/api/v1/setup", `{"token":"`+s.setupToken(t)+`","name":"ann","password":"`+
		annPassword+`"}`)
	s.want(t, 201, ann, "POST", "/api/v1/organisations", `{"name":"acme"}`)
	s.want(t, 201, ann, "POST", "/api/v1/organisations/acme/teams", `{"name":"dev"}`)
	s.want(t, 201, ann, "POST", "/api/v1/namespaces/acme/robots", `{"name":"ci"}`)
	client := harness.SkopeoLogin(t, s.Addr)
	out, err := client.Login(t, "ann", annPassword)
	require.NoError(t, err, out)
	for _, repo := range []string{"bob/app", "acme/app", "acme/web"} {
		if repo == "bob/app" {
			s.want(t, 201, ann, "POST", "/api/v1/users", `{"name":"bob","password":"`+bobPassword+`"}`)
		}
		out, err := client.Push(t, repo)
		require.NoError(t, err, out)
	}
	return s.renew(t, []login{ann})
}

// renew makes what requests have removed or disabled, and returns the callers.
func (s *site) renew(t *testing.T, callers []login) []login {
	t.Helper()
	ann := callers[0]
	if r := s.do(t, ann, "GET", "/api/v1/user", ""); r.status != 200 || !strings.Contains(string(r.body), `"admin":true`) {
		s.repair(t)
	}
	const user = `{"name":"bob","password":"` + bobPassword + `"}`
	s.do(t, ann, "POST", "/api/v1/users?force=true", user)
	s.do(t, ann, "POST", "/api/v1/users/bob/enable", "")
	s.do(t, ann, "PUT", "/api/v1/users/bob/password", `{"password":"`+bobPassword+`"}`, "If-Match: *")
	s.do(t, ann, "POST", "/api/v1/namespaces/bob/robots", `{"name":"ci","grants":[{"repositories":"**","role":"admin"}]}`)
	bob := login{name: "bob", secret: bobPassword}
	all := []login{ann, bob, ann, {}, bob}
	for _, owner := range []string{"bob", "bob+ci", "ann"} {
		var token struct{ Value string }
		r := s.do(t, ann, "POST", "/api/v1/accounts/"+owner+"/tokens", `{"name":"fuzz","scopes":[]}`)
		if r.status == 201 {
			r.into(t, &token)
			all = append(all, login{name: owner, secret: token.Value})
		}
	}
	var made struct{ Session string }
	r := s.do(t, login{}, "POST", "/signin/password", `{"name":"bob","password":"`+bobPassword+`","commandLine":true}`)
	if r.status == 200 {
		r.into(t, &made)
		all = append(all, login{session: made.Session})
	}
	for i := range all {
		all[i].address = fmt.Sprintf("192.0.2.%d", rand.IntN(256))
	}
	return all
}

// repair makes ann an admin with a known password again, by the commands that work on the storage itself.
func (s *site) repair(t *testing.T) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "password")
	require.NoError(t, os.WriteFile(file, []byte(annPassword), 0o600))
	program, err := harness.BuildMaintenance()
	require.NoError(t, err)
	for _, args := range [][]string{{"user", "add", "ann", "-force"}, {"user", "enable", "ann"},
		{"user", "password", "ann"}, {"admin", "add", "ann"}} {
		args = append(append([]string{"accounts"}, args...), "-storage", s.storage, "-quiet")
		if args[2] == "add" && args[1] == "user" || args[2] == "password" {
			args = append(args, "-password-file", file)
		}
		out, err := exec.CommandContext(t.Context(), program, args...).CombinedOutput()
		require.True(t, err == nil || strings.Contains(string(out), "taken"), "%v: %s", args, out)
	}
}

package api_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/api"
	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/audit"
	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/jobs"
	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/registrytest"
	"github.com/registrykit/registry/storage/driver/drivertest"
)

func readAll(t *testing.T, res *http.Response) []byte {
	t.Helper()
	b, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return b
}

// withAudit returns a site with an audit log, whose storage a test can break.
func withAudit(t *testing.T) (*site, *drivertest.Faulty) {
	t.Helper()
	var faulty *drivertest.Faulty
	s := newSite(t, func(s *site, opts *api.Options) {
		faulty = drivertest.NewFaulty(s.driver, nil)
		var err error
		s.trail, err = audit.New(faulty, &audit.Options{Instance: "one"})
		require.NoError(t, err)
		opts.Audit, opts.Accounts = s.trail, s.people
		opts.Jobs, err = jobs.New(s.driver, &jobs.Options{Jobs: []jobs.Job{s.trail.Job(time.Hour)}})
		require.NoError(t, err)
	})
	return s, faulty
}

// audit returns all pages of a query.
func (s *site) audit(t *testing.T, user, query string) (all []types.AuditRecord) {
	t.Helper()
	for path := "/v1/audit?" + query; path != ""; {
		var list types.AuditList
		page := s.do(t, user, "GET", path, nil).want(200).into(&list)
		all, path = append(all, list.Items...), page.next()
	}
	return all
}

// push pushes an image as a user.
func (s *site) push(t *testing.T, user, repo, tag string) {
	t.Helper()
	users, err := accounts.NewAuthenticator(s.people, nil)
	require.NoError(t, err)
	r := httptest.NewRequest(http.MethodGet, "/v2/", nil)
	r.SetBasicAuth(user, password)
	identity, err := users.Authenticate(r)
	require.NoError(t, err)
	backend := s.registry.Backend(identity)
	require.NoError(t, registrytest.RandomImage(1, 1, 10).Push(t.Context(), backend, repo, tag))
}

// TestAudit: pushes, deletes, changes of accounts, changes by the API, refusals and reads of admins
// are found.
func TestAudit(t *testing.T) {
	s, _ := withAudit(t)
	s.push(t, "ann", "acme/app", "v1")
	s.push(t, "ann", "ann/web", "v1")
	s.do(t, "boss", "POST", "/v1/jobs/audit/run", nil).want(202)
	s.do(t, "boss", "GET", "/v1/users", nil).want(200)
	s.do(t, "bob", "GET", "/v1/jobs", nil).want(403)
	r, err := http.NewRequest(http.MethodGet, s.url+"/v2/acme/app/manifests/v1", nil)
	require.NoError(t, err)
	r.SetBasicAuth("bob", password)
	r.Header.Set("User-Agent", "docker/28")
	res, err := http.DefaultTransport.RoundTrip(r)
	require.NoError(t, err)
	res.Body.Close()
	require.GreaterOrEqual(t, res.StatusCode, 401)
	r.SetBasicAuth("bob", "wrong")
	res, err = http.DefaultTransport.RoundTrip(r)
	require.NoError(t, err)
	res.Body.Close()
	require.Equal(t, 401, res.StatusCode)
	require.NoError(t, s.trail.Flush(t.Context()))

	pushes := s.audit(t, "boss", "repository=acme%2Fapp&action=push&limit=1")
	require.Len(t, pushes, 3)
	require.Equal(t, "manifest", pushes[0].Kind)
	require.Equal(t, []string{"v1"}, pushes[0].Tags)
	require.Equal(t, "ann", pushes[0].Actor)

	denied := s.audit(t, "boss", "repository=acme%2Fapp&outcome=denied")
	require.Len(t, denied, 1)
	require.Equal(t, "bob", denied[0].Actor)
	require.Equal(t, "pull", denied[0].Action)
	require.Equal(t, types.AuditRequest{Method: "GET", Path: "/v2/acme/app/manifests/v1", Address: "127.0.0.1",
		UserAgent: "docker/28"}, *denied[0].Request)

	created := s.audit(t, "boss", "account=bob&action=account")
	require.Len(t, created, 1)
	require.Equal(t, "user.create", created[0].Account.Change)

	runs := s.audit(t, "boss", "action=request")
	require.Len(t, runs, 1)
	require.Equal(t, "jobs", runs[0].Name)
	require.Equal(t, "/v1/jobs/audit/run", runs[0].Request.Path)
	require.Equal(t, "POST", runs[0].Request.Method)
	require.Equal(t, "boss", runs[0].Actor)

	require.Len(t, s.audit(t, "boss", "action=login"), 1)
	reads := s.audit(t, "boss", "actor=boss&action=read&until="+url.QueryEscape(time.Now().UTC().Format(time.RFC3339Nano)))
	require.NotEmpty(t, reads)
	require.Equal(t, "accounts", reads[0].Name)
	require.Len(t, s.audit(t, "boss", "actor=bob&outcome=denied&action=read"), 1)
	for _, r := range s.audit(t, "boss", "") {
		b, err := json.Marshal(r)
		require.NoError(t, err)
		require.NotContains(t, string(b), password)
		require.NotContains(t, string(b), "wrong")
	}
}

// TestAuditExport: an export has the same records, one a line.
func TestAuditExport(t *testing.T) {
	s, _ := withAudit(t)
	s.push(t, "ann", "acme/app", "v1")
	since := "since=" + url.QueryEscape(time.Now().Add(-time.Hour).Format(time.RFC3339))
	a := s.do(t, "boss", "GET", "/v1/audit/export?"+since+"&repository=acme%2Fapp", nil).want(200)
	require.Equal(t, "application/x-ndjson", a.header.Get("Content-Type"))
	want := s.audit(t, "boss", "repository=acme%2Fapp&"+since)
	lines := strings.Split(strings.TrimSpace(string(a.body)), "\n")
	require.Len(t, lines, len(want))
	for i, line := range lines {
		var got types.AuditRecord
		d := json.NewDecoder(bytes.NewReader([]byte(line)))
		d.DisallowUnknownFields()
		require.NoError(t, d.Decode(&got))
		require.Equal(t, want[i], got)
	}
	s.do(t, "boss", "GET", "/v1/audit/export", nil).fails(400, "INVALID")
	s.do(t, "boss", "GET", "/v1/audit/export?since=2020-01-01T00:00:00Z", nil).fails(400, "INVALID")
	s.do(t, "boss", "GET", "/v1/audit/export?since=2020-01-01T00:00:00Z&until=2020-01-31T00:00:00Z", nil).want(200)
	s.do(t, "boss", "HEAD", "/v1/audit/export?"+since, nil).want(200)
}

// TestAuditOfRepository: callers who may manage a repository read its records, and no others.
func TestAuditOfRepository(t *testing.T) {
	s, _ := withAudit(t)
	s.push(t, "ann", "acme/app", "v1")
	require.Len(t, s.audit(t, "ann", "repository=acme%2Fapp"), 3)
	// The namespace belongs to ann since just now: older records were those of another owner of the
	// name.
	old := notification.Event{ID: "old", Time: time.Now().Add(-time.Hour), Action: notification.Push,
		Repository: "acme/app"}
	require.NoError(t, s.trail.Notify(t.Context(), []notification.Event{old}))
	require.Len(t, s.audit(t, "ann", "repository=acme%2Fapp"), 3)
	require.Len(t, s.audit(t, "boss", "repository=acme%2Fapp"), 4)
	for _, path := range []string{"/v1/audit", "/v1/audit/export?since=2026-01-01T00:00:00Z"} {
		with := func(query string) string {
			return path + map[bool]string{true: "&", false: "?"}[strings.Contains(path, "?")] + query
		}
		s.do(t, "ann", "GET", path, nil).fails(403, "DENIED")
		s.do(t, "ann", "GET", with("actor=ann"), nil).fails(403, "DENIED")
		for _, repo := range []string{"acme%2Fapp", "acme%2Fnone", "zoe%2Fx"} {
			s.do(t, "bob", "GET", with("repository="+repo), nil).fails(403, "DENIED")
			s.do(t, "", "GET", with("repository="+repo), nil).fails(401, "UNAUTHORIZED")
		}
		s.do(t, "ann", "GET", with("repository=acme%2Fapp&repository=zoe%2Fx"), nil).fails(400, "INVALID")
		s.do(t, "ann", "GET", with("repository="), nil).fails(403, "DENIED")
		s.do(t, "bob", "GET", with("repository=UPPER"), nil).fails(400, "NAME_INVALID")
	}
	for _, query := range []string{"since=x", "until=2026", "outcome=x", "after=AAAA", "since=0001-01-01T00:00:00Z",
		"since=", "outcome=", "x=1", "actor=", "action=", "account=", "repository=", "action=" + strings.Repeat("a", 65),
		"actor=" + strings.Repeat("a", 256), "account=" + strings.Repeat("a", 256), "actor=%FF"} {
		s.do(t, "boss", "GET", "/v1/audit?"+query, nil).fails(400, "INVALID")
	}
}

// TestAuditNotRecorded: a change whose record cannot be stored is not acknowledged.
func TestAuditNotRecorded(t *testing.T) {
	s, faulty := withAudit(t)
	faulty.FailWrite(1)
	s.do(t, "boss", "POST", "/v1/jobs/audit/run", nil).fails(503, "NOT_RECORDED")
	s.do(t, "boss", "POST", "/v1/jobs/audit/run", nil).want(202)
	require.Len(t, s.audit(t, "boss", "action=request"), 1)
	s.do(t, "boss", "POST", "/v1/jobs/none/run", nil).want(404)
	require.Len(t, s.audit(t, "boss", "action=request"), 1, "what failed changed nothing")
}

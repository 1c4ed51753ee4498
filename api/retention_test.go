package api_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/api"
	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/registrytest"
	"github.com/registrykit/registry/retention"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/memory"
)

const keepFive = "rules:\n- name: five\n  tags: [b*]\n  keep: {newest: 5}\n"

// withRetention returns a site with rules, and a repository with n tags that they cover and one
// that they do not.
func withRetention(t *testing.T, n int) *site {
	t.Helper()
	return newSite(t, func(s *site, opts *api.Options) {
		opts.Retention = newPlanner(t, s.store, s)
		for i := range n {
			image := registrytest.RandomImage(uint64(i), 1, 10)
			require.NoError(t, image.Push(t.Context(), s.store, "acme/app", fmt.Sprintf("b%03d", i)))
		}
		require.NoError(t, registrytest.RandomImage(999, 1, 10).Push(t.Context(), s.store, "acme/app", "prod"))
	})
}

func newPlanner(t *testing.T, store *storage.Store, s *site) *retention.Planner {
	t.Helper()
	rules, err := retention.Parse("retain.yaml", []byte(keepFive))
	require.NoError(t, err)
	p, err := retention.New(store, s.driver, rules, &retention.Options{MinAge: -1})
	require.NoError(t, err)
	return p
}

// tags returns the number of tags of acme/app.
func (s *site) tags(t *testing.T) (n int) {
	t.Helper()
	for _, err := range s.store.Tags(t.Context(), "acme/app", nil) {
		require.NoError(t, err)
		n++
	}
	return n
}

// TestRetention: a plan is made, rehearsed, applied and undone.
func TestRetention(t *testing.T) {
	s := withRetention(t, 12)
	var rules types.RetentionRules
	s.do(t, "boss", "GET", "/v1/retention/rules", nil).want(200).into(&rules)
	require.Equal(t, []string{"five"}, rules.Rules)
	require.Equal(t, "five", rules.Details[0].Name)
	require.Contains(t, rules.Details[0].Keep, types.RetentionCondition{Name: "newest", Values: []string{"5"}})
	rules.Details = nil
	require.Equal(t, types.RetentionRules{Name: "retain.yaml", Text: keepFive, Rules: []string{"five"}}, rules)

	made := s.do(t, "boss", "POST", "/v1/retention/plans", nil).want(200)
	require.Equal(t, `attachment; filename="plan.json"`, made.header.Get("Content-Disposition"))
	_, totals, err := retention.CheckPlan(bytes.NewReader(made.body))
	require.NoError(t, err)
	require.Equal(t, int64(7), totals.RemovedTags)
	plan := string(made.body)

	var result types.RetentionResult
	s.do(t, "boss", "POST", "/v1/retention/apply?dryRun=true", plan).want(200).into(&result)
	require.True(t, result.DryRun)
	require.Equal(t, int64(7), result.Tags)
	require.Equal(t, 13, s.tags(t))

	// One of the tags moves meanwhile.
	require.NoError(t, registrytest.RandomImage(1000, 1, 10).Push(t.Context(), s.store, "acme/app", "b001"))
	var applied types.RetentionResult
	s.do(t, "boss", "POST", "/v1/retention/apply", plan).want(200).into(&applied)
	require.Equal(t, int64(6), applied.Tags)
	require.Equal(t, int64(1), applied.Refused)
	require.Len(t, applied.Refusals, 1)
	require.Equal(t, "b001", applied.Refusals[0].Tag)
	require.Equal(t, "moved", applied.Refusals[0].Reason)
	require.NotZero(t, applied.Refusals[0].Set)
	require.Equal(t, 7, s.tags(t))

	var undone types.RetentionResult
	s.do(t, "boss", "POST", "/v1/retention/undo?dryRun=true", plan).want(200).into(&undone)
	require.Equal(t, 7, s.tags(t))
	s.do(t, "boss", "POST", "/v1/retention/undo", plan+strings.Repeat(" ", 5<<20)).want(200).into(&undone)
	require.Equal(t, int64(6), undone.Tags)
	require.Equal(t, 13, s.tags(t))
}

// TestRetentionRefused: what is no plan of this storage changes nothing.
func TestRetentionRefused(t *testing.T) {
	s := withRetention(t, 12)
	plan := string(s.do(t, "boss", "POST", "/v1/retention/plans", nil).want(200).body)
	other := string(withRetention(t, 12).do(t, "boss", "POST", "/v1/retention/plans", nil).want(200).body)
	for _, path := range []string{"/v1/retention/apply", "/v1/retention/undo"} {
		s.do(t, "boss", "POST", path, other).fails(409, "OTHER_STORAGE")
		for _, body := range []string{"", "{}", "x", plan[:len(plan)-20], plan[:len(plan)/2], plan + "x"} {
			s.do(t, "boss", "POST", path, body).fails(400, "INVALID")
		}
		s.do(t, "boss", "POST", path+"?dryRun=1", plan).fails(400, "INVALID")
		s.do(t, "boss", "POST", path+"?x=1", plan).fails(400, "INVALID")
		s.do(t, "boss", "POST", path, plan, "Content-Type: text/plain").fails(415, "UNSUPPORTED_MEDIA_TYPE")
		s.do(t, "ann", "POST", path, plan).fails(403, "DENIED")
		s.do(t, "", "POST", path, plan).fails(401, "UNAUTHORIZED")
	}
	broken := strings.Replace(plan, "newest: 5", "newset: 5", 1)
	require.NotEqual(t, plan, broken)
	s.do(t, "boss", "POST", "/v1/retention/apply", broken).fails(400, "INVALID")
	s.do(t, "ann", "POST", "/v1/retention/plans", nil).fails(403, "DENIED")
	s.do(t, "ann", "GET", "/v1/retention/rules", nil).fails(403, "DENIED")
	require.Equal(t, 13, s.tags(t))

	u, err := url.Parse(s.url)
	require.NoError(t, err)
	conn, err := net.Dial("tcp", u.Host)
	require.NoError(t, err)
	defer conn.Close()
	r, err := http.NewRequest(http.MethodPost, "/", nil)
	require.NoError(t, err)
	r.SetBasicAuth("boss", password)
	fmt.Fprintf(conn, "POST /api/v1/retention/apply HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\n"+
		"Content-Type: application/json\r\nContent-Length: 300000000\r\n\r\n", r.Header.Get("Authorization"))
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	res.Body.Close()
	require.Equal(t, 413, res.StatusCode)
}

// TestRetentionHangUp: an apply stops when its client is gone, and the same plan completes it. Two
// at once do no harm.
func TestRetentionHangUp(t *testing.T) {
	s := withRetention(t, 200)
	plan := s.do(t, "boss", "POST", "/v1/retention/plans", nil).want(200).body
	ctx, cancel := context.WithCancel(t.Context())
	var deleted atomic.Int64
	var again atomic.Bool
	s.onEvents = func(events []notification.Event) {
		if events[0].Action == notification.Delete && deleted.Add(1) >= 10 && !again.Load() {
			cancel()
			time.Sleep(200 * time.Millisecond) // until the server has noticed
		}
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+"/api/v1/retention/apply", bytes.NewReader(plan))
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/json")
	r.SetBasicAuth("boss", password)
	_, err = http.DefaultTransport.RoundTrip(r) //nolint:bodyclose // there is no response
	require.ErrorIs(t, err, context.Canceled)
	time.Sleep(time.Second) // what has begun ends
	stopped := s.tags(t)
	require.Greater(t, stopped, 100)
	require.Less(t, stopped, 192)
	again.Store(true)
	var two sync.WaitGroup
	for range 2 {
		two.Go(func() { s.do(t, "boss", "POST", "/v1/retention/apply", string(plan)).want(200) })
	}
	two.Wait()
	require.Equal(t, 6, s.tags(t))
}

// TestRetentionRights: the removals need the rights of the caller, besides that to manage
// retention.
func TestRetentionRights(t *testing.T) {
	d := memory.New(nil)
	store, err := storage.New(t.Context(), d, nil)
	require.NoError(t, err)
	for i := range uint64(8) {
		for _, repo := range []string{"acme/app", "acme/other"} {
			require.NoError(t, registrytest.RandomImage(i, 1, 10).Push(t.Context(), store, repo, fmt.Sprintf("b%d", i)))
		}
	}
	keeper := auth.AuthorizerFunc(func(_ context.Context, _ auth.Identity, accesses []auth.Access) error {
		for _, a := range accesses {
			if a.Type == auth.TypeRepository && a.Name != "acme/app" {
				return auth.ErrDenied
			}
		}
		return nil
	})
	who := auth.AuthenticatorFunc(func(*http.Request) (auth.Identity, error) { return auth.Identity{Name: "keeper"}, nil })
	reg, err := registry.New(store, &registry.Options{Authorizer: keeper, Authenticator: who})
	require.NoError(t, err)
	a, err := api.New(reg, &api.Options{Parts: api.Parts{Retention: newPlanner(t, store, &site{driver: d})}})
	require.NoError(t, err)
	server := httptest.NewServer(a)
	defer server.Close()
	res, err := http.Post(server.URL+"/v1/retention/plans", "", nil)
	require.NoError(t, err)
	defer res.Body.Close()
	applied, err := http.Post(server.URL+"/v1/retention/apply", "application/json", res.Body)
	require.NoError(t, err)
	defer applied.Body.Close()
	require.Equal(t, 200, applied.StatusCode)
	var result types.RetentionResult
	got := &answer{t: t, status: applied.StatusCode, body: readAll(t, applied)}
	got.into(&result)
	require.Equal(t, int64(3), result.Tags)
	require.NotEmpty(t, result.Refusals)
	for _, r := range result.Refusals {
		require.Equal(t, "acme/other", r.Repository)
		require.Equal(t, "denied", r.Reason)
	}
	_, err = store.StatManifest(t.Context(), "acme/other", reference.Ref{Tag: "b0"}, nil)
	require.NoError(t, err)
}

package audit_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/audit"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/storage/driver/drivertest"
	"github.com/registrykit/registry/storage/memory"
)

// denied returns a refused pull.
func denied(actor, address, repo string) auth.Decision {
	return auth.Decision{Identity: auth.Identity{Name: actor}, Err: auth.ErrDenied, Method: "GET",
		RemoteAddr: address + ":1", Path: "/v2/" + repo + "/manifests/v1", UserAgent: "docker",
		Accesses: []auth.Access{{Type: auth.TypeRepository, Name: repo, Action: auth.Pull, Tag: "v1"}}}
}

// TestDecided: refusals and requests for accounts and for the registry are recorded, and no others.
func TestDecided(t *testing.T) {
	l := newLog(t, memory.New(nil), &audit.Options{Instance: "one"})
	access := func(kind, name string, action auth.Action) []auth.Access {
		return []auth.Access{{Type: kind, Name: name, Action: action}}
	}
	ann := auth.Identity{Name: "ann"}
	for _, d := range []auth.Decision{
		{Identity: ann, Allowed: true, Accesses: access(auth.TypeRepository, "acme/app", auth.Delete)},
		{Identity: ann, Allowed: true, Accesses: access(auth.TypeRegistry, auth.NameCatalog, auth.All)},
		{Identity: ann, Allowed: true, Accesses: access(auth.TypeAccount, "ann", auth.Read)},
		{Allowed: true},
	} {
		l.Decided(t.Context(), d)
	}
	require.NoError(t, l.Flush(t.Context()))
	require.Empty(t, all(t, l, nil))
	for _, d := range []auth.Decision{
		denied("bob", "192.0.2.1", "acme/app"),
		{Err: fmt.Errorf("wrong password hunter2: %w", auth.ErrCredentials), Method: "GET", Path: "/v2/",
			RemoteAddr: "192.0.2.1:1"},
		{Identity: ann, Allowed: true, Accesses: access(auth.TypeAccount, "bob", auth.Read), Rule: "owner"},
		{Identity: ann, Allowed: true, Accesses: access(auth.TypeAccount, "ann", auth.Manage)},
		{Identity: ann, Allowed: true, Rule: "signin", Path: "/signin/password"},
		{Identity: ann, Allowed: true, Accesses: access(auth.TypeRegistry, auth.NameJobs, auth.Read), Method: "GET"},
		{Identity: ann, Err: errors.New("secret of the host"), Accesses: access(auth.TypeRegistry, auth.NameJobs, auth.Read)},
	} {
		l.Decided(t.Context(), d)
	}
	require.Empty(t, all(t, l, nil), "in memory")
	require.NoError(t, l.Flush(t.Context()))
	found := map[string]audit.Record{}
	for _, r := range all(t, l, nil) {
		found[r.Actor+" "+r.Action+" "+r.Kind+" "+r.Name+r.Repository+" "+r.Outcome+" "+r.Reason] = r
		require.NotContains(t, fmt.Sprint(r), "hunter2")
		require.NotContains(t, fmt.Sprint(r), "secret")
		require.Equal(t, "one", r.Instance)
	}
	require.Len(t, found, 7)
	r := found["bob pull repository acme/app denied denied"]
	require.Equal(t, "acme/app", r.Repository)
	require.Equal(t, []string{"v1"}, r.Tags)
	require.Equal(t, []string{"repository:acme/app:pull"}, r.Accesses)
	require.Equal(t, &audit.HTTPRequest{Method: "GET", Path: "/v2/acme/app/manifests/v1", Address: "192.0.2.1",
		UserAgent: "docker"}, r.Request)
	for _, key := range []string{" login   denied credentials", "ann read account bob allowed ",
		"ann manage account ann allowed ",
		"ann read registry jobs allowed ", "ann read registry jobs denied error", "ann login   allowed "} {
		require.Contains(t, found, key)
	}
	require.Equal(t, "owner", found["ann read account bob allowed "].Rule)
}

// TestFlood: a flood of refusals is counted and not stored one by one, does not hide other
// refusals, and no decision is missing in the counts.
func TestFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := memory.New(nil)
		l := newLog(t, d, &audit.Options{Decisions: 100})
		for i := range 10_000 { // one client, the same again and again
			l.Decided(t.Context(), denied("", "192.0.2.1", "acme/app"))
			if i%2 == 0 { // one that looks for names
				l.Decided(t.Context(), denied("", "192.0.2.2", fmt.Sprint("acme/", i)))
			}
		}
		l.Decided(t.Context(), denied("eve", "192.0.2.3", "acme/secret"))
		for i := range 5000 { // a network of IPv6 addresses
			d := denied("", "192.0.2.4", "x")
			d.RemoteAddr = fmt.Sprintf("[2001:db8::%x]:80", i)
			l.Decided(t.Context(), d)
		}
		for i := range 5000 { // many networks
			l.Decided(t.Context(), denied("", fmt.Sprintf("198.51.%d.%d", i/250, i%250), "y"))
		}
		require.NoError(t, l.Flush(t.Context()))
		records := all(t, l, nil)
		require.LessOrEqual(t, len(records), 110)
		total, eve := int64(0), false
		for _, r := range records {
			total += max(1, r.Count)
			eve = eve || r.Actor == "eve" && r.Repository == "acme/secret"
		}
		require.Equal(t, int64(25_001), total)
		require.True(t, eve)
		got := all(t, l, &audit.Query{Repository: "acme/app"})
		require.Len(t, got, 1)
		require.Equal(t, int64(10_000), got[0].Count)
		require.Len(t, objects(t, d), 1)
	})
}

// TestRun: decisions are stored within seconds and at the end, and an outage of the storage loses
// none.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := drivertest.NewFaulty(memory.New(nil), nil)
		l := newLog(t, d, nil)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- l.Run(ctx) }()
		l.Decided(ctx, denied("bob", "192.0.2.1", "a"))
		time.Sleep(6 * time.Second)
		require.Len(t, all(t, l, nil), 1)
		for i := range 3 {
			l.Decided(ctx, denied("bob", "192.0.2.1", "b"))
			d.FailWrite(1)
			time.Sleep(5 * time.Second)
			require.Len(t, all(t, l, nil), 1, i)
		}
		d.Heal()
		l.Decided(ctx, denied("bob", "192.0.2.1", "b"))
		cancel()
		require.ErrorIs(t, <-ended, context.Canceled)
		found := all(t, l, &audit.Query{Repository: "b"})
		require.Len(t, found, 1)
		require.Equal(t, int64(4), found[0].Count)
		require.True(t, found[0].Last.After(found[0].Time))
	})
}

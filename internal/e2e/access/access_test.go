package access

import (
	"testing"
	"time"

	"github.com/registrykit/registry/auth/token"
	"github.com/stretchr/testify/require"
)

// TestClients takes each client through login, pull, push, mount and logout.
func TestClients(t *testing.T) {
	each(t, func(t *testing.T, connect func(t *testing.T, addr string) *client) {
		s := newSite(t, open)
		c := connect(t, s.Addr)
		s.seed(t, c, "ann/closed")
		pushed := s.count(`^PUT /v2/.*/manifests/.* 201$`)
		ok := func(said string, err error) {
			t.Helper()
			require.NoError(t, err, said)
		}
		refused := func(said string, err error) {
			t.Helper()
			require.Error(t, err, said)
			require.Regexp(t, `(?i)unauthorized|denied|authentication required|not authorized|401|403|insufficient_scope|`+
				`authorization failed|invalid username/password`, said)
		}

		// Anonymous.
		refused(c.pull(t, "ann/closed"))
		refused(c.push(t, "ann/app"))
		refused(c.push(t, "open/app"))
		require.Equal(t, pushed, s.count(`^PUT /v2/.*/manifests/.* 201$`))

		// A wrong password.
		said, err := c.login(t, user, "wrong")
		if c.late {
			refused(c.pull(t, "ann/closed"))
		} else {
			refused(said, err)
		}

		// ann.
		ok(c.login(t, user, password))
		ok(c.pull(t, "ann/closed"))
		ok(c.push(t, "ann/app"))
		ok(c.pull(t, "ann/app"))
		if c.mount != nil {
			ok(c.mount(t, "ann/app", "ann/mounted"))
			require.Positive(t, s.count(`^POST /v2/ann/mounted/blobs/uploads/\?.*mount=.* 201$`))
		}
		refused(c.push(t, "bob/app"))
		refused(c.push(t, "open/app"))

		// Anonymous again.
		ok(c.logout(t))
		refused(c.pull(t, "ann/closed"))
		refused(c.push(t, "ann/app2"))
		require.Zero(t, s.count(` 5\d\d$`))
	})
}

// TestAnonymousPull pulls without a login, as most users do.
func TestAnonymousPull(t *testing.T) {
	each(t, func(t *testing.T, connect func(t *testing.T, addr string) *client) {
		s := newSite(t, open)
		c := connect(t, s.Addr)
		s.seed(t, c, "open/app")
		said, err := c.pull(t, "open/app")
		require.NoError(t, err, said)
		require.Zero(t, s.count(`^GET /v2/open/app/manifests/.* [45]0[34]$`))
	})
}

// TestBasic requires a login for every operation. Clients then send the password itself, and no
// token is issued.
func TestBasic(t *testing.T) {
	each(t, func(t *testing.T, connect func(t *testing.T, addr string) *client) {
		s := newSite(t, closed)
		c := connect(t, s.Addr)
		said, err := c.push(t, "ann/app")
		require.Error(t, err, said)
		said, err = c.login(t, user, "wrong")
		require.True(t, c.late || err != nil, said)
		said, err = c.login(t, user, password)
		require.NoError(t, err, said)
		said, err = c.push(t, "ann/app")
		require.NoError(t, err, said)
		said, err = c.pull(t, "ann/app")
		require.NoError(t, err, said)
		said, err = c.logout(t)
		require.NoError(t, err, said)
		said, err = c.pull(t, "ann/app")
		require.Error(t, err, said)
		require.Zero(t, s.count(`/v2/token`))
	})
}

// TestExpiry lets a token expire in the middle of a push, between a layer and the manifest. The
// client must fetch another token and continue.
func TestExpiry(t *testing.T) {
	each(t, func(t *testing.T, connect func(t *testing.T, addr string) *client) {
		s := newSite(t, open)
		s.hold = token.MinLifetime + time.Minute + 15*time.Second // the clocks of replicas may differ by the minute
		c := connect(t, s.Addr)
		said, err := c.login(t, user, password)
		require.NoError(t, err, said)
		before := s.count(`^GET /v2/token`)
		start := time.Now()
		said, err = c.push(t, "ann/app")
		require.NoError(t, err, said)
		require.Greater(t, time.Since(start), s.hold)
		require.Positive(t, s.count(`^PUT /v2/ann/app/manifests/[^ ]* 201$`))
		require.GreaterOrEqual(t, s.count(`^GET /v2/token.* 200$`), before+2)
	})
}

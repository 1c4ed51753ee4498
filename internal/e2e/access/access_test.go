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
		refused(c.Pull(t, "ann/closed"))
		refused(c.Push(t, "ann/app"))
		refused(c.Push(t, "open/app"))
		require.Equal(t, pushed, s.count(`^PUT /v2/.*/manifests/.* 201$`))

		// A wrong password.
		said, err := c.Login(t, user, "wrong")
		if c.Late {
			refused(c.Pull(t, "ann/closed"))
		} else {
			refused(said, err)
		}

		// ann.
		ok(c.Login(t, user, password))
		ok(c.Pull(t, "ann/closed"))
		ok(c.Push(t, "ann/app"))
		ok(c.Pull(t, "ann/app"))
		if c.Mount != nil {
			ok(c.Mount(t, "ann/app", "ann/mounted"))
			require.Positive(t, s.count(`^POST /v2/ann/mounted/blobs/uploads/\?.*mount=.* 201$`))
		}
		refused(c.Push(t, "bob/app"))
		refused(c.Push(t, "open/app"))

		// Anonymous again.
		ok(c.Logout(t))
		refused(c.Pull(t, "ann/closed"))
		refused(c.Push(t, "ann/app2"))
		require.Zero(t, s.count(` 5\d\d$`))
	})
}

// TestAnonymousPull pulls without a login, as most users do.
func TestAnonymousPull(t *testing.T) {
	each(t, func(t *testing.T, connect func(t *testing.T, addr string) *client) {
		s := newSite(t, open)
		c := connect(t, s.Addr)
		s.seed(t, c, "open/app")
		said, err := c.Pull(t, "open/app")
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
		said, err := c.Push(t, "ann/app")
		require.Error(t, err, said)
		said, err = c.Login(t, user, "wrong")
		require.True(t, c.Late || err != nil, said)
		said, err = c.Login(t, user, password)
		require.NoError(t, err, said)
		said, err = c.Push(t, "ann/app")
		require.NoError(t, err, said)
		said, err = c.Pull(t, "ann/app")
		require.NoError(t, err, said)
		said, err = c.Logout(t)
		require.NoError(t, err, said)
		said, err = c.Pull(t, "ann/app")
		require.Error(t, err, said)
		require.Zero(t, s.count(`/v2/token`))
	})
}

// tokenRequest matches the log of a request for a token, by the form of Docker or that of OAuth 2.
const tokenRequest = `^(GET|POST) /v2/token`

// TestExpiry lets a token expire in the middle of a push, between a layer and the manifest. The
// client must fetch another token and continue.
func TestExpiry(t *testing.T) {
	each(t, func(t *testing.T, connect func(t *testing.T, addr string) *client) {
		s := newSite(t, open)
		s.hold = token.MinLifetime + time.Minute + 15*time.Second // the clocks of replicas may differ by the minute
		c := connect(t, s.Addr)
		said, err := c.Login(t, user, password)
		require.NoError(t, err, said)
		before := s.count(tokenRequest)
		start := time.Now()
		said, err = c.Push(t, "ann/app")
		require.NoError(t, err, said)
		require.Greater(t, time.Since(start), s.hold)
		require.Positive(t, s.count(`^PUT /v2/ann/app/manifests/[^ ]* 201$`))
		require.GreaterOrEqual(t, s.count(tokenRequest+`.* 200$`), before+2)
	})
}

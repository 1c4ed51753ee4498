package config_test

import (
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/examples/hub/config"
)

// TestShipped: every field of the shipped file has a comment, and is a field of Config.
func TestShipped(t *testing.T) {
	c, err := config.Default()
	require.NoError(t, err)
	require.True(t, c.Accounts.SignUp)
	require.Equal(t, 30*24*time.Hour, c.History)
	require.Equal(t, config.Size(4<<10), c.Server.MinRate)
	require.Equal(t, slog.LevelInfo, c.Server.LogLevel)
	require.Len(t, c.Mirror.Upstreams, 4)
	require.Equal(t, "docker.io", c.Mirror.Upstreams[0].Name)
	require.Empty(t, c.Events.Webhooks)
	require.NotNil(t, c.Retention.Rules)
	require.NotNil(t, c.Quota.Limits)

	comment, fields := false, map[string]bool{}
	group, line := "", regexp.MustCompile(`^(  )?([a-zA-Z0-9]+):(.*)$`)
	for _, text := range strings.Split(string(config.Shipped), "\n") {
		m := line.FindStringSubmatch(text)
		switch {
		case strings.HasPrefix(strings.TrimSpace(text), "#"):
			comment = true
			continue
		case m == nil:
		case m[1] == "":
			group = m[2]
			fields[group] = true
			require.True(t, comment || m[3] == "", text)
		default:
			fields[group+"."+m[2]] = true
			require.True(t, comment, "%s.%s has no comment", group, m[2])
		}
		comment = false
	}
	for i := range reflect.TypeFor[config.Config]().NumField() {
		one := reflect.TypeFor[config.Config]().Field(i)
		require.True(t, fields[config.Key(one.Name)], one.Name)
		if one.Type.Kind() != reflect.Struct {
			continue
		}
		for j := range one.Type.NumField() {
			require.True(t, fields[config.Key(one.Name)+"."+config.Key(one.Type.Field(j).Name)], one.Type.Field(j).Name)
		}
	}
}

// TestFile: a file changes what it contains, and paths are relative to its folder.
func TestFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "my.yaml")
	require.NoError(t, os.WriteFile(path, []byte(`# mine
server:
  trustedProxies: [10.0.0.0/8, "::1"]
  tlsCert: cert.pem
  tlsKey: /etc/key.pem
accounts: {signUp: false, ciJobs: [github.yaml]}
mirror: {}
quota:
  # few
  limits:
  - prefix: team
    # more
    max: {bytes: 1GiB}
events:
  webhooks:
  - name: ci
    url: https://ci.example/hook
  log: true
scrub: {rate: 0}
`), 0o600))
	c, err := config.Load(path)
	require.NoError(t, err)
	require.False(t, c.Accounts.SignUp)
	require.Equal(t, 15, c.Accounts.MinPassword)
	require.Equal(t, []config.Path{config.Path(filepath.Join(dir, "github.yaml"))}, c.Accounts.CIJobs)
	require.Equal(t, config.Path(filepath.Join(dir, "cert.pem")), c.Server.TLSCert)
	require.Equal(t, config.Path("/etc/key.pem"), c.Server.TLSKey)
	require.Equal(t, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")},
		c.Server.TrustedProxies)
	require.Nil(t, c.Mirror)
	require.Len(t, c.Events.Webhooks, 1)
	require.True(t, c.Events.Log)
	require.Zero(t, c.Scrub.Rate)
	require.Equal(t, 720*time.Hour, c.Scrub.Every)
}

// TestErrors: each mistake is reported with its line.
func TestErrors(t *testing.T) {
	for _, row := range []struct{ text, want string }{
		{"", "x.yaml:1: an empty file"},
		{"servers: {}\n", `x.yaml:1: "servers" is not one of`},
		{"server:\n  tls: x\n", `x.yaml:2: "tls" is not one of`},
		{"server: 7\n", "x.yaml:1: this must have fields"},
		{"server:\n  h2c: maybe\n", "x.yaml:2: h2c: this must be true or false"},
		{"server:\n  cors: x\n", "x.yaml:2: cors: this must be a list"},
		{"server:\n  h2c: true\n  h2c: true\n", `x.yaml:3: "h2c" occurs twice`},
		{"server:\n  trustedProxies: [x]\n", "x.yaml:2: trustedProxies: "},
		{"server:\n  tlsCert: x\n", "need each other"},
		{"history: 1y\n", "x.yaml:1: history: this must be a duration"},
		{"accounts:\n  minPassword: [1]\n", "x.yaml:2: minPassword: this must be one value"},
		{"traces:\n  sample: 2\n", "from 0 to 1"},
		{"server: {externalURL: hub.example}\n", "server: externalURL must be a URL without a path"},
		{"server: {externalURL: \"https://hub.example/path\"}\n", "server: externalURL must be a URL without a path"},
		{"server: {externalURL: \"https://a:b@hub.example\"}\n", "server: externalURL must be a URL without a path"},
		{"server: {externalURL: \"ftp://hub.example\"}\n", "server: externalURL must be a URL without a path"},
		{"accounts: {minPassword: 0}\n", "minPassword must be from 8 to 64"},
		{"accounts: {minPassword: 5000}\n", "minPassword must be from 8 to 64"},
		{"accounts: {tokenKeys: [a/b]}\n", "tokenKeys: a name has"},
		{"signIn: {idle: 0}\n", "idle and longest must be positive"},
		{"signIn: {longest: 0}\n", "idle and longest must be positive"},
		{"events:\n\n  webhooks:\n  - name: x\n    uri: y\n", `line 5: "uri" is not one of`},
		{"access:\n  rules:\n  - who: everyone\n    what: y\n", `line 4: "what" is not one of`},
		{"quota:\n  limits:\n    - prefix: a\n      max: {bites: 1}\nhistory: 1h\n", `x.yaml:4: "bites" is not one of`},
		{"retention:\n  every: 1h\n  rules:\n  - name: x\n    tag: y\n", `x.yaml:5: "tag" is not one of`},
		{"retention: {rules: []}\n", "x.yaml:1: rules: write this over several lines"},
		{"history: 1h\nmirror:\n  upstreams:\n  - name: a\n    uri: b\n", `x.yaml:5: "uri" is not one of`},
		{"mirror: x\n", "x.yaml:1: mirror: this must have fields"},
	} {
		_, err := config.Parse("x.yaml", []byte(row.text))
		require.ErrorContains(t, err, row.want, row.text)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(config.Shipped)
	f.Add([]byte("quota:\n  limits:\n\n  # x\n  - prefix: a\nmirror:\n  upstreams: []\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		c, err := config.Parse("x.yaml", content)
		if (c == nil) && err == nil {
			t.Fatal("neither a configuration nor an error")
		}
	})
}

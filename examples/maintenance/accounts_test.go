package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/notification/outbox"
	"github.com/registrykit/registry/storage/disk"
)

const annPassword = "ann likes long walks"

// world is a storage with accounts.
type world struct {
	dir, password string
	more          []string // flags of all commands
}

// account runs a command for accounts, and requires success.
func (w *world) account(t *testing.T, v any, args ...string) {
	t.Helper()
	succeed(t, v, slices.Concat([]string{"accounts"}, args, []string{"-storage", w.dir}, w.more)...)
}

// newWorld makes the admin ann, the user bob, the organisation acme with the team dev, and the robot acme+deploy.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{dir: filepath.Join(t.TempDir(), "data"), password: write(t, "password", annPassword+"\n")}
	w.account(t, nil, "setup", "ann", "-password-file", w.password)
	w.account(t, nil, "user", "add", "bob", "-no-password", "-full-name", "Bob")
	w.account(t, nil, "org", "add", "acme", "-owner", "ann")
	w.account(t, nil, "team", "add", "acme", "dev")
	w.account(t, nil, "team", "grant", "acme", "dev", "write", "app/**")
	w.account(t, nil, "team", "join", "acme", "dev", "bob")
	w.account(t, nil, "robot", "add", "acme", "deploy", "-grant", "write:app/**", "-grant", "read:base")
	return w
}

// people returns the accounts themselves.
func (w *world) people(t *testing.T) *accounts.Accounts {
	t.Helper()
	d, err := disk.New(w.dir, nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, d.Close()) })
	all, err := accounts.New(d, nil)
	require.NoError(t, err)
	return all
}

// TestAccountsLife takes accounts through everything that there are commands for. docs/identity.md has each of the
// changes.
func TestAccountsLife(t *testing.T) {
	w := newWorld(t)
	w.more = []string{"-webhook", "https://ci.example/hook#name=ci"}
	var bob struct {
		Name, FullName string
		ID             accounts.ID
		Former, Groups []string
		Disabled       *accounts.Mark
		Admin          bool
	}
	show := func() {
		t.Helper()
		bob.Disabled, bob.Admin = nil, false
		w.account(t, &bob, "user", "show", "robert")
	}
	w.account(t, nil, "user", "rename", "bob", "robert")
	w.account(t, nil, "user", "profile", "robert", "-email", "robert@example.org")
	show()
	require.Equal(t, []string{"acme", "acme/dev"}, bob.Groups)
	require.Equal(t, []string{"bob"}, bob.Former)
	require.Equal(t, "Bob", bob.FullName, "a flag that was not given changes nothing")
	w.account(t, nil, "user", "disable", "robert", "-by", "ann", "-reason", "on leave")
	show()
	require.Equal(t, "ann", bob.Disabled.By)
	require.Equal(t, "on leave", bob.Disabled.Reason)
	w.account(t, nil, "user", "enable", "robert")
	w.account(t, nil, "user", "password", "robert", "-password-file", w.password)
	_, err := w.people(t).CheckPassword(t.Context(), bob.ID, annPassword)
	require.NoError(t, err)
	w.account(t, nil, "admin", "add", "robert")
	show()
	require.True(t, bob.Admin)
	w.account(t, nil, "admin", "remove", "robert")
	w.account(t, nil, "owner", "add", "acme", "robert")
	w.account(t, nil, "owner", "remove", "acme", "robert")
	w.account(t, nil, "team", "leave", "acme", "dev", "robert")
	w.account(t, nil, "member", "remove", "acme", "robert")
	w.account(t, nil, "member", "add", "acme", "robert")
	w.account(t, nil, "user", "release", "robert", "bob")
	w.account(t, nil, "visibility", "set", "acme/app", "public")
	w.account(t, nil, "org", "profile", "acme", "-visibility", "public")
	w.account(t, nil, "robot", "grants", "acme+deploy", "-grant", "maintain:**")
	w.account(t, nil, "team", "revoke", "acme", "dev", "app/**")
	w.account(t, nil, "team", "remove", "acme", "dev")
	w.account(t, nil, "robot", "remove", "acme+deploy")
	w.account(t, nil, "org", "remove", "acme")
	w.account(t, nil, "user", "remove", "robert")
	w.account(t, nil, "tidy")
	var users []struct{ Name string }
	w.account(t, &users, "user", "list")
	require.Len(t, users, 1)
	page, err := os.ReadFile("../../docs/identity.md")
	require.NoError(t, err)
	all := w.events(t)
	require.Len(t, all, 21)
	for _, e := range all {
		require.Contains(t, string(page), "`"+e.Account.Change+"`")
		require.Equal(t, e.Repository == "", e.Account.ID != "" && e.Account.Name != "", e.Account.Change)
	}
}

// TestAccountsTables: the lists have a table for people and no secrets.
func TestAccountsTables(t *testing.T) {
	w := newWorld(t)
	var token shownToken
	w.account(t, &token, "token", "add", "acme+deploy", "ci", "-expires", "90d", "-scope", "read:acme/**")
	for want, args := range map[string][]string{
		`ann +\w{16} +active`:              {"user", "list"},
		`acme +\w{16} +active`:             {"org", "list"},
		`(?s)bob.*groups: acme, acme/dev`:  {"user", "show", "bob"},
		`admin of the registry`:            {"user", "show", "ann"},
		`grants: read:base, write:app`:     {"robot", "show", "acme+deploy"},
		`ann +\w{16} +active +`:            {"admin", "list"},
		`ann +\w{16} +active  +`:           {"owner", "list", "acme"},
		`(?s)ann .*true.*|bob .*false dev`: {"member", "list", "acme"},
		`dev +write:app/\*\*`:              {"team", "list", "acme"},
		`acme\+deploy +true +read:base`:    {"robot", "list", "acme"},
		`"ci" +.*read:acme/\*\*`:           {"token", "list", "acme+deploy"},
		`acme/app: default`:                {"visibility", "show", "acme/app"},
	} {
		status, out, errs := call(t.Context(), append(append([]string{"accounts"}, args...), "-storage", w.dir)...)
		require.Zero(t, status, errs)
		require.Regexp(t, want, out)
		require.NotContains(t, out, token.Value)
		require.NotContains(t, out, "argon2")
	}
	var all []map[string]any
	w.account(t, &all, "token", "list", "acme+deploy")
	require.Len(t, all, 1)
	require.NotContains(t, all[0], "hash")
	require.NotContains(t, all[0], "value")
}

// TestAccountsTokens: a token is shown once, alone on standard output, and works until it is revoked or rotated.
func TestAccountsTokens(t *testing.T) {
	w := newWorld(t)
	status, out, errs := call(t.Context(), "accounts", "token", "add", "ann", "laptop", "-storage", w.dir)
	require.Zero(t, status, errs)
	value := strings.TrimSuffix(out, "\n")
	owner, id, ok := accounts.ParseSecret(value)
	require.True(t, ok, out)
	require.Contains(t, errs, "token "+id+" of ann, never expires; it is shown only now")
	require.NotContains(t, errs, value)
	var next shownToken
	w.account(t, &next, "token", "rotate", "ann", id, "-grace", "1h")
	require.NotEqual(t, value, next.Value)
	_, nextID, ok := accounts.ParseSecret(next.Value)
	require.True(t, ok)
	require.Equal(t, nextID, next.ID)
	people := w.people(t)
	old, err := people.Secret(t.Context(), owner, id)
	require.NoError(t, err)
	require.WithinDuration(t, time.Now().Add(time.Hour), old.Expires, time.Minute)
	w.account(t, nil, "token", "revoke", "ann", next.ID)
	_, err = people.Secret(t.Context(), owner, next.ID)
	require.ErrorIs(t, err, accounts.ErrUnknown)
}

// TestAccountsSetupToken: with -token-file, the first admin needs the token that a server has made.
func TestAccountsSetupToken(t *testing.T) {
	w := &world{dir: filepath.Join(t.TempDir(), "data"), password: write(t, "password", annPassword)}
	people := w.people(t)
	token, err := people.SetupToken(t.Context())
	require.NoError(t, err)
	setup := func(name, token string) int {
		status, _, errs := call(t.Context(), "accounts", "setup", name, "-storage", w.dir, "-password-file", w.password,
			"-token-file", write(t, "token", token+"\n"))
		require.NotContains(t, errs, token)
		return status
	}
	require.Equal(t, refused, setup("ann", "guessed"))
	require.Equal(t, succeeded, setup("ann", token.Value()))
	require.Equal(t, succeeded, setup("ann", token.Value()), "a repeated command")
	require.Equal(t, refused, setup("eve", token.Value()))
	status, _, errs := call(t.Context(), "accounts", "setup", "eve", "-storage", w.dir, "-password-file", w.password)
	require.Equal(t, refused, status, "there is an admin: %s", errs)
}

// TestAccountsRefused: what a rule forbids has the exit status 4, and a mistake 2. Nothing changes.
func TestAccountsRefused(t *testing.T) {
	w := newWorld(t)
	before := snapshot(t, w.dir)
	short := write(t, "short", "short")
	for _, row := range []struct {
		status int
		want   string
		args   []string
	}{
		{refused, "taken", []string{"user", "add", "b0b", "-no-password"}},
		{refused, "reserved", []string{"user", "add", "support", "-no-password"}},
		{refused, "last", []string{"admin", "remove", "ann"}},
		{refused, "last", []string{"owner", "remove", "acme", "ann"}},
		{refused, "in use", []string{"user", "disable", "ann"}},
		{misused, "a name has", []string{"user", "add", "Bob", "-no-password"}},
		{misused, "at least 15", []string{"user", "add", "carl", "-password-file", short}},
		{misused, "at least 15", []string{"user", "password", "bob", "-password-file", short}},
		{misused, "no such file", []string{"user", "add", "carl", "-password-file", short + "x"}},
		{misused, "NAME: required", []string{"user", "add"}},
		{misused, "unexpected argument", []string{"user", "list", "ann"}},
		{misused, "no account with the name \"eve\"", []string{"user", "show", "eve"}},
		{misused, "must be the name of a user", []string{"user", "disable", "acme"}},
		{misused, "-owner is required", []string{"org", "add", "other"}},
		{misused, "-visibility open", []string{"org", "add", "other", "-owner", "ann", "-visibility", "open"}},
		{misused, "use read, write, maintain or admin", []string{"team", "grant", "acme", "dev", "own", "**"}},
		{misused, "no team ops in acme", []string{"team", "grant", "acme", "ops", "read", "**"}},
		{misused, "ann is in no team dev of acme", []string{"team", "leave", "acme", "dev", "ann"}},
		{misused, "is no owner of acme", []string{"owner", "remove", "acme", "bob"}},
		{misused, "bob is no admin", []string{"admin", "remove", "bob"}},
		{misused, "a user or a robot, and is that of an organisation", []string{"token", "add", "acme", "x"}},
		{refused, "there is an admin already", []string{"setup", "eve", "-password-file", w.password}},
		{misused, "has no role", []string{"team", "revoke", "acme", "dev", "other"}},
		{misused, "ROLE:PATTERN", []string{"robot", "add", "acme", "x", "-grant", "write"}},
		{misused, "30d", []string{"token", "add", "ann", "x", "-expires", "soon"}},
		{misused, "must be public", []string{"visibility", "set", "acme/app", "open"}},
		{misused, "invalid", []string{"visibility", "set", "Acme/app", "public"}},
		{misused, "token list shows them", []string{"token", "revoke", "ann", "abcdefghij"}},
		{misused, "no such file", []string{"import", short + "x"}},
		{misused, "invalid", []string{"import", short}},
		{misused, "unknown command of accounts", []string{"user", "destroy", "ann"}},
	} {
		args := append(append([]string{"accounts"}, row.args...), "-storage", w.dir)
		status, out, errs := call(t.Context(), args...)
		require.Equal(t, row.status, status, "%v: %s%s", row.args, out, errs)
		require.Contains(t, errs, row.want, row.args)
		require.Equal(t, before, snapshot(t, w.dir), row.args)
	}
}

// TestAccountsDryRun: a dry run checks the arguments and changes nothing.
func TestAccountsDryRun(t *testing.T) {
	w := newWorld(t)
	var token shownToken
	w.account(t, &token, "token", "add", "ann", "laptop")
	file := filepath.Join(t.TempDir(), "accounts.jsonl")
	w.account(t, nil, "export", file)
	before := snapshot(t, w.dir)
	for _, args := range [][]string{
		{"user", "add", "carl", "-password-file", w.password},
		{"user", "password", "bob", "-password-file", w.password},
		{"user", "rename", "bob", "robert"}, {"user", "disable", "bob"}, {"user", "remove", "bob"},
		{"user", "profile", "bob", "-email", "x"}, {"org", "add", "other", "-owner", "bob"},
		{"admin", "add", "bob"}, {"owner", "add", "acme", "bob"}, {"member", "remove", "acme", "bob"},
		{"team", "add", "acme", "ops"}, {"team", "grant", "acme", "dev", "read", "**"},
		{"team", "leave", "acme", "dev", "bob"},
		{"robot", "add", "acme", "other"}, {"robot", "grants", "acme+deploy"}, {"token", "add", "bob", "x"},
		{"token", "rotate", "ann", token.ID}, {"token", "revoke", "ann", token.ID},
		{"visibility", "set", "acme/app", "public"}, {"export", file + "x"}, {"import", file}, {"tidy"},
	} {
		args = append(append([]string{"accounts"}, args...), "-storage", w.dir, "-dry-run")
		status, out, errs := call(t.Context(), args...)
		require.Zero(t, status, "%v: %s%s", args, out, errs)
		require.Contains(t, out, "dry run: ", args)
		require.Equal(t, before, snapshot(t, w.dir), args)
	}
	require.NoFileExists(t, file+"x")
	status, _, errs := call(t.Context(), "accounts", "user", "disable", "eve", "-storage", w.dir, "-dry-run")
	require.Equal(t, misused, status, errs)
}

// TestAccountsExportImport moves all accounts to another storage, where passwords and tokens work.
func TestAccountsExportImport(t *testing.T) {
	w := newWorld(t)
	var token shownToken
	w.account(t, &token, "token", "add", "ann", "laptop")
	file := filepath.Join(t.TempDir(), "accounts.jsonl")
	w.account(t, nil, "export", file)
	info, err := os.Stat(file)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NotContains(t, string(content), token.Value)
	status, out, errs := call(t.Context(), "accounts", "export", "-", "-storage", w.dir)
	require.Zero(t, status, errs)
	require.Len(t, strings.Split(out, "\n"), len(strings.Split(string(content), "\n")))
	for line := range strings.Lines(out) {
		require.True(t, json.Valid([]byte(line)), line)
	}

	other := &world{dir: filepath.Join(t.TempDir(), "other"), password: w.password}
	var result accounts.ImportResult
	other.account(t, &result, "import", file)
	require.Positive(t, result.Added)
	other.account(t, &result, "import", file)
	require.Zero(t, result.Added)
	people := other.people(t)
	ann, err := people.Lookup(t.Context(), "ann")
	require.NoError(t, err)
	_, err = people.CheckPassword(t.Context(), ann.ID, annPassword)
	require.NoError(t, err)
	_, err = people.Secret(t.Context(), ann.ID, token.ID)
	require.NoError(t, err)
}

// events returns the events in the storage.
func (w *world) events(t *testing.T) (all []notification.Event) {
	t.Helper()
	d, err := disk.New(w.dir, nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, d.Close()) })
	box, err := outbox.New(d, nil, nil)
	require.NoError(t, err)
	for entry, err := range box.Since(t.Context(), "", nil) {
		require.NoError(t, err)
		all = append(all, entry.Event)
	}
	return all
}

// TestAccountsEvents: with -webhook, the event of a change waits in the storage for the servers.
func TestAccountsEvents(t *testing.T) {
	w := newWorld(t)
	w.account(t, nil, "user", "disable", "bob", "-by", "ann", "-reason", "on leave", "-webhook",
		"https://ci.example/hook#name=ci")
	all := w.events(t)
	require.Len(t, all, 1)
	require.Equal(t, "ann", all[0].Actor)
	require.Equal(t, "user.disable bob on leave", all[0].Account.Change+" "+all[0].Account.Name+" "+all[0].Account.Reason)
	status, _, errs := call(t.Context(), "accounts", "user", "enable", "bob", "-storage", w.dir, "-webhook", "none.yaml")
	require.Equal(t, misused, status, errs)
}

// TestSecretInput: a password comes from a file or from standard input, without the line break at its end.
func TestSecretInput(t *testing.T) {
	for content, want := range map[string]string{"a b\n": "a b", "a b\r\n": "a b", "a b": "a b", " a\n\n": " a\n",
		"": ""} {
		got, err := secretFrom(&program{in: strings.NewReader(content)}, "-", "")
		require.NoError(t, err)
		require.Equal(t, want, got)
		got, err = secretFrom(nil, write(t, "secret", content), "")
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	_, err := secretFrom(&program{in: strings.NewReader(strings.Repeat("x", maxSecret+1))}, "-", "")
	require.Error(t, err)
	_, err = (&passwordSource{file: "-"}).read(&program{in: strings.NewReader("\n")})
	require.ErrorContains(t, err, "empty")
	in := strings.NewReader("token\npassword\n")
	line, err := firstLine(in)
	require.NoError(t, err)
	require.Equal(t, "token", line)
	rest, err := secretIn(in)
	require.NoError(t, err)
	require.Equal(t, "password", rest)
	_, err = firstLine(strings.NewReader(strings.Repeat("x", maxSecret+1)))
	require.Error(t, err)
}

package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/registrykit/registry/examples/hub/config"
	"github.com/registrykit/registry/examples/hub/site"
	"github.com/registrykit/registry/registrytest"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/memory"
)

const hubConfig = `
history: 24h
collection: {grace: 1ns}
retention:
  rules: [{name: builds, tags: ["build-*"], keep: {newest: 1}}]
mirror: {}
`

// onHub is a running hub for the commands, with the admin ann.
type onHub struct {
	url, password string
}

// newHub starts a hub. It makes ann by the command setup.
func newHub(t *testing.T) *onHub {
	t.Helper()
	t.Setenv(sessionVariable, "")
	d := memory.New(nil)
	store, err := storage.New(t.Context(), d, nil)
	require.NoError(t, err)
	c, err := config.Parse("hub.yaml", []byte(hubConfig))
	require.NoError(t, err)
	hub, err := site.New(t.Context(), &site.Options{Config: c, Driver: d, Addr: "127.0.0.1:0",
		Spans: noop.NewTracerProvider(), Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	server := httptest.NewServer(hub)
	ctx, stop := context.WithCancel(context.Background())
	var ended sync.WaitGroup
	ended.Go(func() { hub.Run(ctx) })
	ended.Go(func() { hub.Deliver(ctx) })
	t.Cleanup(func() {
		server.Close()
		stop()
		ended.Wait()
	})
	h := &onHub{url: server.URL + "/api", password: write(t, "password", annPassword+"\n")}
	token, err := hub.SetupToken(t.Context())
	require.NoError(t, err)
	succeed(t, nil, "accounts", "setup", "ann", "-hub", h.url, "-password-file", h.password,
		"-token-file", write(t, "token", token.Value()+"\n"))
	require.NoError(t, registrytest.RandomImage(1, 1, 1000).Push(t.Context(), store, "ann/app", "v1", "other"))
	return h
}

// run runs a command as ann, and requires success. v receives its result, unless it is nil.
func (h *onHub) run(t *testing.T, v any, args ...string) {
	t.Helper()
	succeed(t, v, h.as("ann", args...)...)
}

// as returns the arguments of a command for a user with the password of ann.
func (h *onHub) as(user string, args ...string) []string {
	return append(slices.Clone(args), "-hub", h.url, "-hub-user", user, "-hub-secret-file", h.password)
}

// eventually runs a command until check accepts its output.
func (h *onHub) eventually(t *testing.T, check func(out string) bool, args ...string) {
	t.Helper()
	var status int
	var out, errs string
	require.Eventually(t, func() bool {
		status, out, errs = call(t.Context(), h.as("ann", args...)...)
		return status == succeeded && check(out)
	}, 30*time.Second, 100*time.Millisecond, "%v %d %s%s", args, status, out, errs)
}

// TestAccountsOnHub runs each command of accounts that a hub offers.
func TestAccountsOnHub(t *testing.T) {
	h := newHub(t)
	accounts := func(v any, args ...string) {
		t.Helper()
		h.run(t, v, append([]string{"accounts"}, args...)...)
	}
	for _, command := range []string{
		"user add bob -no-password -full-name Bob -reason new", "user rename bob robert", "user release robert bob",
		"user rename robert bob", "user profile bob -email bob@example.com", "user disable bob -reason holidays",
		"user enable bob", "user password bob -password-file PASSWORD", "admin add bob", "admin remove bob",
		"org add acme -owner ann", "org rename acme firm", "org release firm acme", "org profile firm -full-name Firm",
		"org disable firm", "org enable firm", "owner add firm bob", "owner remove firm bob", "member add firm bob",
		"team add firm dev", "team grant firm dev write app/**", "team grant firm dev read base",
		"team revoke firm dev base", "team join firm dev bob",
		"robot add firm ci -grant write:app", "robot grants firm+ci -grant read:app", "robot disable firm+ci",
		"robot enable firm+ci", "visibility set ann/app public",
	} {
		accounts(nil, strings.Fields(strings.ReplaceAll(command, "PASSWORD", h.password))...)
	}
	var user struct {
		Name, FullName, Email string
		Former                []string
	}
	accounts(&user, "user", "show", "bob")
	require.Equal(t, "Bob bob@example.com", user.FullName+" "+user.Email)
	for list, want := range map[string]string{
		"user list": "bob", "org list": "firm", "admin list": "ann", "owner list firm": "ann", "member list firm": "bob",
		"team list firm": "app/**", "robot list firm": "firm+ci", "robot show firm+ci": "read", "org show firm": "Firm",
		"visibility show ann/app": "public",
	} {
		status, out, errs := call(t.Context(), h.as("ann", append([]string{"accounts"}, strings.Fields(list)...)...)...)
		require.Zero(t, status, "%s: %s", list, errs)
		require.Contains(t, out, want, list)
	}
	status, token, errs := call(t.Context(), h.as("ann", "accounts", "token", "add", "firm+ci", "build")...)
	require.Zero(t, status, errs)
	require.NotContains(t, errs, strings.TrimSpace(token))
	var tokens []struct{ ID string }
	accounts(&tokens, "token", "list", "firm+ci")
	require.Len(t, tokens, 1)
	accounts(nil, "token", "rotate", "firm+ci", tokens[0].ID, "-grace", "1h")
	accounts(nil, "token", "revoke", "firm+ci", tokens[0].ID)
	for _, command := range []string{"team leave firm dev bob", "team remove firm dev", "member remove firm bob",
		"robot remove firm+ci", "org remove firm", "user remove bob"} {
		accounts(nil, strings.Fields(command)...)
	}
	status, _, errs = call(t.Context(), h.as("ann", "accounts", "user", "show", "bob")...)
	require.Equal(t, misused, status, errs)
	status, _, errs = call(t.Context(), h.as("ann", "accounts", "admin", "remove", "ann")...)
	require.Equal(t, refused, status, errs)
	for _, command := range []string{"export FILE", "import FILE", "tidy"} {
		file := filepath.Join(t.TempDir(), "accounts.json")
		args := strings.Fields("accounts " + strings.ReplaceAll(command, "FILE", file))
		status, _, errs := call(t.Context(), h.as("ann", args...)...)
		require.Equal(t, misused, status, "%s: %s", command, errs)
	}
}

// TestKeepingOnHub runs the other commands with -hub.
func TestKeepingOnHub(t *testing.T) {
	h := newHub(t)
	h.run(t, nil, "jobs", "run", "usage")
	h.eventually(t, func(out string) bool { return strings.Contains(out, "LOGICAL") }, "usage", "ann")
	h.run(t, nil, "usage", "-list")
	h.run(t, nil, "usage", "-days")
	h.run(t, nil, "quota", "ann", "-recount")
	h.eventually(t, func(out string) bool { return strings.Contains(out, "GiB") }, "quota")
	h.eventually(t, func(out string) bool { return strings.Contains(out, "retain ") }, "jobs", "list")
	status, _, errs := call(t.Context(), h.as("ann", "jobs", "cancel", "retain")...)
	require.Contains(t, []int{succeeded, refused}, status, errs)
	status, _, errs = call(t.Context(), h.as("ann", "jobs", "run", "none")...)
	require.Equal(t, misused, status, errs)

	plan := filepath.Join(t.TempDir(), "plan.json")
	h.run(t, nil, "retain", "plan", "-o", plan)
	for _, command := range [][]string{{"retain", "apply"}, {"retain", "apply", "-dry-run"}, {"undo"}} {
		h.run(t, nil, append(command, plan)...)
	}
	status, _, errs = call(t.Context(), h.as("ann", "retain", "apply", write(t, "plan.json", "{}"))...)
	require.Equal(t, misused, status, errs)
	h.eventually(t, func(out string) bool { return strings.Contains(out, "user.create") }, "audit", "-since", "1h",
		"-limit", "0")
	h.run(t, nil, "audit", "-actor", "nobody", "-outcome", "denied")
}

// TestLogin begins a session by a password, uses it from a file and from the environment, and ends it.
func TestLogin(t *testing.T) {
	h := newHub(t)
	file := write(t, "session", "an old file")
	require.NoError(t, os.Chmod(file, 0o644))
	status, out, errs := call(t.Context(), h.as("ann", "login", "-o", file)...)
	require.Zero(t, status, errs)
	require.Empty(t, out)
	info, err := os.Stat(file)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	session, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NotContains(t, errs, strings.TrimSpace(string(session)))
	succeed(t, nil, "jobs", "list", "-hub", h.url, "-hub-session-file", file)

	status, out, errs = call(t.Context(), h.as("ann", "login")...)
	require.Zero(t, status, errs)
	t.Setenv(sessionVariable, strings.TrimSpace(out))
	succeed(t, nil, "jobs", "list", "-hub", h.url)
	succeed(t, nil, "logout", "-hub", h.url)
	status, _, errs = call(t.Context(), "jobs", "list", "-hub", h.url)
	require.Equal(t, failed, status, errs)
	require.Contains(t, errs, "401")
	succeed(t, nil, "logout", "-hub", h.url, "-hub-session-file", file)
	status, _, errs = call(t.Context(), h.as("ann", "logout")...)
	require.Equal(t, misused, status, errs)
}

// TestMistakesOnHub: a mistake has the exit status 2, and says what is wrong.
func TestMistakesOnHub(t *testing.T) {
	h := newHub(t)
	for _, row := range []struct {
		want string
		args []string
	}{
		{"exclude each other", []string{"usage", "-hub", h.url, "-storage", t.TempDir()}},
		{"belong together", []string{"usage", "-hub", h.url, "-hub-user", "ann"}},
		{"need -hub", []string{"usage", "-storage", t.TempDir(), "-hub-user", "ann"}},
		{"exclude each other", h.as("ann", "usage", "-hub-session-file", h.password)},
		{"no TLS", []string{"usage", "-hub", "http://hub.example.com/api", "-hub-user", "ann", "-hub-secret-file",
			h.password}},
		{"must have the form", []string{"usage", "-hub", "hub.example.com"}},
		{"-count is for -storage", h.as("ann", "usage", "-count")},
		{"-quota is for -storage", h.as("ann", "quota", "-quota", "x")},
		{"a hub plans by its own rules", h.as("ann", "retain", "plan", "-rules", "x", "-o", "y")},
		{"-hub is required", []string{"audit"}},
		{"-hub is required", []string{"login"}},
		{"-hub is required", []string{"logout"}},
		{"the hub has no provider", []string{"login", "-hub", h.url}},
		{"exclude each other", h.as("ann", "login", "-provider", "corp")},
	} {
		status, _, errs := call(t.Context(), row.args...)
		require.Equal(t, misused, status, "%v: %s", row.args, errs)
		require.Contains(t, errs, row.want, row.args)
	}
	status, out, errs := call(t.Context(), "login", "-hub", h.url, "-hub-user", "ann", "-hub-secret-file",
		write(t, "wrong", "not the password"), "-json")
	require.Equal(t, refused, status, errs)
	require.True(t, json.Valid([]byte(out)), out)
}

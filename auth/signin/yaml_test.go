package signin_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth/signin"
)

// TestExamples: the examples for providers in testdata, which docs/signin.md shows, are valid.
func TestExamples(t *testing.T) {
	files, err := filepath.Glob("testdata/*.yaml")
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(files), 5)
	doc, err := os.ReadFile("../../docs/signin.md")
	require.NoError(t, err)
	for _, file := range files {
		t.Setenv("REGISTRY_CLIENT_SECRET", "s3cret")
		providers, err := signin.Load(file)
		require.NoError(t, err)
		s := newSite(t, nil, nil, nil)
		_, err = signin.New(s.people, s.sessions, make([]byte, 32),
			&signin.Options{URL: "https://registry.example/signin", Providers: providers})
		require.NoError(t, err, file)
		content, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Contains(t, string(doc), string(content), "%s is not in the documentation", file)
	}
}

func TestParse(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "secret"), []byte("s3cret\n"), 0o600))
	providers, err := signin.Parse(filepath.Join(dir, "signin.yaml"), []byte(`
providers:
- name: company
  title: Company login
  issuer: https://id.example
  clientID: registry
  clientSecret: {file: secret}
  scopes: [profile, groups]
  parameters: {prompt: select_account}
  algorithms: [RS256]
  leeway: 0s
  userInfo: true
  require: {hd: [example.com, example.org], tid: "1"}
  create: numbered
  nameClaim: nickname
  groupsClaim: roles
  teams:
  - {group: dev, team: acme/dev}
  - {group: root, admin: true}
  postLogoutURL: https://registry.example/
- {name: other, issuer: "https://other.example", clientID: x}
`))
	require.NoError(t, err)
	require.Len(t, providers, 2)
	require.Equal(t, "s3cret", providers[0].ClientSecret.Value())
	providers[0].ClientSecret = ""
	require.Equal(t, signin.Provider{Name: "company", Title: "Company login", Issuer: "https://id.example",
		ClientID: "registry", Scopes: []string{"profile", "groups"},
		Parameters: map[string]string{"prompt": "select_account"}, Algorithms: []string{"RS256"}, Leeway: -1, UserInfo: true,
		Require: map[string][]string{"hd": {"example.com", "example.org"}, "tid": {"1"}}, Create: signin.Numbered,
		NameClaim: "nickname", GroupsClaim: "roles", PostLogoutURL: "https://registry.example/",
		Teams: []signin.Mapping{{Group: "dev", Team: "acme/dev"}, {Group: "root", Admin: true}}}, providers[0])
	require.Zero(t, providers[1].Leeway)
}

func TestParseRefuses(t *testing.T) {
	t.Setenv("EMPTY", "")
	const good = "name: a\n  issuer: https://id.example\n  clientID: x\n"
	for text, want := range map[string]string{
		"":                                    "f.yaml:1: no providers",
		"provider: []":                        `f.yaml:1: "provider"`,
		"providers: {}":                       "f.yaml:1: this must be a list",
		"providers:\n- name: a":               "f.yaml:2: clientID",
		"providers:\n- " + good + "  typo: 1": `f.yaml:5: "typo"`,
		"providers:\n- " + good + "  name: b": `f.yaml:5: "name" occurs twice`,
		"providers:\n- " + good + "- " + good: `f.yaml:5: two providers have the name "a"`,
		"providers:\n- " + good + "  clientSecret: s3cret":                "f.yaml:5: clientSecret: write",
		"providers:\n- " + good + "  clientSecret: {env: EMPTY}":          "f.yaml:5: clientSecret: the file",
		"providers:\n- " + good + "  clientSecret: {file: absent}":        "f.yaml:5: clientSecret: ",
		"providers:\n- " + good + "  clientSecret: {}":                    "f.yaml:5: clientSecret: either",
		"providers:\n- " + good + "  leeway: soon":                        "f.yaml:5: leeway",
		"providers:\n- " + good + "  userInfo: maybe":                     "f.yaml:5: ",
		"providers:\n- " + good + "  create: always":                      "f.yaml:5: create",
		"providers:\n- " + good + "  teams:\n  - {group: x}":              "f.yaml:6: teams",
		"providers:\n- " + good + "  teams:\n  - {group: x, team: a/b/c}": "f.yaml:6: teams",
		"providers:\n- " + good + "  teams: x":                            "f.yaml:5: teams",
		"providers:\n- " + good + "  scopes: []":                          "f.yaml:5: ",
		"providers:\n- " + good + "  title: ''":                           "f.yaml:5: this is empty",
		"providers:\n- " + good + "  parameters: {nonce: x}":              "f.yaml:5: parameters",
	} {
		_, err := signin.Parse("f.yaml", []byte(text))
		require.ErrorContains(t, err, want, text)
		require.NotContains(t, err.Error(), "s3cret")
	}
	providers, err := signin.Parse("f.yaml", []byte("providers: []"))
	require.NoError(t, err)
	require.Empty(t, providers)
	_, err = signin.Load(filepath.Join(t.TempDir(), "absent"))
	require.Error(t, err)
}

// FuzzParse: no file makes the parser panic, and what it accepts can be used.
func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("testdata/*.yaml")
	require.NoError(f, err)
	for _, file := range files {
		content, err := os.ReadFile(file)
		require.NoError(f, err)
		f.Add(content)
	}
	f.Add([]byte("providers:\n- {name: a, issuer: 'https://a', clientID: x, leeway: 1ns, require: {a: [b]}}"))
	f.Fuzz(func(t *testing.T, content []byte) {
		if strings.Contains(string(content), "file") { // it must not read files of this machine
			return
		}
		providers, err := signin.Parse("f.yaml", content)
		if err != nil {
			return
		}
		for _, p := range providers {
			if p.Name == "" || p.Issuer == "" || p.ClientID == "" || p.Leeway > time.Hour {
				t.Fatalf("%q was accepted", content)
			}
		}
	})
}

// FuzzLocalPath: a browser that is sent to an accepted path stays on the host.
func FuzzLocalPath(f *testing.F) {
	for _, seed := range []string{"/", "//a", "/\\a", "/a?b#c", "/..//a", "/%2f/a", "/a:b@c"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, path string) {
		if !signin.IsLocal(path) {
			return
		}
		checkStays(t, path)
	})
}

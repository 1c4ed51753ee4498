package oidc_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth/oidc"
)

// whole has every field.
const whole = `name: ci
issuer: https://ci.example
audience: registry.example
otherAudiences: [vault, account]
parties: runner
jwks: https://ci.example/keys
algorithms: [RS256, PS512]
leeway: 30s
maxAge: 1h
rules:
  - name: release
    claims:
      repository: acme/*
      ref: [refs/heads/main, "refs/tags/**"]
    identity: "{repository}"
    groups: ["ci:{team}", releasers]
    keep: [repository, sha]
  - claims: {sub: x}
    robot: acme+deploy
`

func TestParse(t *testing.T) {
	p, err := oidc.Parse("ci.yaml", []byte(whole))
	require.NoError(t, err)
	require.Equal(t, oidc.Provider{
		Name: "ci", Issuer: "https://ci.example", Audience: "registry.example", OtherAudiences: []string{"vault", "account"},
		Parties: []string{"runner"}, JWKS: "https://ci.example/keys", Algorithms: []string{"RS256", "PS512"},
		Leeway: 30 * time.Second, MaxAge: time.Hour,
		Rules: []oidc.Rule{
			{Name: "release", Claims: map[string][]string{"repository": {"acme/*"}, "ref": {"refs/heads/main", "refs/tags/**"}},
				Identity: "{repository}", Groups: []string{"ci:{team}", "releasers"}, Keep: []string{"repository", "sha"}},
			{Claims: map[string][]string{"sub": {"x"}}, Robot: "acme+deploy"},
		},
	}, p)
	_, err = oidc.New([]oidc.Provider{p}, nil)
	require.NoError(t, err)

	p, err = oidc.Parse("/etc/registry/ci.yaml", []byte(strings.Replace(whole, "jwks: https://ci.example/keys\n",
		"keyFiles: [keys.json, /etc/keys.pem]\nleeway: 0s\n", 1)))
	require.ErrorContains(t, err, `"leeway" occurs twice`)
	require.Zero(t, p)
	p, err = oidc.Parse("/etc/registry/ci.yaml", []byte(strings.Replace(strings.Replace(whole,
		"jwks: https://ci.example/keys\n", "keyFiles: [keys.json, /etc/keys.pem]\n", 1), "30s", "0s", 1)))
	require.NoError(t, err)
	require.Equal(t, []string{"/etc/registry/keys.json", "/etc/keys.pem"}, p.KeyFiles)
	require.Negative(t, p.Leeway)
}

// TestParseErrors: each mistake has its line.
func TestParseErrors(t *testing.T) {
	for _, c := range []struct{ from, to, want string }{
		{whole, "", "ci.yaml:1: no provider"},
		{whole, "a: [", "ci.yaml:2: "},
		{"name: ci\n", "", "ci.yaml:1: name: "},
		{"name: ci\n", "name: CI\n", `ci.yaml:1: name: "CI" must have`},
		{"name: ci\n", "name: a--b\n", "ci.yaml:1: name: "},
		{"name: ci\n", "name: ''\n", "ci.yaml:1: name: this is empty"},
		{"name: ci\n", "name: [ci]\n", "ci.yaml:1: this must be a text"},
		{"audience: registry.example\n", "", "ci.yaml:1: audience: it must have"},
		{"issuer: https://ci.example\n", "", "ci.yaml:1: issuer: it must have"},
		{"parties: runner", "partys: runner", `ci.yaml:5: "partys" is not one of`},
		{"[vault, account]", "[vault, '']", "ci.yaml:4: otherAudiences: it is empty"},
		{"[vault, account]", "[]", "ci.yaml:4: this is empty"},
		{"jwks: https", "keyFiles: x\njwks: https", "ci.yaml:6: keyFiles: keys are at a URL or in files"},
		{"[RS256, PS512]", "[RS256, none]", `ci.yaml:7: algorithms: "none" is not one of`},
		{"[RS256, PS512]", "[RS256,\n  HS256]", `ci.yaml:8: algorithms: "HS256" is not one of`},
		{"leeway: 30s", "leeway: 30", `ci.yaml:8: leeway: "30" is no duration`},
		{"leeway: 30s", "leeway: -1s", "ci.yaml:8: leeway: "},
		{"leeway: 30s", "leeway: 2h", "ci.yaml:8: leeway: more than an hour"},
		{"maxAge: 1h", "maxAge: 0s", "ci.yaml:9: maxAge: "},
		{"name: release", "name: release\n    who: x", `ci.yaml:12: "who" is not one of`},
		{"name: release", `name: "a\nb"`, "ci.yaml:11: name: it must be a printable text"},
		{"repository: acme/*", "repository: [acme/*, a**]", `ci.yaml:13: claims.repository: pattern "a**": **`},
		{"refs/tags/**", "[", `ci.yaml:14: claims.ref: pattern "[": a class`},
		{"refs/tags/**", "", `ci.yaml:14: claims.ref: pattern "": it is empty`},
		{"[refs/heads/main, \"refs/tags/**\"]", "['!x']", "ci.yaml:14: claims.ref: nothing but exceptions"},
		{"sha]", "registrykit.io/account]", "ci.yaml:17: keep: "},
		{`"{repository}"`, `"{repository"`, "ci.yaml:15: identity: a { without }"},
		{`"ci:{team}"`, `"{team}"`, `ci.yaml:16: groups: "{team}" must begin with a text, such as "ci:{team}"`},
		{"robot: acme+deploy", "robot: deploy", `ci.yaml:19: robot: "deploy" must be NAMESPACE+NAME`},
		{"robot: acme+deploy", "robot: '{sub}+x'", "ci.yaml:19: robot: "},
		{"robot: acme+deploy", "robot: acme+deploy\n    groups: x", "ci.yaml:19: robot: the name and the groups"},
		{"robot: acme+deploy", "robot: acme+deploy\n    identity: x", "ci.yaml:19: robot: the name and the groups"},
		{"claims: {sub: x}", "name: x", "ci.yaml:18: a rule without claims"},
		{"claims: {sub: x}", "claims: {}", "ci.yaml:18: claims: a rule must have"},
		{"claims: {sub: x}", "claims: {sub: []}", "ci.yaml:18: this is empty"},
		{"claims: {sub: x}", "claims: {sub: {x: y}}", "ci.yaml:18: this must be a text"},
		{"claims: {sub: x}", "claims: {'': y}", "ci.yaml:18: claims.: the name of a claim"},
		{"claims: {sub: x}", "claims: {sub: *x}", "ci.yaml:18: "},
		{whole[strings.Index(whole, "rules:"):], "", "ci.yaml:1: no list of rules"},
		{whole[strings.Index(whole, "rules:"):], "rules: []", "ci.yaml:1: rules: none is given"},
	} {
		content := strings.Replace(whole, c.from, c.to, 1)
		require.NotEqual(t, whole, content, c.from)
		_, err := oidc.Parse("ci.yaml", []byte(content))
		require.Error(t, err, content)
		require.True(t, strings.HasPrefix(err.Error(), "oidc: "+c.want), "%v\n%s", err, c.want)
	}
}

// TestNewErrors: New refuses what Parse refuses, and what needs more than one provider to see.
func TestNewErrors(t *testing.T) {
	p, err := oidc.Parse("ci.yaml", []byte(whole))
	require.NoError(t, err)
	other := p
	other.Name = "other"
	for want, providers := range map[string][]oidc.Provider{
		"a provider is missing":         nil,
		`two providers have the name`:   {p, p},
		`two providers have the issuer`: {p, other},
		`provider "ci": rule 0: claims.sub: pattern "a**"`: {{Name: "ci", Issuer: "https://x", Audience: "a",
			Rules: []oidc.Rule{{Claims: map[string][]string{"sub": {"a**"}}}}}},
		"https": {{Name: "ci", Issuer: "http://ci.example", Audience: "a", Rules: p.Rules}},
		"no such file": {{Name: "ci", Issuer: "x", Audience: "a", Rules: p.Rules,
			KeyFiles: []string{filepath.Join(t.TempDir(), "none")}}},
		"Realm": {},
	} {
		opts := &oidc.Options{}
		if want == "Realm" {
			opts.Realm, providers = "\n", []oidc.Provider{p}
		}
		_, err := oidc.New(providers, opts)
		require.ErrorContains(t, err, want)
	}
	a, err := oidc.New([]oidc.Provider{p}, &oidc.Options{Realm: "acme"})
	require.NoError(t, err)
	require.Equal(t, `Basic realm="acme"`, a.Challenge(nil, nil))
}

// TestPublicIssuers: a rule for an issuer that gives everybody tokens must name the owner.
func TestPublicIssuers(t *testing.T) {
	const hub, lab = "https://token.actions.githubusercontent.com", "https://gitlab.com"
	const goo = "https://accounts.google.com"
	for _, c := range []struct {
		issuer, claim string
		patterns      []string
		ok            bool
	}{
		{hub, "repository", []string{"acme/*"}, true}, {hub, "repository", []string{"acme/*", "other/x"}, true},
		{hub, "repository", []string{"*/app"}, false}, {hub, "repository", []string{"acme/*", "**"}, false},
		{hub, "repository", []string{"acm?/app"}, false}, {hub, "repository", []string{"[a]cme/app"}, false},
		{hub, "repository", []string{"{acme/app,*/app}"}, false}, {hub, "repository", []string{"acme/**", "!acme/x"}, true},
		{hub, "repository_owner", []string{"acme"}, true}, {hub, "repository_owner", []string{"acme*"}, false},
		{hub, "repository_owner_id", []string{"65"}, true}, {hub, "sub", []string{"repo:acme/app:ref:refs/**"}, true},
		{hub, "sub", []string{"repo:acme*/app:ref:refs/heads/main"}, false}, {hub, "sub", []string{"repo:*/**"}, false},
		{hub, "job_workflow_ref", []string{"acme/app/.github/workflows/x.yml@refs/heads/main"}, false},
		{hub, "ref", []string{"refs/heads/main"}, false}, {hub, "repository", []string{"*@acme/app"}, false},
		{lab, "project_path", []string{"acme/app"}, true}, {lab, "namespace_path", []string{"**"}, false},
		{lab, "user_login", []string{"ann"}, false}, {lab, "sub", []string{"project_path:acme/*"}, true},
		{goo, "email", []string{"a@acme.iam.gserviceaccount.com"}, true}, {goo, "email", []string{"ann@gmail.com"}, true},
		{goo, "email", []string{"*@acme.iam.gserviceaccount.com"}, true}, {goo, "email", []string{"*@acme.example"}, true},
		{goo, "email", []string{"*@gmail.com"}, false}, {goo, "email", []string{"*"}, false},
		{goo, "email", []string{"*@*.iam.gserviceaccount.com"}, false},
		{goo, "email", []string{"*@developer.gserviceaccount.com"}, false}, {goo, "email_verified", []string{"true"}, false},
		{goo, "google/compute_engine/project_id", []string{"acme-prod"}, true}, {goo, "aud", []string{"registry"}, false},
		{"https://gitlab.acme.example", "ref", []string{"**"}, true},
	} {
		_, err := oidc.New([]oidc.Provider{{Name: "ci", Issuer: c.issuer, Audience: "registry",
			Rules: []oidc.Rule{{Claims: map[string][]string{c.claim: c.patterns}}}}}, nil)
		if c.ok {
			require.NoError(t, err, c)
		} else {
			require.Error(t, err, c)
		}
	}
}

// TestDoc: the file in the package comment is valid.
func TestDoc(t *testing.T) {
	doc, err := os.ReadFile("doc.go")
	require.NoError(t, err)
	_, rest, found := strings.Cut(string(doc), "//\tname: github\n")
	require.True(t, found)
	content, _, found := strings.Cut("name: github\n"+rest, "//\n")
	require.True(t, found)
	p, err := oidc.Parse("doc.go", []byte(strings.ReplaceAll(content, "//\t", "")))
	require.NoError(t, err)
	require.Equal(t, []string{"releasers"}, p.Rules[0].Groups)
}

// TestLoad: the examples are valid, and a file that cannot be read is an error with its name.
func TestLoad(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.yaml")
	require.NoError(t, err)
	require.Len(t, paths, 5)
	for _, path := range paths {
		p, err := oidc.Load(path)
		require.NoError(t, err)
		require.Len(t, p.Rules, 2)
	}
	path := filepath.Join(t.TempDir(), "ci.yaml")
	_, err = oidc.Load(path)
	require.ErrorContains(t, err, path)
	require.NoError(t, os.WriteFile(path, []byte("name: ci\nfoo: bar\n"), 0o600))
	_, err = oidc.Load(path)
	require.ErrorContains(t, err, path+":2: ")
	_, err = oidc.Load(filepath.Dir(path))
	require.ErrorContains(t, err, "not a regular file")
}

// TestOpen follows a file: new rules count at once, also for tokens that were accepted before. An invalid
// file, or one with what cannot change, is reported and not used.
func TestOpen(t *testing.T) {
	is := newIssuer(t, "https://ci.example")
	path := filepath.Join(t.TempDir(), "ci.yaml")
	write := func(content string) {
		t.Helper()
		require.NoError(t, os.WriteFile(path+".new", []byte(content), 0o600))
		require.NoError(t, os.Rename(path+".new", path))
		is.clock.Add(time.Second)
	}
	const one = "name: ci\nissuer: https://ci.example\naudience: registry.example\nrules:\n  - {claims: {sub: job}}\n"
	write(one)
	a, reported := openFile(t, is, path)
	token := is.token(t, nil)
	identity, err := login(a, token)
	require.NoError(t, err)
	require.Equal(t, "ci:job", identity.Name)

	write(strings.Replace(one, "{sub: job}", "{sub: job}, identity: x", 1))
	identity, err = login(a, token)
	require.NoError(t, err)
	require.Equal(t, "ci:x", identity.Name)

	write(strings.Replace(one, "sub: job", "sub: other", 1))
	refuses(t, a, token, "no rule matches")

	for content, want := range map[string]string{
		strings.Replace(one, "name: ci", "name: x", 1):      "change with a restart only",
		strings.Replace(one, "ci.example", "x.example", 1):  "change with a restart only",
		"jwks: https://ci.example/x\n" + one:                "change with a restart only",
		"algorithms: RS256\n" + one:                         "change with a restart only",
		strings.Replace(one, "audience: ", "audiense: ", 1): path + `:3: "audiense"`,
		"": path + ":1: no provider",
	} {
		write(content)
		refuses(t, a, token, "no rule matches")
		require.ErrorContains(t, reported(), want)
	}
	require.NoError(t, os.Remove(path))
	is.clock.Add(time.Second)
	refuses(t, a, token, "no rule matches")
	require.ErrorContains(t, reported(), path)
	write(one)
	_, err = login(a, token)
	require.NoError(t, err)
	require.LessOrEqual(t, is.requests.Load(), int64(2), "the keys are not read again")
}

package oidc_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/oidc"
)

// TestParseClaims: claims are texts, booleans and lists of texts, by their path.
func TestParseClaims(t *testing.T) {
	claims, err := oidc.ParseClaims([]byte(`{"sub":"a","n":12270807,"big":12345678901234567890,"f":1.50,
		"yes":true,"no":false,"null":null,"list":["a",1,true],"empty":[],"nested":[["a"],{"b":1}],"objects":[{"a":1}],
		"mixed":["a",null],
		"kubernetes.io":{"namespace":"build","pod":{"name":"p"},"empty":{}},"Sub":"b","":"c",
		"registrykit.io/account":"x","registrykit.io":{"secret":"y","password":"z"}}`))
	require.NoError(t, err)
	require.Equal(t, map[string]any{
		"sub": "a", "n": "12270807", "big": "12345678901234567890", "f": "1.50", "yes": true, "no": false,
		"list": []string{"a", "1", "true"}, "empty": []string{}, "kubernetes.io/namespace": "build",
		"kubernetes.io/pod/name": "p", "Sub": "b", "": "c",
	}, claims)

	var many strings.Builder
	for i := range 1001 {
		fmt.Fprintf(&many, `,"c%d":1`, i)
	}
	for content, reason := range map[string]string{
		``: "no object", `[]`: "no object", `"a"`: "no object", `null`: "no object", `{`: "malformed", `{"a":}`: "malformed",
		`{"a":1}x`: "after", `{"a":1}{}`: "after", `{"a":[1,}`: "malformed", "{\"a\":\"\xff\"}": "UTF-8",
		`{"sub":"a","sub":"b"}`: `"sub" occurs twice`, `{"a":{"b":1,"b":2}}`: `"a/b" occurs twice`,
		`{"a":{"b":1},"a/b":2}`: `"a/b" occurs twice`, `{"a/b":2,"a":{"b":null,"b":1}}`: `"a/b" occurs twice`,
		`{"":{"":1},"/":2}`: `"/" occurs twice`,
		`{"a":` + strings.Repeat(`{"a":`, 10) + `1` + strings.Repeat(`}`, 11):       "too deep",
		`{"a":` + strings.Repeat(`[`, 10) + strings.Repeat(`]`, 10) + `}`:           "too deep",
		`{"a":` + strings.Repeat(`[`, 100_000) + strings.Repeat(`]`, 100_000) + `}`: "",
		`{"x":1` + many.String() + `}`:                                              "more than 1000",
	} {
		_, err := oidc.ParseClaims([]byte(content))
		require.ErrorContains(t, err, reason, "%.100s", content)
	}
}

// TestTemplates: a value is put in literally, and different values never make the same text.
func TestTemplates(t *testing.T) {
	values := map[string]any{
		"repo": "acme/app", "ref": "refs/heads/a:b", "sub": "repo:acme/app:ref", "yes": true, "list": []string{"a", "b"},
		"empty": "", "none": []string{}, "evil": "{sub}", "line": "a\nb", "long": strings.Repeat("x", 256), "dash": "x-",
		"bad": []string{"a", "b\x00"}, "many": make([]string, 201), "k.io/ns": "build", "rtl": "a\u202eb", "space": "a b",
	}
	for text, want := range map[string][]string{
		"{sub}": {"repo:acme/app:ref"}, "ci": {"ci"}, "ci:{repo}": {"ci:acme/app"},
		"{repo}:{ref}": {"acme/app:refs/heads/a:b"},
		"{yes}":        {"true"}, "{evil}": {"{sub}"}, "x{list}y": {"xay", "xby"}, "x{none}": {}, "{missing}": nil,
		"{repo}{{": nil, "{k.io/ns}": {"build"}, "{space}": {"a b"}, "{repo}-{missing}": nil,
	} {
		got, err := oidc.Expand(text, values)
		if text == "{repo}{{" {
			require.Error(t, err)
			continue
		}
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
	for text, reason := range map[string]string{
		"": "printable", "a\n": "printable", "{": "without }", "}": "without {", "{}": "name of a claim",
		"{a{b}": "name of a claim",
		"a}b":   "without {", "{sub}}": "without {", "{repo}{ref}": "without a text between",
		"{registrykit.io/account}": "never used",
		"{empty}":                  "claim empty: it is empty", "{line}": "printable", "{long}": "more than 255",
		"{rtl}":          "printable",
		"{sub}:{ref}":    `"repo:acme/app:ref" contains ":"`,
		"{dash}--{repo}": `"x-" contains "--"`, // x---acme/app could also be "x" and "-acme/app"
		"x{bad}":         "printable", "x{many}": "more than 200", "{list}:{repo}": "claim list: it is a list",
		"\xff": "printable",
	} {
		_, err := oidc.Expand(text, values)
		require.ErrorContains(t, err, reason, text)
	}
}

// TestRules: the first rule that matches decides, also if it then refuses the token.
func TestRules(t *testing.T) {
	is := newIssuer(t, issuerURL)
	p := is.anyJob()
	p.Rules = []oidc.Rule{
		{Name: "release", Claims: map[string][]string{"repository": {"acme/app"}, "ref": {"refs/heads/main", "refs/tags/v*"}},
			Identity: "{repository}", Groups: []string{"releasers", "team:{team}", "role:{roles}", "releasers"},
			Keep: []string{"repository", "ref", "roles", "n", "yes", "missing"}},
		{Claims: map[string][]string{"repository": {"acme/*"}, "event": {"*", "!pull_request*"}},
			Identity: "{environment}:x"},
		{Claims: map[string][]string{"roles": {"push*"}}, Robot: "acme+deploy", Keep: []string{"sub"}},
		{Claims: map[string][]string{"n": {"4?"}, "yes": {"true"}}, Identity: "n{n}"},
	}
	a := is.open(t, p)
	for _, c := range []struct {
		claims map[string]any
		want   auth.Identity
		reason string
	}{
		{claims: object{"repository": "acme/app", "ref": "refs/tags/v1", "roles": []string{"b", "a"}, "n": 7, "yes": false},
			want: auth.Identity{Name: "ci:acme/app", Groups: []string{"releasers", "role:a", "role:b"},
				Claims: map[string]any{"repository": "acme/app", "ref": "refs/tags/v1", "roles": []string{"b", "a"}, "n": "7",
					"yes": false, oidc.RuleClaim: "ci: release"}}},
		{claims: object{"repository": "acme/app", "ref": "refs/heads/main", "team": "x\ty"},
			reason: "release: groups: the claim team"},
		{claims: object{"repository": "acme/app", "ref": "refs/heads/main/x", "event": "push"},
			reason: "rule 1: identity: the claim environment: it is missing"},
		{claims: object{"repository": "acme/app", "event": "push", "environment": " production"},
			want: auth.Identity{Name: "ci: production:x", Claims: map[string]any{oidc.RuleClaim: "ci: rule 1"}}},
		{claims: object{"repository": "acme/app", "event": "pull_request_target"},
			reason: `no rule matches the token with sub "job"`},
		{claims: object{"repository": "acme/a/b", "event": "push"}, reason: "no rule"},
		{claims: object{"roles": []string{"pull", "push-all"}}, want: auth.Identity{Name: "acme+deploy",
			Claims: map[string]any{"sub": "job", oidc.RuleClaim: "ci: rule 2"}}},
		{claims: object{"n": 42, "yes": true}, want: auth.Identity{Name: "ci:n42",
			Claims: map[string]any{oidc.RuleClaim: "ci: rule 3"}}},
		{claims: object{"n": 420, "yes": true}, reason: "no rule"},
		{claims: object{"n": 42, "yes": "TRUE"}, reason: "no rule"},
		{claims: object{"repository": "acme/app", "ref": "refs/heads/main", "roles": []string{strings.Repeat("x", 200)},
			"n": strings.Repeat("x", 4000)}, reason: "keep: the claims are too long"},
	} {
		token := is.token(t, c.claims)
		if c.reason != "" {
			refuses(t, a, token, c.reason)
			continue
		}
		identity, err := login(a, token)
		require.NoError(t, err)
		require.Equal(t, c.want, identity)
	}
}

// TestReservedClaims: no token can give an identity a claim that only this registry gives.
func TestReservedClaims(t *testing.T) {
	is := newIssuer(t, issuerURL)
	p := is.anyJob()
	p.Rules[0].Keep = []string{"sub", "a/b", "registrykit.io"}
	a := is.open(t, p)
	identity, err := login(a, is.token(t, object{"registrykit.io/account": "id", "registrykit.io": object{"account": "id",
		"secret": object{"x": "y"}}, "oidc": object{"rule": "forged"}, "oidc/rules": "x"}))
	require.NoError(t, err)
	require.Equal(t, map[string]any{"sub": "job", oidc.RuleClaim: "ci: all"}, identity.Claims)
	identity, err = login(a, is.token(t, object{"registrykit.io": "id"}))
	require.NoError(t, err)
	require.Equal(t, "id", identity.Claims["registrykit.io"], "a name that does not begin so is an ordinary one")

	for _, change := range []func(r *oidc.Rule){
		func(r *oidc.Rule) { r.Keep = []string{"registrykit.io/account"} },
		func(r *oidc.Rule) { r.Keep = []string{oidc.RuleClaim} },
		func(r *oidc.Rule) { r.Claims = map[string][]string{"registrykit.io/account": {"*"}} },
		func(r *oidc.Rule) { r.Identity = "{registrykit.io/account}" },
		func(r *oidc.Rule) { r.Groups = []string{"a:{registrykit.io/account}"} },
	} {
		p := is.anyJob()
		change(&p.Rules[0])
		_, err := oidc.New([]oidc.Provider{p}, nil)
		require.ErrorContains(t, err, "never")
	}
}

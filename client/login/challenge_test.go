package login_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/client/login"
)

// show returns challenges in a form that is easy to compare.
func show(all []login.Challenge) string {
	var list []string
	for _, c := range all {
		scheme, params := c.Parts()
		s := scheme
		for _, name := range slices.Sorted(maps.Keys(params)) {
			s += fmt.Sprintf(" %s=%q", name, params[name])
		}
		list = append(list, s)
	}
	return strings.Join(list, "; ")
}

func TestParseChallenges(t *testing.T) {
	for header, want := range map[string]string{
		``:                     ``,
		`,, ,`:                 ``,
		`Basic`:                `basic`,
		`BASIC realm="x"`:      `basic realm="x"`,
		`basic Realm = "x y"`:  `basic realm="x y"`,
		`Basic realm=""`:       `basic realm=""`,
		`Basic , Bearer`:       `basic; bearer`,
		`Negotiate, NTLM abc=`: `negotiate; ntlm`,
		`Negotiate a87421000492aa874209af8bc028==, Basic realm="x"`: `negotiate; basic realm="x"`,
		`Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push"`://
		`bearer realm="https://auth.docker.io/token" scope="repository:a/b:pull,push" service="registry.docker.io"`,
		`Newauth realm="apps", type=1, title="Login to \"apps\"", Basic realm="simple"`://
		`newauth realm="apps" title="Login to \"apps\"" type="1"; basic realm="simple"`,
		`Bearer realm="a, Basic realm=\"b\""`:        `bearer realm="a, Basic realm=\"b\""`,
		`Bearer realm=https://x/token?a=b,service=s`: `bearer realm="https://x/token?a=b" service="s"`,
		`Bearer realm="a" service="b"`:               `bearer realm="a" service="b"`,
		`Bearer realm="a", realm="b"`:                ``,
		`Bearer realm="a", Realm="b", Basic x=1`:     `basic x="1"`,
		`Basic x=1, Bearer realm="a`:                 `basic x="1"`,
		`Bearer realm="a\`:                           ``,
		`Bearer realm="a"b`:                          ``,
		"Bearer realm=\"a\x00\"":                     ``,
		"Bearer realm=\"a\\\x01\"":                   ``,
		`Bearer realm=`:                              `bearer`, // a token68 with padding
		`Bearer realm=,x=1`:                          `bearer`,
		`Bearer ="x"`:                                ``,
		`"Bearer" realm="x"`:                         ``,
		`Bearer;realm="x"`:                           ``,
		`Bearer realm="x", =`:                        ``,
		`Bearer	realm="x"`:                           `bearer realm="x"`,
		`Bearer realm="ü"`:                           `bearer realm="ü"`,
	} {
		require.Equal(t, want, show(login.ParseChallenges([]string{header})), "%q", header)
	}
	headers := []string{"Basic", `Bearer "`, `Bearer realm=x`}
	require.Equal(t, `basic; bearer realm="x"`, show(login.ParseChallenges(headers)))
}

func TestParseChallengesIsBounded(t *testing.T) {
	require.Empty(t, login.ParseChallenges([]string{"Basic x=" + strings.Repeat("y", 20_000)}))
	require.Len(t, login.ParseChallenges([]string{strings.Repeat("Basic,", 2000)}), 16)
	var params []string
	for i := range 40 {
		params = append(params, fmt.Sprintf("p%d=1", i))
	}
	require.Empty(t, login.ParseChallenges([]string{"Basic " + strings.Join(params, ",")}))
	var many []string
	for range 10_000 {
		many = append(many, "Basic")
	}
	require.Len(t, login.ParseChallenges(many), 16)
}

// FuzzParseChallenges checks that every header is read within the limits, and that challenges that
// are written in the form of RFC 9110 are read as they are, also after each other.
func FuzzParseChallenges(f *testing.F) {
	for _, s := range []string{
		`Bearer realm="https://a/token",service="s",scope="repository:a:pull"`, `Basic realm="\"", Negotiate abc==`,
		"Basic x=1,,y=\"\\\x7f\"", `a b=c d="e" f, g`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, header string) {
		all := login.ParseChallenges([]string{header})
		require.LessOrEqual(t, len(all), 16)
		var written []string
		for _, c := range all {
			scheme, params := c.Parts()
			require.NotEmpty(t, scheme)
			require.Equal(t, strings.ToLower(scheme), scheme)
			require.LessOrEqual(t, len(params), 32)
			s := scheme
			for i, name := range slices.Sorted(maps.Keys(params)) {
				value := params[name]
				require.False(t, strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }))
				require.Equal(t, strings.ToLower(name), name)
				s += map[bool]string{true: " ", false: ", "}[i == 0] + name + `="` +
					strings.NewReplacer(`"`, `\"`, `\`, `\\`).Replace(value) + `"`
			}
			written = append(written, s)
		}
		if text := strings.Join(written, ", "); len(text) <= 16<<10 {
			require.Equal(t, show(all), show(login.ParseChallenges([]string{text})), "%q", text)
		}
	})
}

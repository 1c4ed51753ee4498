package nats

import (
	"net/url"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/notification"
)

func TestTokens(t *testing.T) {
	for name, want := range map[string]string{
		"app":           "app",
		"ann/app":       "ann.app",
		"ann/my.app":    "ann.my%2Eapp",
		"ann/my-app__x": "ann.my-app__x",
		// Names that no registry accepts, in events of a host.
		"":        "%",
		"a//b":    "a.%.b",
		"/":       "%.%",
		"*/>":     "%2A.%3E",
		"a b\r\n": "a%20b%0D%0A",
		"%":       "%25",
		"ü":       "%C3%BC",
		"$JS/API": "%24JS.API",
	} {
		require.Equal(t, want, Tokens(name), "%q", name)
	}
}

// FuzzTokens checks that each name is a valid subject without wildcards, and that the name can be
// recovered from it, so two names never have the same subject.
func FuzzTokens(f *testing.F) {
	for _, s := range []string{"ann/app", "ann/my.app", "", "a//b", "*", ">", "a b\r\n\t\x00", "\xff", "%2E"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		tokens := Tokens(name)
		require.True(t, server.IsValidPublishSubject(tokens), "%q", tokens)
		require.Equal(t, name, repository(t, tokens))
	})
}

// repository is the inverse of Tokens.
func repository(t *testing.T, tokens string) string {
	t.Helper()
	components := strings.Split(tokens, ".")
	for i, c := range components {
		if c == "%" {
			c = ""
		}
		var err error
		components[i], err = url.PathUnescape(c)
		require.NoError(t, err)
	}
	return strings.Join(components, "/")
}

func TestSubjectOfEvent(t *testing.T) {
	push := notification.Event{Action: notification.Push, Kind: notification.Manifest, Repository: "ann/app"}
	missing := notification.Event{Action: notification.Missing}
	for _, row := range []struct{ template, push, missing string }{
		{"registry.events.{action}.{repository}", "registry.events.push.ann.app", "registry.events.missing"},
		{"x.{kind}.{repository}.{action}", "x.manifest.ann.app.push", "x.missing"},
		{"all", "all", "all"},
	} {
		s, err := parseSubject(row.template)
		require.NoError(t, err)
		require.Equal(t, row.push, s.of(push))
		require.Equal(t, row.missing, s.of(missing))
	}
}

func TestSubjectInvalid(t *testing.T) {
	for _, template := range []string{
		".", "a..b", "a.", ".a", "a.*", "a.>", "a b", "a.{repo}", "a.x{action}", "a\n", "{repository}", "{action}.a",
	} {
		_, err := parseSubject(template)
		require.ErrorContains(t, err, "subject", "%q", template)
	}
}

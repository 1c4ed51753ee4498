package serve

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestGreet checks the address and the commands that a program prints when it starts.
func TestGreet(t *testing.T) {
	passwords := identities{htpasswd: "users"}
	for _, row := range []struct {
		name   string
		addr   string
		access access
		first  string
		login  bool
	}{
		{"open", "127.0.0.1:5000", access{}, "http://127.0.0.1:5000,", false},
		{"every interface", "[::]:5000", access{insecureOpen: true}, "http://127.0.0.1:5000, listening on [::]:5000 ", false},
		{"logins and TLS", "127.0.0.1:5000", access{identities: passwords, tlsCert: "cert.pem"},
			"https://127.0.0.1:5000,", true},
		{"proxy", "127.0.0.1:5000", access{externalURL: "https://registry.example"}, "https://registry.example,", false},
	} {
		t.Run(row.name, func(t *testing.T) {
			var out strings.Builder
			greet(&out, config{storage: "DIR", access: row.access}, &Served{}, row.addr)
			lines := strings.Split(out.String(), "\n")
			require.True(t, strings.HasPrefix(lines[0], "A registry at "+row.first), lines[0])
			require.Contains(t, lines[0], "stored in DIR.")
			require.Equal(t, row.login, strings.Contains(out.String(), "  docker login "))
			require.Contains(t, out.String(), " && docker push ")
			require.Contains(t, out.String(), "\n  docker pull ")
		})
	}
}

// TestGreetWebhooks checks that the greeting names receivers, without the secrets in their URLs.
func TestGreetWebhooks(t *testing.T) {
	c := config{storage: "DIR", events: events{sources: []string{"https://ci.example/hook/of-ann?key=of-bob#name=ci"}}}
	require.NoError(t, c.events.check(""))
	var out strings.Builder
	greet(&out, c, &Served{}, "127.0.0.1:5000")
	require.Contains(t, out.String(), "Events go to the webhook ci at https://ci.example: format cncf, not signed.\n")
	require.NotContains(t, out.String(), "of-")
}

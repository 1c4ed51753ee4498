package bearer_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/bearer"
)

// FuzzToken: no text but a token of the issuer is accepted.
func FuzzToken(f *testing.F) {
	i := newIssuer(f)
	v := newVerifier(f, i.options(f))
	good := i.token(f, nil, "repository:a:pull")
	for _, seed := range []string{good, "", "a.b.c", strings.ToUpper(good), good + good} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, token string) {
		identity, err := v.Authenticate(request("Bearer " + token))
		if (err == nil) != (strings.TrimLeft(token, " ") == good) {
			t.Fatal(token, err)
		}
		if err != nil && (identity.Name != "" || len(identity.Claims) > 0) {
			t.Fatal(identity)
		}
		_ = v.Challenge(request("Bearer "+token), nil)
	})
}

// FuzzClaims reads any payload that the issuer has signed. What is accepted is for this registry, has not expired,
// and permits only what "access" lists.
func FuzzClaims(f *testing.F) {
	i := newIssuer(f)
	v := newVerifier(f, i.options(f))
	whole := `"iss":"` + name + `","aud":["` + service + `"],"exp":4102444800`
	for _, seed := range []string{
		`{` + whole + `}`, `{` + whole + `,"access":[{"type":"repository","name":"a","actions":["pull","*"]}]}`,
		`{` + whole + `,"access":[{"type":"repository(plugin)","name":"*","actions":null}],"sub":"a"}`,
		`{` + whole + `,"groups":["a"],"claims":{"registrykit.io/account":"x"},"access_hashes":"AAAAAAAA"}`,
		`{` + whole + `,"nbf":1e9,"iat":0.5}`, `{}`, `null`, `[`, `{"exp":-0}`,
	} {
		f.Add([]byte(seed))
	}
	now := time.Now()
	f.Fuzz(func(t *testing.T, content []byte) {
		accepted := bearer.Read(v, content, now)
		token := payload(t, i, string(content))
		identity, err := login(t, v, token)
		if err != nil {
			return
		}
		if !accepted || identity.Claims["iss"] != name {
			t.Fatal(string(content))
		}
		var c struct {
			Access []struct {
				Type, Name string
				Actions    []string
			}
		}
		_ = json.Unmarshal(content, &c)
		if len(c.Access) == 0 && v.Authorize(t.Context(), identity, []auth.Access{repository("a", auth.Pull)}) == nil {
			t.Fatal("permits what is not listed")
		}
		for claim, value := range identity.Claims {
			if _, text := value.(string); text && strings.HasPrefix(claim, "registrykit.io/") {
				t.Fatal(claim)
			}
		}
	})
}

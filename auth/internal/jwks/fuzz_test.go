package jwks_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/registrykit/registry/auth/internal/jwks"
)

// FuzzToken: no text but a token of the key is accepted, and none is more than refused.
func FuzzToken(f *testing.F) {
	a := newECDSA(f, "a")
	good := a.token(f, "alice", nil)
	set, err := jwks.Files([]string{write(f, string(document(f, a)))}, nil)
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{good, "", "..", "a.b.c", good[:20], strings.Replace(good, ".", "..", 1),
		encode(`{"alg":"none"}`) + "." + encode(`{}`) + "."} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, token string) {
		payload, err := set.VerifySignature(t.Context(), token)
		if (err == nil) != (token == good) || (payload != nil) != (err == nil) {
			t.Fatal(token, err)
		}
	})
}

// FuzzHeaderAndPayload signs any header and payload by a key of the set.
func FuzzHeaderAndPayload(f *testing.F) {
	a := newECDSA(f, "a")
	set, err := jwks.Files([]string{write(f, string(document(f, a)))}, nil)
	if err != nil {
		f.Fatal(err)
	}
	for _, header := range []string{`{"alg":"ES256"}`, `{"alg":"ES256","kid":"a","crit":[]}`, `{"alg":"none"}`, `{`} {
		for _, payload := range []string{`{"iss":"a"}`, `{"iss":"a","Iss":"b"}`, `[]`, `{"a":{"b":1,"b":2}}`, ``} {
			f.Add(header, payload)
		}
	}
	f.Fuzz(func(t *testing.T, header, payload string) {
		got, err := set.VerifySignature(t.Context(), raw(t, a, header, payload))
		if err != nil {
			return
		}
		var h, p map[string]any
		if json.Unmarshal([]byte(header), &h) != nil || json.Unmarshal([]byte(payload), &p) != nil || p == nil {
			t.Fatal("accepted what is no object")
		}
		_, crit := h["crit"]
		if h["alg"] != "ES256" || crit || string(got) != payload {
			t.Fatal(header, payload)
		}
	})
}

// FuzzDocument: keys from any text never accept a token of a key that is not among them.
func FuzzDocument(f *testing.F) {
	a, other := newECDSA(f, "a"), newECDSA(f, "a")
	token := other.token(f, "mallory", nil)
	for _, seed := range []string{string(document(f, a)), `{"keys":[]}`, `{"keys":null}`, `[`, certificate(f, a.private),
		publicKey(f, a.private.Public()), `{"keys":[{"kty":"oct","k":"AAAA"},{"kty":"RSA","n":"AQ","e":"AQAB"}]}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		for _, read := range []func([]byte) (*jwks.Set, error){jwks.FromDocument, jwks.FromFile} {
			set, err := read(content)
			if err != nil {
				continue
			}
			if _, err := set.VerifySignature(t.Context(), token); err == nil {
				t.Fatal("accepted")
			}
		}
	})
}

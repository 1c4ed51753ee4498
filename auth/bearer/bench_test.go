package bearer_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"testing"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/bearer"
)

// BenchmarkRemembered is what a request costs whose token has been verified before: Authenticate and Authorize.
func BenchmarkRemembered(b *testing.B) {
	i := newIssuer(b)
	v := newVerifier(b, i.options(b))
	for _, n := range []int{1, 50} {
		var scopes []string
		for k := range n {
			scopes = append(scopes, fmt.Sprintf("repository:team/app-%d:pull,push", k))
		}
		token := i.token(b, nil, scopes...)
		r := request("Bearer " + token)
		accesses := []auth.Access{repository("team/app-0", auth.Pull)}
		b.Run(fmt.Sprintf("scopes=%d,bytes=%d", n, len(token)), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				identity, err := v.Authenticate(r)
				if err != nil {
					b.Fatal(err)
				}
				if err := v.Authorize(b.Context(), identity, accesses); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkFirst is what the first request with a token costs, and a request with a token that is refused.
func BenchmarkFirst(b *testing.B) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(b, err)
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(b, err)
	for _, i := range []*issuer{
		newIssuer(b), {"rsa", jwt.SigningMethodRS256, private}, {"ed", jwt.SigningMethodEdDSA, ed},
	} {
		opts := i.options(b)
		token := i.token(b, nil, "repository:a:pull")
		r := request("Bearer " + token)
		b.Run(i.method.Alg(), func(b *testing.B) {
			v := newVerifier(b, opts)
			b.ReportAllocs()
			for b.Loop() {
				bearer.Forget(v)
				if _, err := v.Authenticate(r); err != nil {
					b.Fatal(err)
				}
			}
		})
		forged := request("Bearer " + token[:len(token)-8] + "AAAAAAAA")
		b.Run(i.method.Alg()+"/refused", func(b *testing.B) {
			v := newVerifier(b, opts)
			for b.Loop() {
				if _, err := v.Authenticate(forged); err == nil {
					b.Fatal("accepted")
				}
			}
		})
	}
}

package jwks_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth/internal/jwks"
)

func block(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// certificate returns a self-signed certificate that has expired: the key is pinned, not the certificate.
func certificate(t testing.TB, private crypto.Signer) string {
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(-time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	require.NoError(t, err)
	return block("CERTIFICATE", der)
}

func publicKey(t testing.TB, public any) string {
	der, err := x509.MarshalPKIXPublicKey(public)
	require.NoError(t, err)
	return block("PUBLIC KEY", der)
}

func write(t testing.TB, content string) string {
	path := filepath.Join(t.TempDir(), "keys")
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

func TestFiles(t *testing.T) {
	r, a, ed, j := newRSA("any"), newECDSA(t, "any"), newEd25519(t, "any"), newECDSA(t, "j")
	pkcs1 := block("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(rsaKeys()[1].Public().(*rsa.PublicKey)))
	bundle := write(t, "# the keys of the issuer\n"+certificate(t, r.private)+certificate(t, a.private)+
		publicKey(t, ed.private.Public())+pkcs1)
	set, err := jwks.Files([]string{bundle, write(t, "\n "+string(document(t, j)))}, nil)
	require.NoError(t, err)
	for _, s := range []signer{r, a, ed, j, {"", r.method, rsaKeys()[1]}} {
		accepts(t, set, s.token(t, "alice", nil))
	}
	refuses(t, set, newECDSA(t, "any").token(t, "mallory", nil))
	refuses(t, set, signer{"k", j.method, j.private}.token(t, "mallory", nil))
}

func TestFilesThatAreRefused(t *testing.T) {
	a := newECDSA(t, "a")
	weak, err := rsa.GenerateKey(rand.Reader, 1024) //nolint:gosec // it must be refused
	require.NoError(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(a.private)
	require.NoError(t, err)
	privateJWK, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: a.private}}})
	require.NoError(t, err)
	weakJWK, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{a.jwk(), {Key: weak.Public()}}})
	require.NoError(t, err)
	good := publicKey(t, a.private.Public())
	for name, test := range map[string]struct{ content, reason string }{
		"empty":            {"", "no key"},
		"text":             {"hello", "no key"},
		"private":          {block("PRIVATE KEY", private), "private key"},
		"private behind":   {good + block("EC PRIVATE KEY", private), "block 2: it is a private key"},
		"private JWK":      {string(privateJWK), "private key"},
		"weak":             {publicKey(t, weak.Public()), "1024 bits"},
		"weak JWK":         {string(weakJWK), "key 2: an RSA key of 1024 bits"},
		"weak certificate": {certificate(t, weak), "1024 bits"},
		"other block":      {good + block("X509 CRL", nil), "X509 CRL"},
		"bad certificate":  {block("CERTIFICATE", []byte("x")), "block 1"},
		"bad key":          {block("PUBLIC KEY", []byte("x")), "block 1"},
		"empty set":        {`{"keys":[]}`, "no key"},
		"symmetric set":    {`{"keys":[{"kty":"oct","k":"AAAA"}]}`, "no key"},
		"bad set":          {`{"keys":`, "JSON"},
		"bad key in a set": {`{"keys":[{"kty":"EC","crv":"P-256"}]}`, "key 1"},
		"too long":         {strings.Repeat("x", 1<<20), "more than"},
		"too many":         {strings.Repeat(good, 101), "more than 100"},
	} {
		t.Run(name, func(t *testing.T) {
			path := write(t, test.content)
			_, err := jwks.Files([]string{path}, nil)
			require.ErrorContains(t, err, test.reason)
			require.ErrorContains(t, err, path)
		})
	}
	_, err = jwks.Files(nil, nil)
	require.Error(t, err)
	_, err = jwks.Files([]string{t.TempDir()}, nil)
	require.ErrorContains(t, err, "not a regular file")
	_, err = jwks.Files([]string{filepath.Join(t.TempDir(), "none")}, nil)
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = jwks.Files([]string{write(t, good)}, &jwks.Options{Algorithms: []string{"HS256"}})
	require.Error(t, err)
}

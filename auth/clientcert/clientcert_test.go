package clientcert_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/chain"
	"github.com/registrykit/registry/auth/clientcert"
	"github.com/registrykit/registry/auth/static"
	"github.com/registrykit/registry/registrytest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Machines authenticate with certificates that contain a SPIFFE ID.
func ExampleNew() {
	machines, err := clientcert.New(&clientcert.Options{Name: clientcert.URI, Groups: clientcert.OrganizationalUnits})
	if err != nil {
		log.Fatal(err)
	}
	// The http.Server of the program needs:
	//	TLSConfig: &tls.Config{ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: ours}
	r := httptest.NewRequest("GET", "https://registry.example/v2/", nil)
	cert := &x509.Certificate{
		Subject:   pkix.Name{OrganizationalUnit: []string{"build"}},
		URIs:      []*url.URL{{Scheme: "spiffe", Host: "example", Path: "/ci"}},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	r.TLS.PeerCertificates = []*x509.Certificate{cert}
	fmt.Println(machines.Authenticate(r))
	r.TLS.VerifiedChains = [][]*x509.Certificate{{cert}} // the server sets them after verification
	fmt.Println(machines.Authenticate(r))
	// Output:
	// { [] map[]} <nil>
	// {spiffe://example/ci [build] map[]} <nil>
}

// authority issues certificates.
type authority struct {
	t    testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t testing.TB, name string) *authority {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(24 * time.Hour),
		IsCA:     true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return &authority{t, cert, key}
}

// issue returns a client certificate, after change has changed its template.
func (a *authority) issue(change func(*x509.Certificate)) *tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(a.t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "ann"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if change != nil {
		change(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	require.NoError(a.t, err)
	return &tls.Certificate{Certificate: [][]byte{der, a.cert.Raw}, PrivateKey: key}
}

// site is a registry over TLS. It responds to a request for a list of tags with 404 if the caller is
// known, and with 401 otherwise.
type site struct {
	t      testing.TB
	server *httptest.Server
}

var known = auth.AuthorizerFunc(func(_ context.Context, who auth.Identity, _ []auth.Access) error {
	if who.Anonymous() {
		return auth.ErrDenied
	}
	return nil
})

func newSite(t testing.TB, a auth.Authenticator, kind tls.ClientAuthType, ca *authority, audit auth.AuditFunc) *site {
	reg, err := registry.New(registrytest.NewStore(t), &registry.Options{Authenticator: a, Authorizer: known,
		Audit: audit})
	require.NoError(t, err)
	s := httptest.NewUnstartedServer(reg)
	s.Config.ErrorLog = log.New(t.Output(), "", 0)
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	s.TLS = &tls.Config{ClientAuth: kind, ClientCAs: pool}
	s.StartTLS()
	t.Cleanup(s.Close)
	return &site{t, s}
}

// client returns a client that sends a certificate, unless it is nil, to every server that asks for
// one, whatever CA the server names.
func (s *site) client(cert *tls.Certificate) *http.Client {
	pool := x509.NewCertPool()
	pool.AddCert(s.server.Certificate())
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, ServerName: "example.com",
		ClientSessionCache: tls.NewLRUClientSessionCache(9)}}
	if cert != nil {
		tr.TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return cert,
				nil
		}
	}
	s.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

// status returns the status of a request for a list of tags.
func (s *site) status(c *http.Client, name, password string) (int, error) {
	req, err := http.NewRequestWithContext(s.t.Context(), "GET", s.server.URL+"/v2/a/tags/list", nil)
	require.NoError(s.t, err)
	if name != "" {
		req.SetBasicAuth(name, password)
	}
	res, err := c.Do(req)
	if err != nil {
		return 0, err
	}
	require.NoError(s.t, res.Body.Close())
	return res.StatusCode, nil
}

func (s *site) want(status int, c *http.Client, name, password string) {
	s.t.Helper()
	got, err := s.status(c, name, password)
	require.NoError(s.t, err)
	require.Equal(s.t, status, got)
}

func newCertificates(t testing.TB, opts *clientcert.Options) *clientcert.Certificates {
	c, err := clientcert.New(opts)
	require.NoError(t, err)
	return c
}

// TestVerified: a caller with a certificate of the CA has the identity in it, over real TLS and
// also in a resumed session.
func TestVerified(t *testing.T) {
	ca := newAuthority(t, "ours")
	var who []string
	audit := func(_ context.Context, d auth.Decision) { who = append(who, d.Identity.Name) }
	s := newSite(t, newCertificates(t, nil), tls.VerifyClientCertIfGiven, ca, audit)
	c := s.client(ca.issue(nil))
	for range 3 {
		s.want(404, c, "", "")
		c.CloseIdleConnections()
	}
	require.Equal(t, []string{"ann", "ann", "ann"}, who)
	s.want(401, s.client(nil), "", "")
	require.Equal(t, "", who[3])
}

// TestUnverified: a certificate of any issuer is ignored unless the server has verified it.
func TestUnverified(t *testing.T) {
	ca, other := newAuthority(t, "ours"), newAuthority(t, "ours")
	for _, kind := range []tls.ClientAuthType{tls.NoClientCert, tls.RequestClientCert, tls.RequireAnyClientCert} {
		s := newSite(t, newCertificates(t, nil), kind, ca, nil)
		for _, cert := range []*tls.Certificate{ca.issue(nil), other.issue(nil)} {
			s.want(401, s.client(cert), "", "")
		}
	}
}

// TestCertificateOfAnotherCARefused: TLS refuses certificates of another CA, outside their
// validity, or not for clients.
func TestCertificateOfAnotherCARefused(t *testing.T) {
	ca, other := newAuthority(t, "ours"), newAuthority(t, "ours")
	for _, kind := range []tls.ClientAuthType{tls.VerifyClientCertIfGiven, tls.RequireAndVerifyClientCert} {
		s := newSite(t, newCertificates(t, nil), kind, ca, nil)
		s.want(404, s.client(ca.issue(nil)), "", "")
		for name, cert := range map[string]*tls.Certificate{
			"another CA of the same name": other.issue(nil),
			"expired":                     ca.issue(func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }),
			"not yet":                     ca.issue(func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Minute) }),
			"of a server": ca.issue(
				func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }),
		} {
			_, err := s.status(s.client(cert), "", "")
			require.Error(t, err, name)
		}
	}
}

// TestExpiry: an open connection is refused once its certificate expires.
func TestExpiry(t *testing.T) {
	ca, certs := newAuthority(t, "ours"), newCertificates(t, nil)
	s := newSite(t, certs, tls.RequireAndVerifyClientCert, ca, nil)
	clock := time.Now()
	certs.SetNow(func() time.Time { return clock })
	c := s.client(ca.issue(nil))
	s.want(404, c, "", "")
	clock = clock.Add(time.Hour + time.Second)
	s.want(401, c, "", "")
	clock = clock.Add(-3 * time.Hour)
	s.want(401, c, "", "")
}

// TestAuthorizationHeaderTakesPrecedence: an Authorization header counts instead of the
// certificate, so a login with a wrong password fails.
func TestAuthorizationHeaderTakesPrecedence(t *testing.T) {
	ca := newAuthority(t, "ours")
	people, err := static.New(map[string]static.User{"bob": {Secret: "secret"}}, nil)
	require.NoError(t, err)
	certs := newCertificates(t, nil)
	for _, links := range [][]auth.Authenticator{{certs, people}, {people, certs}} {
		both, err := chain.New(links...)
		require.NoError(t, err)
		var who string
		s := newSite(t, both, tls.VerifyClientCertIfGiven, ca, func(_ context.Context,
			d auth.Decision) {
			who = d.Identity.Name
		})
		with, without := s.client(ca.issue(nil)), s.client(nil)
		s.want(404, with, "", "")
		require.Equal(t, "ann", who)
		s.want(404, with, "bob", "secret")
		require.Equal(t, "bob", who)
		s.want(401, with, "bob", "wrong")
		s.want(401, with, "ann", "")
		s.want(404, without, "bob", "secret")
		s.want(401, without, "bob", "wrong")
		s.want(401, without, "", "")
	}
	alone := newSite(t, certs, tls.VerifyClientCertIfGiven, ca, nil)
	alone.want(401, alone.client(ca.issue(nil)), "bob", "secret")
	alone.want(401, alone.client(nil), "bob", "secret")
}

func uri(t testing.TB, s string) *url.URL {
	u, err := url.Parse(s)
	require.NoError(t, err)
	return u
}

// TestIdentityFromEachSource reads each part of real, verified certificates.
func TestIdentityFromEachSource(t *testing.T) {
	ca := newAuthority(t, "ours")
	full := func(c *x509.Certificate) {
		c.Subject.OrganizationalUnit = []string{"build", "release"}
		c.DNSNames, c.EmailAddresses, c.URIs = []string{"ci.example"}, []string{"ann@example.com"}, []*url.URL{uri(t,
			"spiffe://example/ns/ci")}
	}
	broken := errors.New("no answer")
	for name, c := range map[string]struct {
		opts   *clientcert.Options
		change func(*x509.Certificate)
		who    auth.Identity
		err    error
	}{
		"common name":   {nil, full, auth.Identity{Name: "ann"}, nil},
		"DNS name":      {&clientcert.Options{Name: clientcert.DNS}, full, auth.Identity{Name: "ci.example"}, nil},
		"email address": {&clientcert.Options{Name: clientcert.Email}, full, auth.Identity{Name: "ann@example.com"}, nil},
		"URI": {&clientcert.Options{Name: clientcert.URI}, full, auth.Identity{Name: "spiffe://example/ns/ci"},
			nil},
		"groups": {&clientcert.Options{Groups: clientcert.OrganizationalUnits}, full,
			auth.Identity{Name: "ann", Groups: []string{"build", "release"}}, nil},
		"no DNS name":      {&clientcert.Options{Name: clientcert.DNS}, nil, auth.Identity{}, auth.ErrCredentials},
		"no email address": {&clientcert.Options{Name: clientcert.Email}, nil, auth.Identity{}, auth.ErrCredentials},
		"no URI":           {&clientcert.Options{Name: clientcert.URI}, nil, auth.Identity{}, auth.ErrCredentials},
		"two DNS names": {&clientcert.Options{Name: clientcert.DNS},
			func(c *x509.Certificate) { c.DNSNames = []string{"a.example", "b.example"} },
			auth.Identity{}, auth.ErrCredentials},
		"no common name": {nil, func(c *x509.Certificate) { c.Subject.CommonName = "" }, auth.Identity{},
			auth.ErrCredentials},
		"control characters": {nil, func(c *x509.Certificate) { c.Subject.CommonName = "ann\x00.example" },
			auth.Identity{}, auth.ErrCredentials},
		"host's own": {&clientcert.Options{Identity: func(c *x509.Certificate) (auth.Identity, error) {
			return auth.Identity{Name: "cert:" + c.Subject.CommonName, Groups: []string{"machines"}}, nil
		}}, nil, auth.Identity{Name: "cert:ann", Groups: []string{"machines"}}, nil},
		"host's own, unknown": {&clientcert.Options{Identity: func(*x509.Certificate) (auth.Identity, error) {
			return auth.Identity{Name: "x"}, auth.ErrCredentials
		}}, nil, auth.Identity{}, auth.ErrCredentials},
		"host's own, nobody": {&clientcert.Options{Identity: func(*x509.Certificate) (auth.Identity, error) {
			return auth.Identity{Groups: []string{"admin"}}, nil
		}}, nil, auth.Identity{}, auth.ErrCredentials},
		"host's own, fails": {&clientcert.Options{Identity: func(*x509.Certificate) (auth.Identity, error) {
			return auth.Identity{}, broken
		}}, nil, auth.Identity{}, broken},
	} {
		cert, err := x509.ParseCertificate(ca.issue(c.change).Certificate[0])
		require.NoError(t, err)
		pool := x509.NewCertPool()
		pool.AddCert(ca.cert)
		chains, err := cert.Verify(x509.VerifyOptions{Roots: pool, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
		require.NoError(t, err)
		who, err := newCertificates(t, c.opts).Authenticate(&http.Request{TLS: &tls.ConnectionState{VerifiedChains: chains}})
		require.Equal(t, c.who, who, name)
		require.ErrorIs(t, err, c.err, name)
	}
}

func TestNew(t *testing.T) {
	own := func(*x509.Certificate) (auth.Identity, error) { return auth.Identity{}, nil }
	for _, o := range []*clientcert.Options{
		{Name: -1}, {Name: clientcert.URI + 1}, {Identity: own, Groups: clientcert.OrganizationalUnits},
		{Identity: own, Name: clientcert.DNS},
	} {
		_, err := clientcert.New(o)
		require.Error(t, err)
	}
	c := newCertificates(t, nil)
	require.Empty(t, c.Challenge(nil, nil))
	for _, state := range []*tls.ConnectionState{nil, {}, {VerifiedChains: [][]*x509.Certificate{{}}}} {
		who, err := c.Authenticate(&http.Request{TLS: state})
		require.NoError(t, err)
		require.True(t, who.Anonymous())
	}
}

// TestNotRenewed: a certificate must be shown for each token.
func TestNotRenewed(t *testing.T) {
	c, err := clientcert.New(nil)
	require.NoError(t, err)
	_, err = auth.Renew(t.Context(), c, auth.Identity{Name: "ci"})
	require.ErrorIs(t, err, auth.ErrCredentials)
}

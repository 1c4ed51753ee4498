// Package clientcert authenticates callers by the certificates of their TLS connections.
//
// Only certificates count that the TLS server of the host has verified: it must have the CA in
// tls.Config.ClientCAs, and VerifyClientCertIfGiven or RequireAndVerifyClientCert in ClientAuth.
// One that was shown and not verified is nothing at all: its caller is anonymous. If a proxy ends
// TLS, the certificate ends there; an [auth.AuthenticatorFunc] may read the header in which the
// proxy passes it on.
//
// Certificates are not looked up in lists of those that were revoked; let them be short-lived, or
// do so in tls.Config.VerifyConnection.
package clientcert

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/internal/basic"
)

// Source is the part of a certificate that names its holder.
type Source int

const (
	// CommonName is the CN of the subject.
	CommonName Source = iota
	// DNS is the one DNS name among the subject alternative names.
	DNS
	// Email is the one email address among the subject alternative names.
	Email
	// URI is the one URI among the subject alternative names, such as a SPIFFE ID.
	URI
)

// Options are the options of [New]. nil is the zero Options.
type Options struct {
	// Name is what the name of the identity is taken from. Default: CommonName.
	Name Source
	// Groups returns the groups of a certificate's holder, such as [OrganizationalUnits]. Default:
	// none.
	Groups func(cert *x509.Certificate) []string
	// Identity is asked in place of Name and Groups, for certificates that have to be looked up. It
	// returns auth.ErrCredentials for those that it does not know, as for one whose identity it
	// returns without a name. Default: Name and Groups.
	Identity func(cert *x509.Certificate) (auth.Identity, error)
}

// Certificates knows callers by their certificates. It is safe for concurrent use.
type Certificates struct {
	opts Options
	now  func() time.Time
}

var _ auth.Authenticator = (*Certificates)(nil)

// New returns an Authenticator for certificates. opts may be nil.
//
// It fails if an option makes no sense.
func New(opts *Options) (*Certificates, error) {
	c := &Certificates{now: time.Now}
	if opts != nil {
		c.opts = *opts
	}
	switch o := &c.opts; {
	case o.Name < CommonName || o.Name > URI:
		return nil, errors.New("clientcert: no such Source")
	case o.Identity != nil && (o.Groups != nil || o.Name != CommonName):
		return nil, errors.New("clientcert: Identity is asked in place of Name and Groups")
	}
	return c, nil
}

// OrganizationalUnits returns the OUs of the subject, for Options.Groups: where the CA sees to it
// who may have which.
func OrganizationalUnits(cert *x509.Certificate) []string {
	return slices.Clone(cert.Subject.OrganizationalUnit)
}

// Authenticate implements [auth.Authenticator]. A connection that outlives its certificate is
// refused from then on.
//
// What the caller says in an Authorization header goes before what the connection says, and is
// nothing that a certificate answers: `docker login` with a wrong password must fail. In a chain
// the next one is asked.
//
// Errors: auth.ErrCredentials, also for a verified certificate that does not name one holder; that
// of Options.Identity.
func (c *Certificates) Authenticate(r *http.Request) (auth.Identity, error) {
	if len(r.Header["Authorization"]) > 0 {
		return auth.Identity{}, refused("a certificate does not answer an Authorization header")
	}
	if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 || len(r.TLS.VerifiedChains[0]) == 0 {
		return auth.Identity{}, nil
	}
	cert, now := r.TLS.VerifiedChains[0][0], c.now()
	if now.After(cert.NotAfter) || now.Before(cert.NotBefore) {
		return auth.Identity{}, refused("the certificate has expired")
	}
	identity, err := c.identity(cert)
	if err != nil {
		return auth.Identity{}, err
	}
	if identity.Anonymous() {
		return auth.Identity{}, refused("the certificate has no name")
	}
	return identity, nil
}

// identity is who holds a certificate.
func (c *Certificates) identity(cert *x509.Certificate) (auth.Identity, error) {
	if c.opts.Identity != nil {
		return c.opts.Identity(cert)
	}
	var names []string
	switch c.opts.Name {
	case CommonName:
		names = []string{cert.Subject.CommonName}
	case DNS:
		names = cert.DNSNames
	case Email:
		names = cert.EmailAddresses
	case URI:
		for _, u := range cert.URIs {
			names = append(names, u.String())
		}
	}
	switch {
	case len(names) != 1:
		return auth.Identity{}, refused("the certificate does not have one name of the kind")
	case !basic.ValidName(names[0]):
		return auth.Identity{}, refused("the name in the certificate is not that of a user")
	}
	identity := auth.Identity{Name: names[0]}
	if c.opts.Groups != nil {
		identity.Groups = c.opts.Groups(cert)
	}
	return identity, nil
}

func refused(reason string) error { return fmt.Errorf("%s: %w", reason, auth.ErrCredentials) }

// Challenge returns "": HTTP has none for certificates. An answer to /v2/ of whom has none is
// therefore no 401.
func (*Certificates) Challenge(*http.Request, []auth.Access) string { return "" }

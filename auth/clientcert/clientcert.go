// Package clientcert authenticates callers by the client certificates of their TLS connections.
//
// The TLS server of the host must verify the certificates: set tls.Config.ClientCAs to the CA, and
// ClientAuth to VerifyClientCertIfGiven or RequireAndVerifyClientCert. A certificate that was sent
// but not verified is ignored, and its caller is anonymous.
//
// If a proxy terminates TLS, the registry does not see the certificate. Use an
// [auth.AuthenticatorFunc] that reads the header in which the proxy passes it on.
//
// Revocation is not checked. Use short-lived certificates, or check it in
// tls.Config.VerifyConnection.
package clientcert

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/internal/basic"
)

// Source is the part of a certificate that contains the name of its holder.
type Source int

const (
	// CommonName is the CN of the subject.
	CommonName Source = iota
	// DNS is the only DNS name among the subject alternative names.
	DNS
	// Email is the only email address among the subject alternative names.
	Email
	// URI is the only URI among the subject alternative names, such as a SPIFFE ID.
	URI
)

// Options are the options of [New]. A nil *Options means the zero Options.
type Options struct {
	// Name is the part of the certificate that becomes the name of the identity. Default:
	// CommonName.
	Name Source
	// Groups returns the groups of the holder of a certificate; see [OrganizationalUnits]. Default:
	// no groups.
	Groups func(cert *x509.Certificate) []string
	// Identity replaces Name and Groups, for certificates that must be looked up. It returns
	// auth.ErrCredentials for unknown certificates. An identity without a name is also refused.
	// Default: the identity from Name and Groups.
	Identity func(cert *x509.Certificate) (auth.Identity, error)
}

// Certificates authenticates callers by their certificates. It is safe for concurrent use.
type Certificates struct {
	opts Options
	now  func() time.Time
}

var (
	_ auth.Authenticator = (*Certificates)(nil)
	_ auth.Renewer       = (*Certificates)(nil)
)

// New returns an Authenticator for client certificates. opts may be nil.
//
// New returns an error if an option is invalid.
func New(opts *Options) (*Certificates, error) {
	c := &Certificates{now: time.Now}
	if opts != nil {
		c.opts = *opts
	}
	switch o := &c.opts; {
	case o.Name < CommonName || o.Name > URI:
		return nil, errors.New("clientcert: unknown Source in Name")
	case o.Identity != nil && (o.Groups != nil || o.Name != CommonName):
		return nil, errors.New("clientcert: Identity replaces Name and Groups; set only one of them")
	}
	return c, nil
}

// OrganizationalUnits returns the organizational units (OU) of the subject, for Options.Groups. Use
// it only if the CA verifies them.
func OrganizationalUnits(cert *x509.Certificate) []string {
	return slices.Clone(cert.Subject.OrganizationalUnit)
}

// Authenticate implements [auth.Authenticator]. It checks the validity period for each request, so
// a connection that outlives its certificate is refused.
//
// A request with an Authorization header is refused, even with a valid certificate, because "docker
// login" with a wrong password must fail. In a chain, the next Authenticator checks the header.
//
// Errors: auth.ErrCredentials, also for a verified certificate without exactly one valid name;
// those of Options.Identity.
func (c *Certificates) Authenticate(r *http.Request) (auth.Identity, error) {
	if len(r.Header["Authorization"]) > 0 {
		return auth.Identity{}, refused("an Authorization header takes precedence over the certificate")
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

// identity returns the holder of a certificate.
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
		return auth.Identity{}, refused("the certificate does not have exactly one name of the configured kind")
	case !basic.ValidName(names[0]):
		return auth.Identity{}, refused("the name in the certificate is invalid")
	}
	identity := auth.Identity{Name: names[0]}
	if c.opts.Groups != nil {
		identity.Groups = c.opts.Groups(cert)
	}
	return identity, nil
}

// Renew implements [auth.Renewer]. It always returns auth.ErrCredentials: whether a certificate is still valid shows
// only when the caller uses it again.
func (*Certificates) Renew(context.Context, auth.Identity) (auth.Identity, error) {
	return auth.Identity{}, auth.ErrCredentials
}

func refused(reason string) error { return fmt.Errorf("%s: %w", reason, auth.ErrCredentials) }

// Challenge returns "", because HTTP has no challenge for certificates. So
// /v2/ does not respond with 401 to a caller without a certificate.
func (*Certificates) Challenge(*http.Request, []auth.Access) string { return "" }

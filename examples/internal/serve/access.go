package serve

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/htpasswd"
	"github.com/registrykit/registry/auth/rules"
	"github.com/registrykit/registry/auth/token"
	"github.com/registrykit/registry/internal/hostname"
)

// access is what the flags say of who may do what, and over which connections.
type access struct {
	tlsCert, tlsKey         string
	htpasswd, groups, rules string
	proxies                 []netip.Prefix
	externalURL             string
	insecureOpen            bool
	audit                   bool
}

func (a *access) flags() {
	flag.StringVar(&a.tlsCert, "tls-cert", "",
		"`file` of the certificate, in PEM; without it, the server speaks plain HTTP")
	flag.StringVar(&a.tlsKey, "tls-key", "", "`file` of the key of the certificate")
	flag.StringVar(&a.htpasswd, "htpasswd", "",
		"`file` of users and bcrypt hashes of their passwords; without -rules, each of them may do everything")
	flag.StringVar(&a.groups, "groups", "", "`file` of lines \"GROUP: USER USER\", for -htpasswd")
	flag.StringVar(&a.rules, "rules", "", "`file` of rules of who may do what, in YAML; see docs/access.md")
	flag.Func("trusted-proxy", "`address` or network of a proxy that passes the addresses of clients on, and speaks TLS for the server; may be repeated", a.addProxy)
	flag.StringVar(&a.externalURL, "external-url", "",
		"`URL` of the registry as clients reach it, such as https://registry.example, if a proxy changes its name or scheme")
	flag.BoolVar(&a.insecureOpen, "insecure-open", false, "listen on other addresses than those of loopback although everybody may do everything, or passwords are sent in the clear")
	flag.BoolVar(&a.audit, "audit", false, "log each decision of who may do what")
}

func (a *access) addProxy(s string) error {
	p, err := netip.ParsePrefix(s)
	if err != nil {
		addr, aerr := netip.ParseAddr(s)
		if aerr != nil {
			return err
		}
		p = netip.PrefixFrom(addr, addr.BitLen())
	}
	a.proxies = append(a.proxies, p)
	return nil
}

// restricted reports whether it matters who calls.
func (a *access) restricted() bool { return a.htpasswd != "" || a.rules != "" }

// check refuses what would be open by oversight.
func (a *access) check(addr string) error {
	if _, err := a.externalHost(); err != nil {
		return err
	}
	switch {
	case (a.tlsCert == "") != (a.tlsKey == ""):
		return errors.New("-tls-cert and -tls-key belong together")
	case a.groups != "" && a.htpasswd == "":
		return errors.New("-groups are those of the users of -htpasswd")
	case a.insecureOpen || hostname.Loopback(addr):
		return nil
	case !a.restricted():
		return fmt.Errorf("-addr %s: everybody who reaches it could push, pull and delete; give -htpasswd or -rules, an -addr on loopback, or -insecure-open", addr)
	case a.htpasswd != "" && a.tlsCert == "" && len(a.proxies) == 0:
		return fmt.Errorf("-addr %s: passwords would be sent in the clear; give -tls-cert, a -trusted-proxy that speaks TLS, or -insecure-open", addr)
	}
	return nil
}

// externalHost returns the host name of -external-url, "" if it is not given.
func (a *access) externalHost() (string, error) {
	u, err := url.Parse(a.externalURL)
	if a.externalURL != "" && (err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" ||
		u.RawQuery != "" || u.Fragment != "" || u.User != nil) {
		return "", fmt.Errorf("-external-url %s: not a URL such as https://registry.example", a.externalURL)
	}
	return u.Hostname(), nil
}

// plainHTTP reports whether clients that come by plain HTTP are sent to the token endpoint by plain
// HTTP: there are no passwords, or -insecure-open permits that they travel in the clear.
func (a *access) plainHTTP() bool { return a.insecureOpen || a.htpasswd == "" }

// set sees to it that opts hold what the flags say, and returns what answers besides the registry:
// the token endpoint. Tokens and the places where pages of lists end are good for all that share
// the secrets.
func (a *access) set(ctx context.Context, opts *registry.Options, secrets token.Secrets,
	log *slog.Logger) (func(http.Handler) http.Handler, error) {
	if a.audit {
		opts.Audit = audit(log)
	}
	if !a.restricted() {
		return func(h http.Handler) http.Handler { return h }, nil
	}
	report := func(ctx context.Context, err error) { log.WarnContext(ctx, "access", "error", err) }
	var users auth.Authenticator = auth.AuthenticatorFunc(nobody)
	if a.htpasswd != "" {
		file, err := htpasswd.New(a.htpasswd, &htpasswd.Options{Groups: a.groups, TrustedProxies: a.proxies, Error: report})
		if err != nil {
			return nil, err
		}
		users = file
	}
	access, err := rules.New([]rules.Rule{{Who: rules.Who{Authenticated: true}, Repositories: []string{"**"},
		Actions: []auth.Action{auth.All}}})
	if a.rules != "" {
		access, err = rules.Load(a.rules, &rules.Options{Error: report})
	}
	if err != nil {
		return nil, err
	}
	logins, err := token.New(secrets, users, access, &token.Options{
		ExternalURL: a.externalURL, PlainHTTP: a.plainHTTP(), TrustedProxies: a.proxies,
		Audit: opts.Audit, Error: report,
	})
	if err != nil {
		return nil, err
	}
	if opts.PageKey, err = secrets.SharedSecret(ctx, "cursor"); err != nil {
		return nil, err
	}
	opts.Authenticator, opts.Authorizer = logins, logins
	return logins.Handler, nil
}

// nobody is an Authenticator that knows no users.
func nobody(r *http.Request) (auth.Identity, error) {
	if len(r.Header["Authorization"]) > 0 {
		return auth.Identity{}, auth.ErrCredentials
	}
	return auth.Identity{}, nil
}

// audit logs decisions.
func audit(log *slog.Logger) auth.AuditFunc {
	return func(ctx context.Context, d auth.Decision) {
		accesses := make([]string, len(d.Accesses))
		for i, a := range d.Accesses {
			if accesses[i] = a.String(); a.Tag != "" {
				accesses[i] += " tag " + a.Tag
			}
		}
		log.InfoContext(ctx, "access", "allowed", d.Allowed, "who", d.Identity.Name, "what", accesses, "rule", d.Rule,
			"why", d.Err,
			"method", d.Method, "path", d.Path, "remote", d.RemoteAddr)
	}
}

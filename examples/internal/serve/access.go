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
	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/auth/rules"
	"github.com/registrykit/registry/auth/token"
	"github.com/registrykit/registry/examples/internal/process"
	"github.com/registrykit/registry/internal/hostname"
	"github.com/registrykit/registry/middleware"
)

// access holds the flags for access control and connections.
type access struct {
	identities
	tlsCert, tlsKey string
	rules           string
	proxies         []netip.Prefix
	externalURL     string
	insecureOpen    bool
	audit           bool

	callers auth.Authenticator // of names and passwords, set by set, or nil
	file    *rules.Rules       // of -rules, set by set, or nil

	users   func(auth.Authenticator) auth.Authenticator // see Storage.Users
	resolve func(repo string) string                    // see token.Options.Resolve
}

func (a *access) flags() {
	flag.StringVar(&a.tlsCert, "tls-cert", "", "Read the TLS certificate from this PEM `file`. Default: plain HTTP.")
	flag.StringVar(&a.tlsKey, "tls-key", "",
		"Read the key of the certificate from this PEM `file`. Required with -tls-cert.")
	a.identities.flags()
	flag.StringVar(&a.rules, "rules", "",
		"Authorize by the rules in this YAML `file`; see docs/access.md. Default: everything is allowed.")
	flag.Func("trusted-proxy", "Trust the proxy at this `address`, or the proxies in this network, to state the "+
		"addresses of clients and to terminate TLS. May be repeated. Default: none.", a.addProxy)
	flag.StringVar(&a.externalURL, "external-url", "",
		"Set the `URL` under which clients reach the registry, such as https://registry.example, if a proxy changes its "+
			"name or scheme. Default: taken from each request.")
	flag.BoolVar(&a.insecureOpen, "insecure-open", false,
		"Listen on addresses other than loopback even if everybody may do everything, or if passwords are sent without TLS. "+
			"Default: false.")
	flag.BoolVar(&a.audit, "audit", false, "Log each access decision. Default: false.")
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

// forwarded puts the address of the client that a trusted proxy names into requests. Events, the
// access log and the audit log have that address.
func (a *access) forwarded(h http.Handler) http.Handler { return middleware.Forwarded(h, a.proxies) }

// restricted reports whether access depends on the caller.
func (a *access) restricted() bool { return a.any() || a.rules != "" }

// check rejects flags that would leave the registry open by mistake.
func (a *access) check(addr string) error {
	if _, err := a.externalHost(); err != nil {
		return err
	}
	if err := a.identities.check(a.rules != ""); err != nil {
		return err
	}
	switch {
	case (a.tlsCert == "") != (a.tlsKey == ""):
		return errors.New("-tls-cert and -tls-key need each other")
	case a.insecureOpen || hostname.Loopback(addr):
		return nil
	case !a.restricted():
		return fmt.Errorf("-addr %s: everybody who reaches it could push, pull and delete; "+
			"set -htpasswd, -accounts or -rules, listen on loopback, or set -insecure-open", addr)
	case a.any() && a.tlsCert == "" && len(a.proxies) == 0:
		return fmt.Errorf("-addr %s: passwords would be sent without TLS; "+
			"set -tls-cert, a -trusted-proxy that terminates TLS, or -insecure-open", addr)
	}
	return nil
}

// externalHost returns the host name in -external-url, or "" if the flag is not set.
func (a *access) externalHost() (string, error) {
	u, err := url.Parse(a.externalURL)
	if a.externalURL != "" && (err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" ||
		u.RawQuery != "" || u.Fragment != "" || u.User != nil) {
		return "", fmt.Errorf("-external-url %s: not a URL such as https://registry.example", a.externalURL)
	}
	return u.Hostname(), nil
}

// plainHTTP reports whether clients that use plain HTTP may request tokens by plain HTTP: either
// there are no passwords, or -insecure-open allows sending them without TLS.
func (a *access) plainHTTP() bool { return a.insecureOpen || !a.any() }

// set applies the flags to opts. It returns a function that adds the token endpoint to the
// registry's handler. Replicas that share secrets accept each other's tokens and page cursors.
func (a *access) set(ctx context.Context, opts *registry.Options, secrets token.Secrets,
	log *slog.Logger) (func(http.Handler) http.Handler, error) {
	if a.audit {
		opts.Audit = audit(log)
	}
	if !a.restricted() {
		return func(h http.Handler) http.Handler { return h }, nil
	}
	report := func(ctx context.Context, err error) { log.WarnContext(ctx, "access", "error", err) }
	users, err := a.authenticator(report)
	if err != nil {
		return nil, err
	}
	if a.users != nil {
		users = a.users(users)
	}
	a.callers = users
	access, err := a.authorizer(report)
	if err != nil {
		return nil, err
	}
	logins, err := token.New(secrets, users, access, &token.Options{
		ExternalURL: a.externalURL, PlainHTTP: a.plainHTTP(), TrustedProxies: a.proxies,
		Audit: opts.Audit, Error: report, Foreign: a.users != nil, Resolve: a.resolve,
		Refresh: a.logins, Keys: a.tokenKeys,
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

// authorizer returns the Authorizer of -rules, -accounts, or both. With neither, each user may do everything.
func (a *access) authorizer(report func(context.Context, error)) (auth.Authorizer, error) {
	if a.rules == "" && a.people == nil {
		return rules.New([]rules.Rule{{Who: rules.Who{Authenticated: true}, Repositories: []string{"**"},
			Actions: []auth.Action{auth.All}}})
	}
	if a.rules == "" {
		return accounts.NewAuthorizer(a.people), nil
	}
	file, err := rules.Load(a.rules, &rules.Options{Error: report})
	if err != nil {
		return nil, err
	}
	if a.file = file; a.people == nil {
		return file, nil
	}
	return accounts.NewAuthorizer(a.people).Refine(file), nil
}

// nobody is an Authenticator without users.
func nobody(r *http.Request) (auth.Identity, error) {
	if len(r.Header["Authorization"]) > 0 {
		return auth.Identity{}, auth.ErrCredentials
	}
	return auth.Identity{}, nil
}

// audit returns a function that logs access decisions.
func audit(log *slog.Logger) auth.AuditFunc {
	return func(ctx context.Context, d auth.Decision) { process.LogDecision(ctx, log, d) }
}

package serve

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/netip"

	"github.com/registrykit/registry/auth"
)

// access is what the flags say of who may do what, and over which connections.
type access struct {
	tlsCert, tlsKey string
	insecureOpen    bool
	audit           bool
}

func (a *access) flags() {
	flag.StringVar(&a.tlsCert, "tls-cert", "", "`file` of the certificate, in PEM; without it, the server speaks plain HTTP")
	flag.StringVar(&a.tlsKey, "tls-key", "", "`file` of the key of the certificate")
	flag.BoolVar(&a.insecureOpen, "insecure-open", false, "let everybody who reaches the server do everything, also from other machines")
	flag.BoolVar(&a.audit, "audit", false, "log each decision of who may do what")
}

// check refuses what would be open by oversight.
func (a *access) check(addr string) error {
	switch {
	case (a.tlsCert == "") != (a.tlsKey == ""):
		return errors.New("-tls-cert and -tls-key belong together")
	case !a.insecureOpen && !loopback(addr):
		return fmt.Errorf("-addr %s: everybody who reaches it could push, pull and delete; give an -addr on loopback, or -insecure-open", addr)
	}
	return nil
}

// loopback reports whether only this machine reaches an address.
func loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
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
		log.InfoContext(ctx, "access", "allowed", d.Allowed, "who", d.Identity.Name, "what", accesses, "rule", d.Rule, "why", d.Err,
			"method", d.Method, "path", d.Path, "remote", d.RemoteAddr)
	}
}

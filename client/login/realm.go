package login

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/hostname"
	"github.com/registrykit/registry/reference"
)

// ErrRealm is returned when a registry names a token service that is not among Options.Realms. It is
// the cause of a registry.ErrUnauthorized.
var ErrRealm = errors.New("login: the realm is not allowed")

// realms are the token services that may receive credentials.
type realms struct {
	own   string // the origin of the registry
	hosts []realmHost
}

// realmHost is an element of Options.Realms.
type realmHost struct {
	name  string // or, if below is true, a domain with a dot in front
	below bool
	port  string // or "" for the default port
}

// newRealms parses Options.Realms of a Login for the registry at base.
func newRealms(base *url.URL, list []string) (realms, error) {
	r := realms{own: origin(base)}
	for _, s := range list {
		u, err := url.Parse("//" + s)
		if err != nil || s == "" || u.Host != s || u.User != nil || u.Hostname() == "" || strings.HasSuffix(s, ":") {
			return realms{}, fmt.Errorf("login: %q in Realms is not a host", s)
		}
		h := realmHost{name: strings.ToLower(u.Hostname()), port: u.Port()}
		if domain, ok := strings.CutPrefix(h.name, "*"); ok {
			h.name, h.below = domain, true
		}
		if strings.Contains(h.name, "*") || h.below && (len(h.name) < 2 || h.name[0] != '.') {
			return realms{}, fmt.Errorf("login: %q in Realms is not a host or *.DOMAIN", s)
		}
		r.hosts = append(r.hosts, h)
	}
	return r, nil
}

// check parses the realm of a challenge.
//
// Errors: registry.ErrUnauthorized with the cause ErrRealm.
func (r realms) check(realm string) (*url.URL, error) {
	u, err := url.Parse(realm)
	problem := ""
	switch {
	case err != nil, u.Host == "", u.Hostname() == "", u.Opaque != "":
		problem = "is not a URL"
	case u.User != nil, u.Fragment != "":
		problem = "has a user or fragment"
	case u.Scheme != "https" && (u.Scheme != "http" || !hostname.Loopback(u.Host)):
		problem = "is not at https"
	case !r.allow(u):
		problem = "is at another host"
	default:
		return u, nil
	}
	if err == nil {
		realm = u.Scheme + "://" + u.Host
	}
	return nil, registry.ErrUnauthorized.WithCause(fmt.Errorf("%w: %s %s", ErrRealm, reference.Quote(realm), problem))
}

func (r realms) allow(u *url.URL) bool {
	if origin(u) == r.own {
		return true
	}
	name, port := strings.ToLower(u.Hostname()), portOf(u)
	for _, h := range r.hosts {
		if h.port != "" && h.port != port || h.port == "" && port != defaultPort(u.Scheme) {
			continue
		}
		if h.below && len(name) > len(h.name) && strings.HasSuffix(name, h.name) || !h.below && name == h.name {
			return true
		}
	}
	return false
}

// safe reports whether credentials may be sent to u: over https, or to loopback.
func safe(u *url.URL) bool { return u.Scheme == "https" || hostname.Loopback(u.Host) }

// origin returns the host and port of u in normalized form.
func origin(u *url.URL) string { return strings.ToLower(u.Hostname()) + " " + portOf(u) }

func portOf(u *url.URL) string {
	if port := u.Port(); port != "" {
		return port
	}
	return defaultPort(u.Scheme)
}

func defaultPort(scheme string) string {
	if scheme == "https" {
		return "443"
	}
	return "80"
}

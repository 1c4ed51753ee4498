package registry

import (
	"fmt"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
)

// NameQuery is what Options.Resolve knows of a request.
type NameQuery struct {
	// Repository is the name in the path of the request. It is valid.
	Repository string
	// Namespace is the value of the parameter ns, or "" if there is none: a host and an optional
	// port, in lower case. A client of a mirror names the registry there that it wants to pull from
	// (distribution spec, section "Registry Proxying"). The handler refuses any other form with 400,
	// and sends the value back as OCI-Namespace.
	Namespace string
	// Write reports whether the request pushes or deletes. For the source of a mount it is false,
	// because the source is read.
	Write bool
	// Request is the request. Its body must not be read.
	Request *http.Request
}

// maxNamespace is the maximum length of the parameter ns, in bytes.
const maxNamespace = 255

// namespaceParam returns the parameter ns as the client sent it, or "" if it is absent or
// Options.Resolve is not set.
//
// Errors: ErrNameInvalid.
func (c *call) namespaceParam() (string, error) {
	if c.r.opts.Resolve == nil || !c.query.Has("ns") {
		return "", nil
	}
	ns, err := oneParam(c.query, "ns", ErrNameInvalid)
	if err == nil && !isNamespace(ns) {
		err = ErrNameInvalid.WithMessage("the parameter ns is not a host with an optional port")
	}
	return ns, err
}

// resolve replaces the names in the operation by those that Options.Resolve returns. ns is the
// result of namespaceParam. The target of the request keeps the names that the client knows.
//
// Errors: those of Options.Resolve; ErrNameInvalid.
func (c *call) resolve(ns string) error {
	if c.r.opts.Resolve == nil || c.op.Repository == "" {
		return nil
	}
	name, err := c.resolveName(c.op.Repository, ns, c.op.Write())
	if err != nil {
		return err
	}
	c.op.Repository = name
	if ns != "" {
		c.namespace = ns
		c.w.set("Oci-Namespace", ns)
	}
	if c.op.From == "" {
		return nil
	}
	// A mount only saves an upload. If the source means nothing here, the client uploads the blob.
	if c.op.From, err = c.resolveName(c.op.From, ns, false); err != nil {
		c.op.Kind, c.op.Ref.Digest, c.op.From = OpCreateUpload, "", ""
	}
	return nil
}

// resolveName returns the name that Options.Resolve has for a name in the request.
func (c *call) resolveName(repo, ns string, write bool) (string, error) {
	name, err := c.r.opts.Resolve(NameQuery{Repository: repo, Namespace: strings.ToLower(ns), Write: write,
		Request: c.req})
	if err != nil {
		return "", fmt.Errorf("resolve: %w", err)
	}
	return name, CheckName(name)
}

// isNamespace reports whether s is a host with an optional port: a DNS name, an IPv4 address, or an
// IPv6 address in brackets.
func isNamespace(s string) bool {
	if len(s) > maxNamespace {
		return false
	}
	host, port, hasPort := strings.Cut(s, ":")
	if strings.HasPrefix(s, "[") {
		var ok bool
		host, port, ok = strings.Cut(s[1:], "]")
		addr, err := netip.ParseAddr(host)
		if !ok || err != nil || !addr.Is6() || addr.Zone() != "" {
			return false
		}
		port, hasPort = strings.CutPrefix(port, ":")
		return hasPort && isPort(port) || port == "" && !hasPort
	}
	return isHostname(host) && (!hasPort || isPort(port))
}

// isPort reports whether s is a port, without leading zeros.
func isPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0 && s[0] != '0' && s[0] != '+'
}

// isHostname reports whether s is a DNS name (RFC 1123, section 2.1). IPv4 addresses have the same
// form.
func isHostname(s string) bool {
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			switch c := label[i]; {
			case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-':
			default:
				return false
			}
		}
	}
	return true
}

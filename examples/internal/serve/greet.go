package serve

import (
	"fmt"
	"io"
	"net"
	"net/url"
)

// greet prints the address of the registry and commands to try.
func greet(w io.Writer, c config, served *Served, addr string) {
	scheme, name := "http", reachable(addr)
	if c.access.tlsCert != "" {
		scheme = "https"
	}
	if u, err := url.Parse(c.access.externalURL); err == nil && u.Host != "" {
		scheme, name = u.Scheme, u.Host
	}
	fmt.Fprintf(w, "A registry at %s://%s, listening on %s and stored in %s. Try:\n\n", scheme, name, addr, c.storage)
	if c.access.htpasswd != "" {
		fmt.Fprintf(w, "  docker login %s\n", name)
	}
	if served.Greet != nil {
		served.Greet(w, scheme, name)
	} else {
		fmt.Fprintf(w, "  docker pull busybox && docker tag busybox %[1]s/busybox && docker push %[1]s/busybox\n"+
			"  docker pull %[1]s/busybox\n\n", name)
	}
	for _, h := range c.events.webhooks {
		signed := "not signed"
		if len(h.Options.Secrets) > 0 {
			signed = "signed"
		}
		fmt.Fprintf(w, "Events go to the webhook %s at %s: format %s, %s.\n", h.Name, h.receiver(), h.Format, signed)
	}
}

// reachable returns addr with an unspecified host, such as that of ":5000", replaced by a loopback
// address.
func reachable(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if ip := net.ParseIP(host); err == nil && (host == "" || ip != nil && ip.IsUnspecified()) {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return addr
}

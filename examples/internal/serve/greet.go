package serve

import (
	"fmt"
	"io"
	"net/url"

	"github.com/registrykit/registry/examples/internal/process"
)

// greet prints the address of the registry and commands to try.
func greet(w io.Writer, c config, served *Served, addr string) {
	scheme, name := "http", process.Reachable(addr)
	if c.access.tlsCert != "" {
		scheme = "https"
	}
	if u, err := url.Parse(c.access.externalURL); err == nil && u.Host != "" {
		scheme, name = u.Scheme, u.Host
	}
	fmt.Fprintf(w, "A registry at %s://%s, listening on %s and stored in %s. Try:\n\n", scheme, name, addr, c.storage)
	if c.access.any() {
		fmt.Fprintf(w, "  docker login %s\n", name)
	}
	if served.Greet != nil {
		served.Greet(w, scheme, name)
	} else {
		image := name + "/busybox"
		if c.access.accounts {
			image = name + "/USER/busybox" // each user has a namespace
		}
		fmt.Fprintf(w, "  docker pull busybox && docker tag busybox %[1]s && docker push %[1]s\n"+
			"  docker pull %[1]s\n\n", image)
	}
	for _, h := range c.events.webhooks {
		signed := "not signed"
		if len(h.Options.Secrets) > 0 {
			signed = "signed"
		}
		fmt.Fprintf(w, "Events go to the webhook %s at %s: format %s, %s.\n", h.Name, h.receiver(), h.Format, signed)
	}
}

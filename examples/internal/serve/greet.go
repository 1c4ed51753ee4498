package serve

import (
	"fmt"
	"io"
	"net/url"
	"strings"

	"github.com/registrykit/registry/examples/internal/process"
)

// greet prints the address of the registry and commands to try.
func greet(w io.Writer, c config, served *Served, addr string) {
	scheme, name := c.reached(addr)
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
	if page := c.pageURL(addr); page != "" {
		fmt.Fprintf(w, "The page is at %s\n", page)
	}
	for _, h := range c.events.webhooks {
		signed := "not signed"
		if len(h.Options.Secrets) > 0 {
			signed = "signed"
		}
		fmt.Fprintf(w, "Events go to the webhook %s at %s: format %s, %s.\n", h.Name, h.receiver(), h.Format, signed)
	}
}

// reached returns the scheme and the host by which clients reach the registry. addr is the address of the listener.
func (c *config) reached(addr string) (scheme, name string) {
	scheme, name = "http", process.Reachable(addr)
	if c.access.tlsCert != "" {
		scheme = "https"
	}
	if u, err := url.Parse(c.access.externalURL); err == nil && u.Host != "" {
		scheme, name = u.Scheme, u.Host
	}
	return scheme, name
}

// pageURL returns the URL of the page of -ui, or "" if there is none.
func (c *config) pageURL(addr string) string {
	if !c.ui.on {
		return ""
	}
	if c.access.externalURL != "" {
		return strings.TrimSuffix(c.access.externalURL, "/") + uiPath
	}
	scheme, name := c.reached(addr)
	return scheme + "://" + name + uiPath
}

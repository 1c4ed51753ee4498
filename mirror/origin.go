package mirror

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/registrykit/registry/internal/options"
	"github.com/registrykit/registry/mirror/internal/upstream"
	"github.com/registrykit/registry/reference"
)

// dockerHub is the Name of the upstream that has aliases, a realm and a library by default.
const dockerHub = "docker.io"

// origin is an upstream with its defaults, and what the mirror keeps for it.
type origin struct {
	Upstream
	rules  rules
	remote *upstream.Upstream

	reported atomic.Int64 // when a failure was last logged, in nanoseconds since 1970
}

// newOrigin checks an upstream and fills in its defaults. via is the pseudonym of the mirror.
func newOrigin(u Upstream, via string) (*origin, error) {
	o := &origin{Upstream: u}
	if err := o.setNames(); err != nil {
		return nil, err
	}
	if len(o.URLs) == 0 {
		return nil, errors.New("no URL")
	}
	for _, text := range o.URLs {
		if err := checkURL(text); err != nil {
			return nil, err
		}
	}
	options.Default(&o.TagTTL, DefaultTagTTL)
	options.Default(&o.NegativeTTL, DefaultNegativeTTL)
	options.Default(&o.Proof, DefaultProof)
	var err error
	if o.rules, err = newRules(&o.Upstream); err != nil {
		return nil, err
	}
	source := o.Credentials
	if o.PassThrough {
		source = nil // the credentials of the mirror are never used for a caller
	}
	o.remote, err = upstream.New(upstream.Options{
		Name: o.Name, URLs: o.URLs, Source: source, Realms: o.Realms, Transport: o.Transport, Timeout: o.Timeout,
		Idle: o.Idle, Via: via, Requests: o.Requests,
	})
	return o, err
}

// setNames fills in and checks the names by which clients can mean the upstream.
func (o *origin) setNames() error {
	o.Aliases, o.Realms, o.Hosts = slices.Clone(o.Aliases), slices.Clone(o.Realms), slices.Clone(o.Hosts)
	if o.Name = strings.ToLower(o.Name); o.Name == "" {
		return errors.New("no name")
	}
	if o.Name == dockerHub {
		o.Aliases = append(o.Aliases, "index.docker.io", "registry-1.docker.io")
		o.Realms = append(o.Realms, "auth.docker.io")
		options.Default(&o.Library, "library")
	}
	for i, name := range o.Aliases {
		o.Aliases[i] = strings.ToLower(name)
	}
	slices.Sort(o.Aliases)
	o.Aliases = slices.Compact(o.Aliases)
	for i, host := range o.Hosts {
		o.Hosts[i] = strings.ToLower(host)
	}
	for _, host := range slices.Concat([]string{o.Name}, o.Aliases, o.Hosts) {
		if !isHost(host) {
			return fmt.Errorf("%s is not a host with an optional port", reference.Quote(host))
		}
	}
	if o.Prefix == "" {
		if o.Prefix = o.Name; strings.Contains(o.Name, ":") {
			return errors.New("a name with a port needs a prefix")
		}
	}
	if err := reference.CheckName(o.Prefix); err != nil {
		return fmt.Errorf("prefix: %w", err)
	}
	if o.Library != "" {
		if err := reference.CheckName(o.Library); err != nil {
			return fmt.Errorf("library: %w", err)
		}
	}
	return nil
}

// checkURL returns an error unless text is the base URL of a registry, without credentials.
func checkURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return errors.New("malformed URL") // the text may have a password
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return fmt.Errorf("URL %s: not http or https with a host", reference.Quote(u.Redacted()))
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return fmt.Errorf("URL %s: it must have neither credentials nor a query", reference.Quote(u.Redacted()))
	}
	return nil
}

// isHost reports whether s is a host name in lower case, or an IP address, with an optional port.
func isHost(s string) bool {
	host, port, found := strings.Cut(s, ":")
	if inner, ok := strings.CutPrefix(s, "["); ok { // IPv6
		var rest string
		host, rest, _ = strings.Cut(inner, "]")
		if port, found = strings.CutPrefix(rest, ":"); !found && rest != "" {
			return false
		}
		host = strings.ReplaceAll(host, ":", "")
	}
	if found && (port == "" || len(port) > 5 || strings.Trim(port, "0123456789") != "") {
		return false
	}
	return host != "" && len(s) <= 255 && strings.Trim(host, "abcdefghijklmnopqrstuvwxyz0123456789.-_") == ""
}

// as returns the upstream with the credentials that a request of the caller uses.
func (o *origin) as(c *caller) *upstream.Upstream {
	if !o.PassThrough || c == nil {
		return o.remote
	}
	return o.remote.As(c.credentials)
}

// ttl returns how long a tag is served without asking the upstream. name is the repository at the
// upstream.
func (o *origin) ttl(name, tag string) time.Duration {
	for i, t := range o.TagTTLs {
		if o.rules.ttls[i].matches(name, tag) {
			return t.TTL
		}
	}
	return o.TagTTL
}

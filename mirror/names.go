package mirror

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/glob"
	"github.com/registrykit/registry/reference"
)

// names is the closed table of the names by which clients can mean an upstream. It never changes.
type names struct {
	origins  []*origin
	byNS     map[string]*origin // by ns: Name and Aliases, also with and without the default port
	byHost   map[string]*origin // by Hosts
	byPrefix map[string]*origin // by Prefix, and by Aliases that can be prefixes
	local    glob.List
	hasLocal bool
	root     *origin // or nil
}

// newNames returns the table of origins.
func newNames(origins []*origin, opts *Options) (*names, error) {
	n := &names{
		origins: origins, byNS: map[string]*origin{}, byHost: map[string]*origin{}, byPrefix: map[string]*origin{},
		hasLocal: len(opts.Local) > 0,
	}
	for _, o := range origins {
		if err := n.add(o); err != nil {
			return nil, fmt.Errorf("upstream %s: %w", o.Name, err)
		}
	}
	for _, o := range origins {
		n.addPorts(o)
	}
	for a := range n.byPrefix {
		for b, o := range n.byPrefix {
			if strings.HasPrefix(b, a+"/") {
				return nil, fmt.Errorf("upstream %s: the prefix %q is below the prefix %q", o.Name, b, a)
			}
		}
	}
	var err error
	if n.local, _, err = glob.NewRepositories(opts.Local); err != nil {
		return nil, fmt.Errorf("local: %w", err)
	}
	if opts.Root == "" {
		return n, nil
	}
	if n.root = n.byNS[strings.ToLower(opts.Root)]; n.root == nil {
		return nil, fmt.Errorf("root: no upstream has the name %s", reference.Quote(opts.Root))
	}
	return n, nil
}

// add adds the names of an origin as they are.
func (n *names) add(o *origin) error {
	set := func(table map[string]*origin, what, name string) error {
		if other := table[name]; other != nil && other != o {
			return fmt.Errorf("the %s %q is that of %s", what, name, other.Name)
		}
		table[name] = o
		return nil
	}
	err := set(n.byPrefix, "prefix", o.Prefix)
	for _, name := range append([]string{o.Name}, o.Aliases...) {
		err = errors.Join(err, set(n.byNS, "name", name))
		if reference.CheckName(name) == nil {
			err = errors.Join(err, set(n.byPrefix, "prefix", name))
		}
	}
	for _, host := range o.Hosts {
		err = errors.Join(err, set(n.byHost, "host", host))
	}
	return err
}

// addPorts adds the names of an origin with the default port, or without it, unless another upstream
// has these names. The port of https always counts: clients mean it by default, whatever the URLs by
// which the mirror reaches the upstream. That of http counts if there is such a URL.
func (n *names) addPorts(o *origin) {
	ports := []string{":443"}
	if slices.ContainsFunc(o.URLs, func(u string) bool { return strings.HasPrefix(u, "http:") }) {
		ports = append(ports, ":80")
	}
	for _, suffix := range ports {
		for _, name := range append([]string{o.Name}, o.Aliases...) {
			other := strings.TrimSuffix(name, suffix)
			if other == name && !strings.Contains(name, ":") {
				other = name + suffix
			}
			if n.byNS[other] == nil {
				n.byNS[other] = o
			}
		}
	}
}

// prefixed returns the origin whose prefix, or alias, a path begins with, and the rest of the path.
func (n *names) prefixed(path string) (o *origin, rest string) {
	for i := range len(path) {
		if path[i] != '/' {
			continue
		}
		if o := n.byPrefix[path[:i]]; o != nil {
			return o, path[i+1:]
		}
	}
	return nil, path
}

// mirrored returns the origin of a repository of the mirror, and the name of the repository there.
// It returns nil for a repository of the store. In a name that a Backend gets, only the Prefix of
// an upstream counts: otherwise a name that an Authorizer does not know would lead to content that
// it protects.
func (n *names) mirrored(repo string) (o *origin, name string) {
	o, rest := n.prefixed(repo)
	if o == nil || repo != o.Prefix+"/"+rest {
		return nil, repo
	}
	return o, rest
}

// alias reports whether a repository name begins with an alias of an upstream. The mirror has no
// such repositories: Resolve maps them.
func (n *names) alias(repo string) bool {
	o, rest := n.prefixed(repo)
	return o != nil && repo != o.Prefix+"/"+rest
}

// in returns the repository of the mirror for a path at an origin.
func (o *origin) in(path string) (string, error) {
	if o.Library != "" && !strings.Contains(path, "/") {
		path = o.Library + "/" + path
	}
	repo := o.Prefix + "/" + path
	return repo, registry.CheckName(repo)
}

var (
	errNamespace = registry.ErrNameUnknown.WithMessage("the parameter ns names no upstream of this mirror")
	errPushTo    = registry.ErrNameInvalid.WithMessage("a push must not have the parameter ns")
	errAgainst   = registry.ErrNameInvalid.WithMessage("the parameter ns or the host contradicts the repository name")
)

// Resolve maps the name in a request to the repository of the mirror. It is for
// registry.Options.Resolve. The first of these rules that applies decides:
//
//  1. The parameter ns names the upstream. The path is a name there. It may also begin with the
//     prefix of the same upstream, as containerd's override_path sends it.
//  2. The host of the request is one of Upstream.Hosts. The path is as above.
//  3. The path begins with the prefix or an alias of an upstream.
//  4. The path matches Options.Local: it is a repository of the store.
//  5. The path is a name at the upstream Options.Root, or without a Root, one of the store.
//
// Upstream.Library is put before a name of one component.
//
// Errors: registry.ErrNameUnknown for an ns that is no upstream; registry.ErrNameInvalid if ns or
// the host contradicts a prefix in the path, if the result is too long for a name, or if a request
// with ns pushes; ErrLoop.
func (m *Mirror) Resolve(q registry.NameQuery) (string, error) {
	if m.looped(q.Request) {
		return "", ErrLoop
	}
	if q.Write && q.Namespace != "" {
		return "", errPushTo
	}
	return m.names.resolve(q)
}

func (n *names) resolve(q registry.NameQuery) (string, error) {
	var named *origin
	if q.Namespace != "" {
		if named = n.byNS[strings.ToLower(q.Namespace)]; named == nil {
			return "", errNamespace
		}
	}
	if o := n.atHost(q.Request); o != nil {
		if named != nil && named != o {
			return "", errAgainst
		}
		named = o
	}
	o, rest := n.prefixed(q.Repository)
	switch {
	case named == nil && o != nil:
		return o.in(rest)
	case named == nil && (n.root == nil || n.isLocal(q.Repository)):
		return q.Repository, nil
	case named == nil:
		return n.root.in(q.Repository)
	case o == named:
		return o.in(rest)
	case o != nil && looksLikeHost(q.Repository):
		return "", errAgainst
	}
	return named.in(q.Repository)
}

func (n *names) isLocal(repo string) bool { return n.hasLocal && n.local.Selects(repo) }

// looksLikeHost reports whether the first component of a path can only be a registry: a prefix such
// as "hub" may be part of a name at another upstream, too.
func looksLikeHost(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return strings.Contains(first, ".")
}

// atHost returns the origin that the host name of a request means, or nil.
func (n *names) atHost(r *http.Request) *origin {
	if r == nil || len(n.byHost) == 0 {
		return nil
	}
	host := strings.ToLower(r.Host)
	if o := n.byHost[host]; o != nil {
		return o
	}
	if i := strings.LastIndexByte(host, ':'); i > 0 && !strings.HasSuffix(host, "]") {
		return n.byHost[host[:i]]
	}
	return nil
}

// ErrLoop is returned for a request that this mirror itself has caused, through another mirror
// (508).
var ErrLoop = registry.NewError("DENIED", http.StatusLoopDetected, "the request has passed this mirror before")

// looped reports whether a request has passed this mirror before: whether a Via header (RFC 9110,
// section 7.6.3) has its pseudonym.
func (m *Mirror) looped(r *http.Request) bool {
	if r == nil {
		return false
	}
	for _, line := range r.Header.Values("Via") {
		for element := range strings.SplitSeq(line, ",") {
			if slices.Contains(strings.Fields(element), m.opts.Pseudonym) {
				return true
			}
		}
	}
	return false
}

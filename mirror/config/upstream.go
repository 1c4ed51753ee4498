package config

import (
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/registrykit/registry/mirror"
	"github.com/registrykit/registry/reference"
)

// upstream is an upstream of the file, with what becomes its credentials and its transport.
type upstream struct {
	mirror.Upstream
	node        *yaml.Node
	credentials credentials
	transport   transport
	names       []named
	patterns    []*value // of repositories, without the prefix
}

// named is a name that no other upstream may have.
type named struct {
	kind, name string
	node       *yaml.Node
}

// dockerHub is the name of the upstream that always has aliases, see mirror.Upstream.
const dockerHub = "docker.io"

// upstreamKeys are the keys of an upstream.
var upstreamKeys = append(append(append([]key[upstream]{
	{"name", func(u *upstream, v *value) (err error) {
		u.Name, err = v.host()
		return u.claim("name", v, u.Name, err)
	}},
	{"prefix", func(u *upstream, v *value) (err error) {
		u.Prefix, err = v.repository()
		return u.claim("prefix", v, u.Prefix, err)
	}},
	{"aliases", func(u *upstream, v *value) (err error) {
		u.Aliases, err = each(v, (*value).host)
		return u.claims("alias", v, u.Aliases, err)
	}},
	{"hosts", func(u *upstream, v *value) (err error) {
		u.Hosts, err = each(v, (*value).host)
		return u.claims("host", v, u.Hosts, err)
	}},
	{"urls", func(u *upstream, v *value) (err error) { u.URLs, err = each(v, (*value).baseURL); return err }},
	{"library", func(u *upstream, v *value) (err error) { u.Library, err = v.repository(); return err }},
}, credentialKeys...), transportKeys...), []key[upstream]{
	{"tagTTL", func(u *upstream, v *value) (err error) { u.TagTTL, err = v.ttl(); return err }},
	{"tagTTLs", func(u *upstream, v *value) (err error) { u.TagTTLs, err = v.tagTTLs(); return err }},
	{"negativeTTL", func(u *upstream, v *value) (err error) { u.NegativeTTL, err = v.ttl(); return err }},
	{"keepDeleted", func(u *upstream, v *value) (err error) { u.KeepDeleted, err = v.boolean(); return err }},
	{"deletedGrace", func(u *upstream, v *value) (err error) { u.DeletedGrace, err = v.duration(); return err }},
	{"allow", func(u *upstream, v *value) (err error) { u.Allow, err = u.rules(v); return err }},
	{"deny", func(u *upstream, v *value) (err error) { u.Deny, err = u.rules(v); return err }},
	{"platforms", func(u *upstream, v *value) (err error) { u.Platforms, err = each(v, (*value).platform); return err }},
	{"maxBlobSize", func(u *upstream, v *value) (err error) { u.MaxBlobSize, err = v.size(); return err }},
	{"minAge", func(u *upstream, v *value) (err error) { u.MinAge, err = v.duration(); return err }},
	{"timeout", func(u *upstream, v *value) (err error) { u.Timeout, err = v.above(); return err }},
	{"idle", func(u *upstream, v *value) (err error) { u.Idle, err = v.above(); return err }},
	{"requests", func(u *upstream, v *value) (err error) { u.Requests, err = v.number(); return err }},
}...)

// tagTTLKeys are the keys of an element of tagTTLs.
var tagTTLKeys = []key[mirror.TagTTL]{
	{"pattern", func(t *mirror.TagTTL, v *value) (err error) { t.Pattern, err = v.pattern(); return err }},
	{"ttl", func(t *mirror.TagTTL, v *value) (err error) { t.TTL, err = v.ttl(); return err }},
}

// tagTTLs reads a list of patterns with durations.
func (v *value) tagTTLs() ([]mirror.TagTTL, error) {
	if v.node.Kind != yaml.SequenceNode || len(v.node.Content) == 0 {
		return nil, v.errorf(`this must be a list, such as [{pattern: "**:v*", ttl: forever}]`)
	}
	all := make([]mirror.TagTTL, len(v.node.Content))
	for i, n := range v.node.Content {
		if err := read(v.p, n, &all[i], tagTTLKeys); err != nil {
			return nil, err
		}
		if all[i].Pattern == "" || all[i].TTL == 0 {
			return nil, v.p.Errorf(n, "%s: an element needs pattern and ttl", v.key)
		}
	}
	return all, nil
}

// claim notes a name that no other upstream may have, unless err is not nil.
func (u *upstream) claim(kind string, v *value, name string, err error) error {
	if err == nil {
		u.names = append(u.names, named{kind, name, v.node})
	}
	return err
}

func (u *upstream) claims(kind string, v *value, names []string, err error) error {
	for _, name := range names {
		err = u.claim(kind, v, name, err)
	}
	return err
}

// rules reads patterns of what may or may not be pulled.
func (u *upstream) rules(v *value) ([]string, error) {
	return each(v, func(v *value) (string, error) {
		u.patterns = append(u.patterns, v)
		return v.pattern()
	})
}

// checkPatterns returns an error for a pattern that begins with a host by which clients name the
// upstream. Patterns have no prefix, so such a rule would match nothing, and a denial would not hold.
func (u *upstream) checkPatterns() error {
	for _, v := range u.patterns {
		first, _, _ := strings.Cut(v.node.Value, "/")
		for _, name := range append([]string{u.Name, u.Prefix}, u.Aliases...) {
			if name == first && strings.Contains(name, ".") {
				return v.errorf("pattern %.64q: leave out %q; patterns are about names at the upstream", v.node.Value, first+"/")
			}
		}
	}
	return nil
}

// finish checks the upstream as a whole.
func (u *upstream) finish(p *parser) error {
	if u.Name == "" || len(u.URLs) == 0 {
		return p.Errorf(u.node, "an upstream needs name and urls")
	}
	if u.Prefix == "" {
		if reference.CheckName(u.Name) != nil {
			return p.Errorf(u.node, "%s: this name is no prefix of repositories, so the upstream needs the key prefix", u.Name)
		}
		u.names = append(u.names, named{"prefix", u.Name, u.node})
	}
	if u.Name == dockerHub {
		u.names = append(u.names, named{"implied alias", "index.docker.io", u.node},
			named{"implied alias", "registry-1.docker.io", u.node})
	}
	if err := u.checkPatterns(); err != nil {
		return err
	}
	if u.PassThrough && u.credentials.given() {
		return p.Errorf(u.node, "%s: with passThrough, the mirror has no credentials of its own", u.Name)
	}
	if u.Proof != 0 && !u.PassThrough {
		return p.Errorf(u.node, "%s: proof is for passThrough", u.Name)
	}
	if u.DeletedGrace != 0 && u.KeepDeleted {
		return p.Errorf(u.node, "%s: with keepDeleted, deletedGrace has no effect", u.Name)
	}
	var err error
	if u.Credentials, err = u.credentials.source(); err != nil {
		return p.Errorf(u.node, "%s: %w", u.Name, err)
	}
	if u.Transport, err = u.transport.open(); err != nil {
		return p.Errorf(u.node, "%s: %w", u.Name, err)
	}
	return nil
}

// checkNames returns an error if two upstreams have the same name, prefix or host, or if the
// repositories of one would be below those of another.
func (p *parser) checkNames(all []*upstream) error {
	claims := make(map[string]claim)
	for _, u := range all {
		for _, n := range u.names {
			space := "name "
			if n.kind == "host" {
				space = "host "
			}
			first, found := claims[space+n.name]
			if found && (first.of != u || first.kind == n.kind) {
				return p.Errorf(n.node, "the %s %q occurs twice, first in %s%d", n.kind, n.name, p.Prefix, first.node.Line)
			}
			if !found {
				claims[space+n.name] = claim{n, u}
			}
		}
	}
	for _, u := range all {
		for _, n := range u.names {
			for i, c := range n.name {
				if above, found := claims["name "+n.name[:i]]; found && c == '/' {
					return p.Errorf(n.node, "the %s %q is below the %s %q", n.kind, n.name, above.kind, above.name)
				}
			}
		}
	}
	return nil
}

// claim is a name and the upstream that has it.
type claim struct {
	named
	of *upstream
}

package signin

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/internal/strictyaml"
)

// MaxSize is the maximum size of a file for [Load], in bytes.
const MaxSize = 1 << 20

// maxSecret is the maximum size of a file with a secret, in bytes.
const maxSecret = 4 << 10

// Load reads providers from a YAML file; docs/signin.md has its fields and examples.
//
// Errors: those of Parse and of reading the file.
func Load(path string) ([]Provider, error) {
	content, err := strictyaml.ReadFile(path, MaxSize)
	if err != nil {
		return nil, fmt.Errorf("signin: %w", err)
	}
	return Parse(path, content)
}

// Parse reads providers from YAML: a mapping with the list "providers". name is the path of the
// file, for errors and for files with secrets, whose paths are relative to its folder.
//
// Errors: a mistake, with name and its line.
func Parse(name string, content []byte) ([]Provider, error) {
	p := &strictyaml.Parser{Prefix: name + ":", Max: MaxSize, Empty: "no providers"}
	root, err := p.Load(content)
	if err != nil {
		return nil, fmt.Errorf("signin: %w", err)
	}
	fields, err := p.Mapping(root, "providers")
	if err != nil {
		return nil, fmt.Errorf("signin: %w", err)
	}
	return parseList(p, fields["providers"], filepath.Dir(name))
}

// parseList reads the list of providers. Paths of files with secrets are relative to folder. A nil
// node is an empty list.
//
// Errors: a mistake, with its line.
func parseList(p *strictyaml.Parser, n *yaml.Node, folder string) ([]Provider, error) {
	if n == nil {
		return nil, nil
	}
	if n.Kind != yaml.SequenceNode {
		return nil, fmt.Errorf("signin: %w", p.Errorf(n, "this must be a list of providers"))
	}
	var list []Provider
	names := map[string]bool{}
	for _, one := range n.Content {
		r := &reader{p: p, folder: folder}
		provider, err := r.provider(one)
		if err == nil && names[provider.Name] {
			err = p.Errorf(one, "two providers have the name %q", provider.Name)
		}
		if err != nil {
			return nil, fmt.Errorf("signin: %w", err)
		}
		names[provider.Name] = true
		list = append(list, provider)
	}
	return list, nil
}

// reader reads a provider.
type reader struct {
	p      *strictyaml.Parser
	folder string
	fields map[string]*yaml.Node
	err    error // the first mistake
}

func (r *reader) provider(n *yaml.Node) (Provider, error) {
	var v Provider
	r.fields, r.err = r.p.Mapping(n, "name", "title", "issuer", "clientID", "clientSecret", "scopes", "parameters",
		"algorithms", "leeway", "userInfo", "require", "create", "nameClaim", "groupsClaim", "teams", "postLogoutURL")
	create := ""
	for _, field := range []struct {
		name string
		to   *string
	}{{"name", &v.Name}, {"title", &v.Title}, {"issuer", &v.Issuer}, {"clientID", &v.ClientID}, {"create", &create},
		{"nameClaim", &v.NameClaim}, {"groupsClaim", &v.GroupsClaim}, {"postLogoutURL", &v.PostLogoutURL}} {
		r.text(field.name, field.to)
	}
	v.Create = Creation(create)
	r.texts("scopes", &v.Scopes)
	r.texts("algorithms", &v.Algorithms)
	r.leeway(&v.Leeway)
	r.boolean(r.fields["userInfo"], &v.UserInfo)
	parameters, require := r.mapping("parameters"), r.mapping("require")
	for _, name := range slices.Sorted(maps.Keys(parameters)) {
		if v.Parameters == nil {
			v.Parameters = map[string]string{}
		}
		v.Parameters[name] = r.scalar(parameters[name])
	}
	for _, name := range slices.Sorted(maps.Keys(require)) {
		if v.Require == nil {
			v.Require = map[string][]string{}
		}
		v.Require[name] = r.list(require[name])
	}
	v.ClientSecret = r.secret()
	r.teams(&v.Teams)
	if r.err != nil {
		return Provider{}, r.err
	}
	given := v
	err := given.complete()
	var m *mistake
	if errors.As(err, &m) {
		at := n
		if field := r.fields[m.field]; field != nil {
			at = field
			if field.Kind == yaml.SequenceNode && m.index < len(field.Content) {
				at = field.Content[m.index]
			}
		}
		err = r.p.Errorf(at, "%w", m)
	}
	return v, err
}

// fail keeps the first mistake.
func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

// scalar returns a text that is not empty.
func (r *reader) scalar(n *yaml.Node) string {
	text, err := r.p.Text(n)
	if err == nil && text == "" {
		err = r.p.Errorf(n, "this is empty")
	}
	if err != nil {
		r.fail(err)
	}
	return text
}

// list returns a text or a list of texts.
func (r *reader) list(n *yaml.Node) []string {
	texts, _, err := r.p.Texts(n)
	if err != nil {
		r.fail(err)
	}
	return texts
}

func (r *reader) text(field string, to *string) {
	if n := r.fields[field]; n != nil {
		*to = r.scalar(n)
	}
}

func (r *reader) texts(field string, to *[]string) {
	if n := r.fields[field]; n != nil {
		*to = r.list(n)
	}
}

func (r *reader) boolean(n *yaml.Node, to *bool) {
	if n == nil {
		return
	}
	switch text := r.scalar(n); text {
	case "true":
		*to = true
	case "false":
	default:
		r.fail(r.p.Errorf(n, "%.40q is neither true nor false", text))
	}
}

// mapping returns the members of a mapping with any keys.
func (r *reader) mapping(field string) map[string]*yaml.Node {
	n := r.fields[field]
	if n == nil {
		return nil
	}
	members, err := r.p.Mapping(n)
	if err != nil {
		r.fail(err)
	}
	return members
}

// leeway reads a duration. Zero means none.
func (r *reader) leeway(to *time.Duration) {
	n := r.fields["leeway"]
	if n == nil {
		return
	}
	text := r.scalar(n)
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		r.fail(r.p.Errorf(n, "leeway: %.40q is no duration such as 30s", text))
	}
	if *to = d; d == 0 {
		*to = -1
	}
}

// secret reads the client secret from a file or an environment variable.
func (r *reader) secret() auth.Secret {
	n := r.fields["clientSecret"]
	if n == nil {
		return ""
	}
	if n.Kind != yaml.MappingNode {
		r.fail(r.p.Errorf(n, "clientSecret: write {file: PATH} or {env: NAME}, and not the secret itself"))
		return ""
	}
	fields, err := r.p.Mapping(n, "file", "env")
	if err == nil && len(fields) != 1 {
		err = r.p.Errorf(n, "clientSecret: either file or env is required")
	}
	if err != nil {
		r.fail(err)
		return ""
	}
	var text string
	if env := fields["env"]; env != nil {
		text = os.Getenv(r.scalar(env))
	} else {
		path := r.scalar(fields["file"])
		if !filepath.IsAbs(path) {
			path = filepath.Join(r.folder, path)
		}
		content, err := strictyaml.ReadFile(path, maxSecret)
		if err != nil {
			r.fail(r.p.Errorf(n, "clientSecret: %w", err))
		}
		text = string(content)
	}
	if text = strings.TrimSpace(text); text == "" {
		r.fail(r.p.Errorf(n, "clientSecret: the file or the environment variable is empty"))
	}
	return auth.Secret(text)
}

// teams reads the mapping of groups.
func (r *reader) teams(to *[]Mapping) {
	n := r.fields["teams"]
	if n == nil {
		return
	}
	if n.Kind != yaml.SequenceNode {
		r.fail(r.p.Errorf(n, "teams: this must be a list"))
		return
	}
	for _, one := range n.Content {
		fields, err := r.p.Mapping(one, "group", "team", "admin")
		if err != nil {
			r.fail(err)
			return
		}
		var m Mapping
		if fields["group"] != nil {
			m.Group = r.scalar(fields["group"])
		}
		if fields["team"] != nil {
			m.Team = r.scalar(fields["team"])
		}
		r.boolean(fields["admin"], &m.Admin)
		*to = append(*to, m)
	}
}

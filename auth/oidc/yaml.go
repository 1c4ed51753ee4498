package oidc

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/registrykit/registry/internal/strictyaml"
)

// Load reads a provider from a YAML file; see the package comment for its fields. The paths of
// keyFiles are relative to the folder of the file.
//
// Errors: the first mistake, with the file and its line; those of reading the file.
func Load(path string) (Provider, error) {
	content, err := strictyaml.ReadFile(path, MaxSize)
	if err != nil {
		return Provider{}, fmt.Errorf("oidc: %w", err)
	}
	return Parse(path, content)
}

// Parse reads a provider from YAML. name is the path of the file, for errors and keyFiles.
//
// Errors: the first mistake, with name and its line.
func Parse(name string, content []byte) (Provider, error) {
	p := &parser{Parser: strictyaml.Parser{Prefix: name + ":", Max: MaxSize, Empty: "no provider"},
		lines: make(map[string][]*yaml.Node)}
	provider, err := p.provider(content)
	if err != nil {
		return Provider{}, fmt.Errorf("oidc: %w", err)
	}
	for i, file := range provider.KeyFiles {
		if !filepath.IsAbs(file) {
			provider.KeyFiles[i] = filepath.Join(filepath.Dir(name), file)
		}
	}
	return provider, nil
}

// parser reads the nodes of a file.
type parser struct {
	strictyaml.Parser
	root  *yaml.Node
	rules []*yaml.Node
	lines map[string][]*yaml.Node // the nodes of the values of a field; see place
}

// place returns the key of lines for a field of a rule, or of the provider if rule is -1.
func place(rule int, field string) string { return fmt.Sprint(rule, " ", field) }

// locate returns an error with the line of a mistake.
func (p *parser) locate(err error) error {
	var m *mistake
	if !errors.As(err, &m) {
		return err
	}
	n := p.root
	if m.rule >= 0 && m.rule < len(p.rules) {
		n = p.rules[m.rule]
	}
	if nodes := p.lines[place(m.rule, m.field)]; len(nodes) > 0 {
		n = nodes[min(m.index, len(nodes)-1)]
	}
	if m.field == "" {
		return p.Errorf(n, "%w", m.err)
	}
	return p.Errorf(n, "%s: %w", m.field, m.err)
}

func (p *parser) provider(content []byte) (result Provider, err error) {
	if p.root, err = p.Load(content); err != nil {
		return Provider{}, err
	}
	fields, err := p.Mapping(p.root, "name", "issuer", "audience", "otherAudiences", "parties", "jwks", "keyFiles",
		"algorithms", "leeway", "maxAge", "rules")
	if err != nil {
		return Provider{}, err
	}
	for field, to := range map[string]*string{"name": &result.Name, "issuer": &result.Issuer,
		"audience": &result.Audience, "jwks": &result.JWKS} {
		if err := p.text(fields, -1, field, to); err != nil {
			return Provider{}, err
		}
	}
	for field, to := range map[string]*[]string{"otherAudiences": &result.OtherAudiences, "parties": &result.Parties,
		"keyFiles": &result.KeyFiles, "algorithms": &result.Algorithms} {
		if err := p.texts(fields[field], -1, field, to); err != nil {
			return Provider{}, err
		}
	}
	if err := p.durations(fields, &result); err != nil {
		return Provider{}, err
	}
	list := fields["rules"]
	if list == nil || list.Kind != yaml.SequenceNode {
		return Provider{}, p.Errorf(p.root, "no list of rules")
	}
	for i, n := range list.Content {
		r, err := p.rule(n, i)
		if err != nil {
			return Provider{}, err
		}
		result.Rules, p.rules = append(result.Rules, r), append(p.rules, n)
	}
	_, err = compile(result, time.Now) // for mistakes with their lines
	return result, p.locate(err)
}

// durations reads leeway and maxAge.
func (p *parser) durations(fields map[string]*yaml.Node, result *Provider) error {
	for field, to := range map[string]*time.Duration{"leeway": &result.Leeway, "maxAge": &result.MaxAge} {
		n := fields[field]
		if n == nil {
			continue
		}
		text, err := p.Text(n)
		if err != nil {
			return err
		}
		if *to, err = time.ParseDuration(text); err != nil || *to < 0 {
			return p.Errorf(n, "%s: %.100q is no duration such as 30s or 1h", field, text)
		}
		p.lines[place(-1, field)] = []*yaml.Node{n}
		switch {
		case *to == 0 && field == "maxAge":
			return p.Errorf(n, "maxAge: no token is as young")
		case *to == 0:
			*to = -1 // none; zero would mean the default
		}
	}
	return nil
}

// rule reads a rule.
func (p *parser) rule(n *yaml.Node, i int) (r Rule, err error) {
	fields, err := p.Mapping(n, "name", "claims", "identity", "robot", "groups", "keep")
	if err != nil {
		return Rule{}, err
	}
	for field, to := range map[string]*string{"name": &r.Name, "identity": &r.Identity, "robot": &r.Robot} {
		if err := p.text(fields, i, field, to); err != nil {
			return Rule{}, err
		}
	}
	for field, to := range map[string]*[]string{"groups": &r.Groups, "keep": &r.Keep} {
		if err := p.texts(fields[field], i, field, to); err != nil {
			return Rule{}, err
		}
	}
	if fields["claims"] == nil {
		return Rule{}, p.Errorf(n, "a rule without claims")
	}
	claims, err := p.Mapping(fields["claims"])
	if err != nil {
		return Rule{}, err
	}
	p.lines[place(i, "claims")] = []*yaml.Node{fields["claims"]}
	r.Claims = make(map[string][]string, len(claims))
	for claim, value := range claims {
		var patterns []string
		if err := p.texts(value, i, "claims."+claim, &patterns); err != nil {
			return Rule{}, err
		}
		r.Claims[claim] = patterns
	}
	return r, nil
}

// text reads a field that is a text and must not be empty.
func (p *parser) text(fields map[string]*yaml.Node, rule int, field string, to *string) (err error) {
	n := fields[field]
	if n == nil {
		return nil
	}
	if *to, err = p.Text(n); err != nil {
		return err
	}
	if *to == "" {
		return p.Errorf(n, "%s: this is empty", field)
	}
	p.lines[place(rule, field)] = []*yaml.Node{n}
	return nil
}

// texts reads a field that is a text or a list of texts.
func (p *parser) texts(n *yaml.Node, rule int, field string, to *[]string) (err error) {
	if n == nil {
		return nil
	}
	if *to, _, err = p.Texts(n); err != nil {
		return err
	}
	nodes := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		nodes = n.Content
	}
	p.lines[place(rule, field)] = nodes
	return nil
}

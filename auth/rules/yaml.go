package rules

import (
	"fmt"

	"go.yaml.in/yaml/v4"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/internal/strictyaml"
)

// MaxSize is the maximum size of a file, in bytes.
const MaxSize = 1 << 20

// Parse reads rules from YAML in UTF-8. Explain calls a rule by its line: "line 12: NAME".
//
// Parse returns an error for the first mistake. The error contains its line. See "What is refused"
// in the package comment.
func Parse(content []byte) (*Rules, error) {
	t, err := parse(content, "line ", "line ")
	if err != nil {
		return nil, fmt.Errorf("rules: %w", err)
	}
	return fromTable(t), nil
}

// parse reads rules from YAML. inRules and inErrors are the texts before a line number in the names
// of rules and in errors.
func parse(content []byte, inRules, inErrors string) (*table, error) {
	p := &parser{strictyaml.Parser{
		Prefix: inErrors, Max: MaxSize, Empty: "it is empty; \"rules: []\" allows nobody anything",
	}}
	root, err := p.Load(content)
	if err != nil {
		return nil, err
	}
	fields, err := p.Mapping(root, "rules")
	if err != nil {
		return nil, err
	}
	list := fields["rules"]
	if list == nil || list.Kind != yaml.SequenceNode {
		return nil, p.Errorf(root, "no list of rules")
	}
	rules, places := make([]Rule, len(list.Content)), make([]place, len(list.Content))
	for i, n := range list.Content {
		lines := make(map[string][]int)
		if err := p.rule(n, &rules[i], lines); err != nil {
			return nil, err
		}
		places[i] = place{
			rule: fmt.Sprint(inRules, n.Line),
			at: func(field string, i int) string {
				if of := lines[field]; len(of) > 0 {
					return fmt.Sprint(inErrors, of[max(i, 0)])
				}
				return fmt.Sprint(inErrors, n.Line)
			},
		}
	}
	t, err := newTable(rules, places)
	if err != nil {
		return nil, err
	}
	t.content = string(content)
	return t, nil
}

// parser reads the nodes of a file.
type parser struct{ strictyaml.Parser }

// rule reads one rule into r, and the lines of its fields into lines.
func (p *parser) rule(n *yaml.Node, r *Rule, lines map[string][]int) error {
	fields, err := p.Mapping(n, "name", "who", "repositories", "accounts", "registry", "actions", "tags", "effect")
	if err != nil {
		return err
	}
	if fields["who"] == nil {
		return p.Errorf(n, "a rule without who")
	}
	var actions, effect, name []string
	for field, texts := range map[string]*[]string{
		"name": &name, "repositories": &r.Repositories, "accounts": &r.Accounts, "registry": &r.Registry,
		"actions": &actions, "tags": &r.Tags, "effect": &effect,
	} {
		value := fields[field]
		if value == nil {
			continue
		}
		if value.Kind == yaml.SequenceNode && (texts == &name || texts == &effect) {
			return p.Errorf(value, "this must be a text")
		}
		if *texts, lines[field], err = p.Texts(value); err != nil {
			return err
		}
	}
	for _, a := range actions {
		r.Actions = append(r.Actions, auth.Action(a))
	}
	if len(effect) > 0 {
		if r.Effect = Effect(effect[0]); r.Effect == "" {
			return p.Errorf(fields["effect"], "this is empty")
		}
	}
	if len(name) > 0 {
		r.Name = name[0]
	}
	return p.who(fields["who"], &r.Who, lines)
}

// who reads the callers that a rule applies to.
func (p *parser) who(n *yaml.Node, w *Who, lines map[string][]int) error {
	list := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		list = n.Content
	}
	lines["who"] = []int{n.Line}
	for _, n := range list {
		var err error
		if n.Kind == yaml.MappingNode {
			err = p.named(n, w, lines)
		} else {
			err = p.word(n, w)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (p *parser) word(n *yaml.Node, w *Who) error {
	text, err := p.Text(n)
	if err != nil {
		return err
	}
	switch text {
	case "everyone":
		w.Everyone = true
	case "anonymous":
		w.Anonymous = true
	case "authenticated":
		w.Authenticated = true
	default:
		return p.Errorf(n, "%q is not one of everyone, anonymous and authenticated; a user is {user: NAME}", text)
	}
	return nil
}

// named reads one of {user: …}, {group: …} and {claim: …}. It refuses a mapping with several of
// them, because an author might think that all of them must match.
func (p *parser) named(n *yaml.Node, w *Who, lines map[string][]int) error {
	fields, err := p.Mapping(n, "user", "group", "claim")
	if err != nil {
		return err
	}
	if len(fields) != 1 {
		return p.Errorf(n, "this must be one of user, group and claim; several are a list, of which any is meant")
	}
	for field, value := range fields {
		if field == "claim" {
			values, err := p.claims(value)
			if err != nil {
				return err
			}
			w.Claims, lines[field] = append(w.Claims, values), append(lines[field], n.Line)
			continue
		}
		names, at, err := p.Texts(value)
		if err != nil {
			return err
		}
		lines[field] = append(lines[field], at...)
		if field == "user" {
			w.Users = append(w.Users, names...)
		} else {
			w.Groups = append(w.Groups, names...)
		}
	}
	return nil
}

func (p *parser) claims(n *yaml.Node) (map[string]string, error) {
	fields, err := p.Mapping(n)
	if err != nil {
		return nil, err
	}
	values := make(map[string]string, len(fields))
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, err := p.Text(n.Content[i])
		if err != nil {
			return nil, err
		}
		if values[key], err = p.Text(n.Content[i+1]); err != nil {
			return nil, err
		}
	}
	return values, nil
}

package rules

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"

	"github.com/registrykit/registry/auth"
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
	p := &parser{prefix: inErrors}
	root, err := p.load(content)
	if err != nil {
		return nil, err
	}
	fields, err := p.mapping(root, "rules")
	if err != nil {
		return nil, err
	}
	list := fields["rules"]
	if list == nil || list.Kind != yaml.SequenceNode {
		return nil, p.errorf(root, "no list of rules")
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
	return newTable(rules, places)
}

// parser reads the nodes of a file. It never follows an alias, because plain refuses aliases.
type parser struct{ prefix string }

func (p *parser) errorf(n *yaml.Node, format string, args ...any) error {
	return fmt.Errorf("%s%d: %w", p.prefix, max(n.Line, 1), fmt.Errorf(format, args...))
}

// load returns the root of the only document.
func (p *parser) load(content []byte) (*yaml.Node, error) {
	if len(content) > MaxSize {
		return nil, fmt.Errorf("%s%d: more than %d bytes", p.prefix, 1+bytes.Count(content[:MaxSize], []byte("\n")), MaxSize)
	}
	for i := 0; i < len(content); {
		r, size := utf8.DecodeRune(content[i:])
		if r == utf8.RuneError && size == 1 || r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0x7f {
			return nil, fmt.Errorf("%s%d: not a text in UTF-8", p.prefix, 1+bytes.Count(content[:i], []byte("\n")))
		}
		i += size
	}
	loader, err := yaml.NewLoader(bytes.NewReader(content))
	if err != nil {
		return nil, err
	}
	var doc, second yaml.Node
	if err := loader.Load(&doc); err != nil && !errors.Is(err, io.EOF) {
		return nil, p.syntax(err)
	}
	if len(doc.Content) == 0 {
		return nil, p.errorf(&doc, "it is empty; \"rules: []\" allows nobody anything")
	}
	switch err := loader.Load(&second); {
	case err == nil:
		return nil, p.errorf(&second, "a second document")
	case !errors.Is(err, io.EOF):
		return nil, p.syntax(err)
	}
	return doc.Content[0], p.plain(doc.Content[0], 0)
}

// syntax returns an error of the YAML library with its line.
func (p *parser) syntax(err error) error {
	var e *yaml.LoadError
	if errors.As(err, &e) {
		return p.errorf(&yaml.Node{Line: e.Mark.Line}, "%s", e.Message)
	}
	return p.errorf(&yaml.Node{}, "%w", err)
}

// maxDepth is the maximum depth of nested nodes. Valid rules are not as deep: their deepest node is
// a claim in a list.
const maxDepth = 16

// plain refuses features of YAML that rules do not need.
func (p *parser) plain(n *yaml.Node, depth int) error {
	switch {
	case depth > maxDepth:
		return p.errorf(n, "nested too deep")
	case n.Kind == yaml.AliasNode:
		return p.errorf(n, "an alias; a pattern that begins with * stands in quotes")
	case n.Anchor != "":
		return p.errorf(n, "an anchor: a text that begins with & stands in quotes")
	case n.Style&yaml.TaggedStyle != 0:
		return p.errorf(n, "a tag of YAML: a pattern that begins with ! stands in quotes")
	}
	for _, c := range n.Content {
		if err := p.plain(c, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// mapping returns the values of a mapping by key. It refuses other keys than the known ones and
// keys that occur twice. Without known keys, every key is permitted.
func (p *parser) mapping(n *yaml.Node, known ...string) (map[string]*yaml.Node, error) {
	if n.Kind != yaml.MappingNode {
		return nil, p.errorf(n, "this must have fields: %q", known)
	}
	fields := make(map[string]*yaml.Node)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		switch {
		case fields[key.Value] != nil:
			return nil, p.errorf(key, "%q occurs twice", key.Value)
		case len(known) > 0 && !contains(known, key):
			return nil, p.errorf(key, "%q is none of %q", key.Value, known)
		}
		fields[key.Value] = value
	}
	return fields, nil
}

func contains(known []string, key *yaml.Node) bool {
	for _, k := range known {
		if key.Kind == yaml.ScalarNode && key.Value == k {
			return true
		}
	}
	return false
}

// text returns a scalar as it is written. It ignores the type that YAML gives the value, such as
// number or boolean, but it refuses null.
func (p *parser) text(n *yaml.Node) (string, error) {
	switch {
	case n.Kind != yaml.ScalarNode:
		return "", p.errorf(n, "this must be a text")
	case n.ShortTag() == "!!null":
		return "", p.errorf(n, "this is empty")
	}
	return n.Value, nil
}

// texts reads one text or a list of texts. It also returns the line of each.
func (p *parser) texts(n *yaml.Node) (texts []string, lines []int, err error) {
	list := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		if list = n.Content; len(list) == 0 {
			return nil, nil, p.errorf(n, "this is empty")
		}
	}
	for _, n := range list {
		t, err := p.text(n)
		if err != nil {
			return nil, nil, err
		}
		texts, lines = append(texts, t), append(lines, n.Line)
	}
	return texts, lines, nil
}

// rule reads one rule into r, and the lines of its fields into lines.
func (p *parser) rule(n *yaml.Node, r *Rule, lines map[string][]int) error {
	fields, err := p.mapping(n, "name", "who", "repositories", "actions", "tags", "effect")
	if err != nil {
		return err
	}
	if fields["who"] == nil {
		return p.errorf(n, "a rule without who")
	}
	var actions, effect, name []string
	for field, texts := range map[string]*[]string{
		"name": &name, "repositories": &r.Repositories, "actions": &actions, "tags": &r.Tags, "effect": &effect,
	} {
		value := fields[field]
		if value == nil {
			continue
		}
		if value.Kind == yaml.SequenceNode && (texts == &name || texts == &effect) {
			return p.errorf(value, "this must be a text")
		}
		if *texts, lines[field], err = p.texts(value); err != nil {
			return err
		}
	}
	for _, a := range actions {
		r.Actions = append(r.Actions, auth.Action(a))
	}
	if len(effect) > 0 {
		if r.Effect = Effect(effect[0]); r.Effect == "" {
			return p.errorf(fields["effect"], "this is empty")
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
	text, err := p.text(n)
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
		return p.errorf(n, "%q is none of everyone, anonymous and authenticated; a user is {user: NAME}", text)
	}
	return nil
}

// named reads one of {user: …}, {group: …} and {claim: …}. It refuses a mapping with several of
// them, because an author might think that all of them must match.
func (p *parser) named(n *yaml.Node, w *Who, lines map[string][]int) error {
	fields, err := p.mapping(n, "user", "group", "claim")
	if err != nil {
		return err
	}
	if len(fields) != 1 {
		return p.errorf(n, "this must be one of user, group and claim; several are a list, of which any is meant")
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
		names, at, err := p.texts(value)
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
	fields, err := p.mapping(n)
	if err != nil {
		return nil, err
	}
	values := make(map[string]string, len(fields))
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, err := p.text(n.Content[i])
		if err != nil {
			return nil, err
		}
		if values[key], err = p.text(n.Content[i+1]); err != nil {
			return nil, err
		}
	}
	return values, nil
}

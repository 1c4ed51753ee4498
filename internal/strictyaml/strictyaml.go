// Package strictyaml reads configuration files in YAML. It refuses unknown and repeated fields and
// the features of YAML that surprise people, and its errors contain the line.
package strictyaml

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// Parser reads the nodes of a file. It never follows an alias, because Load refuses aliases.
type Parser struct {
	// Prefix is the text before a line number in errors, such as "line " or "file.yaml:".
	Prefix string
	// Max is the maximum size of a file, in bytes.
	Max int
	// Empty is the error for a file without content.
	Empty string
}

// Errorf returns an error with the line of a node.
func (p *Parser) Errorf(n *yaml.Node, format string, args ...any) error {
	return fmt.Errorf("%s%d: %w", p.Prefix, max(n.Line, 1), fmt.Errorf(format, args...))
}

// Load returns the root of the only document of a text in UTF-8. It refuses aliases, anchors, tags
// of YAML, and nodes that are nested too deep.
func (p *Parser) Load(content []byte) (*yaml.Node, error) {
	if len(content) > p.Max {
		return nil, fmt.Errorf("%s%d: more than %d bytes", p.Prefix, 1+bytes.Count(content[:p.Max], []byte("\n")), p.Max)
	}
	for i := 0; i < len(content); {
		r, size := utf8.DecodeRune(content[i:])
		if r == utf8.RuneError && size == 1 || r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0x7f {
			return nil, fmt.Errorf("%s%d: not a text in UTF-8", p.Prefix, 1+bytes.Count(content[:i], []byte("\n")))
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
		return nil, p.Errorf(&doc, "%s", p.Empty)
	}
	switch err := loader.Load(&second); {
	case err == nil:
		return nil, p.Errorf(&second, "a second document")
	case !errors.Is(err, io.EOF):
		return nil, p.syntax(err)
	}
	return doc.Content[0], p.plain(doc.Content[0], 0)
}

// syntax returns an error of the YAML library with its line.
func (p *Parser) syntax(err error) error {
	var e *yaml.LoadError
	if errors.As(err, &e) {
		return p.Errorf(&yaml.Node{Line: e.Mark.Line}, "%s", e.Message)
	}
	return p.Errorf(&yaml.Node{}, "%w", err)
}

// maxDepth is the maximum depth of nested nodes. No valid configuration is as deep.
const maxDepth = 16

// plain refuses features of YAML that configurations do not need.
func (p *Parser) plain(n *yaml.Node, depth int) error {
	switch {
	case depth > maxDepth:
		return p.Errorf(n, "nested too deep")
	case n.Kind == yaml.AliasNode:
		return p.Errorf(n, "an alias; a pattern that begins with * stands in quotes")
	case n.Anchor != "":
		return p.Errorf(n, "an anchor: a text that begins with & stands in quotes")
	case n.Style&yaml.TaggedStyle != 0:
		return p.Errorf(n, "a tag of YAML: a pattern that begins with ! stands in quotes")
	}
	for _, c := range n.Content {
		if err := p.plain(c, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// Mapping returns the values of a mapping by key. It refuses other keys than the known ones and
// keys that occur twice. Without known keys, every key is permitted.
func (p *Parser) Mapping(n *yaml.Node, known ...string) (map[string]*yaml.Node, error) {
	if n.Kind != yaml.MappingNode {
		return nil, p.Errorf(n, "this must have fields: %q", known)
	}
	fields := make(map[string]*yaml.Node)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		switch {
		case fields[key.Value] != nil:
			return nil, p.Errorf(key, "%q occurs twice", key.Value)
		case len(known) > 0 && !contains(known, key):
			return nil, p.Errorf(key, "%q is not one of %q", key.Value, known)
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

// Text returns a scalar as it is written. It ignores the type that YAML gives the value, such as
// number or boolean, but it refuses null.
func (p *Parser) Text(n *yaml.Node) (string, error) {
	switch {
	case n.Kind != yaml.ScalarNode:
		return "", p.Errorf(n, "this must be a text")
	case n.ShortTag() == "!!null":
		return "", p.Errorf(n, "this is empty")
	}
	return n.Value, nil
}

// Texts reads one text or a list of texts. It also returns the line of each.
func (p *Parser) Texts(n *yaml.Node) (texts []string, lines []int, err error) {
	list := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		if list = n.Content; len(list) == 0 {
			return nil, nil, p.Errorf(n, "this is empty")
		}
	}
	for _, n := range list {
		t, err := p.Text(n)
		if err != nil {
			return nil, nil, err
		}
		texts, lines = append(texts, t), append(lines, n.Line)
	}
	return texts, lines, nil
}

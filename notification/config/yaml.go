package config

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/registrykit/registry/internal/strictyaml"
)

// ParseYAML reads webhooks from YAML in UTF-8, see the package comment.
//
// Errors: the first mistake, with its line.
func ParseYAML(content []byte, opts *Options) ([]Webhook, error) {
	all, err := parseYAML(content, "line ", opts)
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	return all, unique(all)
}

// loadYAML reads a file.
func loadYAML(path string, opts *Options) ([]Webhook, error) {
	content, err := strictyaml.ReadFile(path, MaxSize)
	if errors.Is(err, fs.ErrNotExist) { // it may be a URL with a typo, and then with a secret in its query
		shown, _, _ := strings.Cut(path, "?")
		return nil, fmt.Errorf("config: %q is not a URL that begins with https:// or http://: %w", shown, fs.ErrNotExist)
	}
	if err == nil {
		var all []Webhook
		if all, err = parseYAML(content, path+":", opts); err == nil {
			return all, nil
		}
	}
	return nil, fmt.Errorf("config: %w", err)
}

func parseYAML(content []byte, prefix string, opts *Options) ([]Webhook, error) {
	p := &strictyaml.Parser{Prefix: prefix, Max: MaxSize, Empty: `it is empty; "webhooks: []" is no webhook`}
	root, err := p.Load(content)
	if err != nil {
		return nil, err
	}
	fields, err := p.Mapping(root, "webhooks")
	if err != nil {
		return nil, err
	}
	list := fields["webhooks"]
	if list == nil || list.Kind != yaml.SequenceNode {
		return nil, p.Errorf(root, "no list of webhooks")
	}
	all := make([]Webhook, len(list.Content))
	for i, n := range list.Content {
		if all[i], err = parseNode(p, n, opts); err != nil {
			return nil, err
		}
		all[i].place = fmt.Sprint(prefix, n.Line)
	}
	return all, nil
}

// parseNode reads one webhook.
func parseNode(p *strictyaml.Parser, n *yaml.Node, opts *Options) (Webhook, error) {
	fields, err := p.Mapping(n, append([]string{fieldURL}, parameters...)...)
	if err != nil {
		return Webhook{}, err
	}
	w := newParsed(opts)
	lines := make(map[string][]int)
	for i := 0; i+1 < len(n.Content); i += 2 { // in the order of the file, so that the first mistake is reported
		name := n.Content[i].Value
		value := fields[name]
		if value.Kind == yaml.SequenceNode && !slices.Contains(lists, name) {
			return Webhook{}, p.Errorf(value, "%s: this must be a text", name)
		}
		var values []string
		if values, lines[name], err = p.Texts(value); err != nil {
			return Webhook{}, err
		}
		if slices.Contains(values, "") {
			return Webhook{}, p.Errorf(&yaml.Node{Line: lines[name][slices.Index(values, "")]}, "%s: this is empty", name)
		}
		if err := w.set(name, values); err != nil {
			return Webhook{}, atLine(p, n, lines, err)
		}
	}
	whole, err := w.finish()
	if err != nil {
		return Webhook{}, atLine(p, n, lines, err)
	}
	return whole, nil
}

// atLine returns an error with the line of the field that it is about, or of the webhook.
func atLine(p *strictyaml.Parser, n *yaml.Node, lines map[string][]int, err error) error {
	line := n.Line
	var mistake *fieldError
	if errors.As(err, &mistake) {
		if of := lines[mistake.field]; len(of) > 0 {
			line = of[min(max(mistake.index, 0), len(of)-1)]
		}
	}
	return p.Errorf(&yaml.Node{Line: line}, "%w", err)
}

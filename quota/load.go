package quota

import (
	"fmt"

	"go.yaml.in/yaml/v4"

	"github.com/registrykit/registry/internal/bytesize"
	"github.com/registrykit/registry/internal/strictyaml"
)

// MaxSize is the maximum size of a file, in bytes.
const MaxSize = 1 << 20

// Load reads limits from a YAML file, see the package comment.
//
// Errors: the first mistake, with the file and its line; those of reading the file.
func Load(path string) (*Limits, error) {
	content, err := strictyaml.ReadFile(path, MaxSize)
	if err != nil {
		return nil, fmt.Errorf("quota: %w", err)
	}
	return Parse(path, content)
}

// Parse reads limits from YAML. name is the name of the file, for errors.
//
// Errors: the first mistake, with name and its line.
func Parse(name string, content []byte) (*Limits, error) {
	p := &parser{strictyaml.Parser{Prefix: name + ":", Max: MaxSize, Empty: "no limits"}}
	l, err := p.file(content)
	if err != nil {
		return nil, fmt.Errorf("quota: %w", err)
	}
	return l, nil
}

type parser struct{ strictyaml.Parser }

func (p *parser) file(content []byte) (*Limits, error) {
	root, err := p.Load(content)
	if err != nil {
		return nil, err
	}
	fields, err := p.Mapping(root, "limits")
	if err != nil {
		return nil, err
	}
	list := fields["limits"]
	if list == nil || list.Kind != yaml.SequenceNode || len(list.Content) == 0 {
		if list == nil {
			list = root
		}
		return nil, p.Errorf(list, "limits must be a list of entries")
	}
	limits := &Limits{}
	for _, n := range list.Content {
		limit, err := p.limit(n)
		if err != nil {
			return nil, err
		}
		if err := limits.add(limit); err != nil {
			return nil, p.Errorf(n, "%w", err)
		}
	}
	return limits, nil
}

// limit reads one entry.
func (p *parser) limit(n *yaml.Node) (limit Limit, err error) {
	fields, err := p.Mapping(n, "prefix", "max", "soft", "unlimited")
	if err != nil {
		return Limit{}, err
	}
	if fields["prefix"] == nil {
		return Limit{}, p.Errorf(n, "no prefix")
	}
	if limit.Prefix, err = p.Text(fields["prefix"]); err != nil {
		return Limit{}, err
	}
	if f := fields["max"]; f != nil {
		if limit.Max, err = p.amounts(f); err != nil {
			return Limit{}, err
		}
	}
	if f := fields["soft"]; f != nil {
		if limit.Soft, err = p.amounts(f); err != nil {
			return Limit{}, err
		}
	}
	if f := fields["unlimited"]; f != nil {
		text, err := p.Text(f)
		if err != nil {
			return Limit{}, err
		}
		if text != "true" && text != "false" {
			return Limit{}, p.Errorf(f, "%q is neither true nor false", text)
		}
		limit.Unlimited = text == "true"
	}
	return limit, nil
}

// amounts reads limits of resources, none of which may be zero.
func (p *parser) amounts(n *yaml.Node) (a Amounts, err error) {
	fields, err := p.Mapping(n, string(Bytes), string(Repositories), string(Manifests), string(Tags))
	if err != nil {
		return Amounts{}, err
	}
	for _, r := range resources() {
		f := fields[string(r)]
		if f == nil {
			continue
		}
		text, err := p.Text(f)
		if err != nil {
			return Amounts{}, err
		}
		v, err := bytesize.Parse(text)
		switch {
		case err != nil:
			return Amounts{}, p.Errorf(f, "%s: %.64q is %w", r, text, err)
		case v == 0:
			return Amounts{}, p.Errorf(f, "%s is zero, which would mean no limit", r)
		}
		*a.at(r) = v
	}
	return a, nil
}

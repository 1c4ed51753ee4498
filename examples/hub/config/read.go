package config

import (
	"bytes"
	"encoding"
	"fmt"
	"math"
	"net/netip"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode"

	"go.yaml.in/yaml/v4"

	"github.com/registrykit/registry/auth/rules"
	"github.com/registrykit/registry/auth/signin"
	"github.com/registrykit/registry/internal/bytesize"
	"github.com/registrykit/registry/internal/duration"
	"github.com/registrykit/registry/internal/strictyaml"
	mirrors "github.com/registrykit/registry/mirror/config"
	hooks "github.com/registrykit/registry/notification/config"
	"github.com/registrykit/registry/quota"
	"github.com/registrykit/registry/retention"
)

// reader reads one file.
type reader struct {
	strictyaml.Parser
	content   []byte
	path, dir string
}

// fill reads a mapping into the struct that v points at. The key of a field is its name with a small first word:
// TLSCert is tlsCert.
func (r *reader) fill(v any, n *yaml.Node) error {
	to := reflect.ValueOf(v).Elem()
	known := make([]string, to.NumField())
	for i := range known {
		known[i] = key(to.Type().Field(i).Name)
	}
	if _, err := r.Mapping(n, known...); err != nil {
		return err
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name := n.Content[i].Value
		for j, k := range known {
			if k != name {
				continue
			}
			if err := r.set(to.Field(j).Addr().Interface(), n, i); err != nil {
				return err
			}
		}
	}
	return nil
}

// key returns the key of a field.
func key(field string) string {
	runes := []rune(field)
	for i, c := range runes {
		last := i == len(runes)-1
		if !unicode.IsUpper(c) && !unicode.IsDigit(c) || i > 0 && !last && unicode.IsLower(runes[i+1]) {
			break
		}
		runes[i] = unicode.ToLower(c)
	}
	return string(runes)
}

// set reads a value of a mapping into the field that v points at.
func (r *reader) set(v any, mapping *yaml.Node, i int) error {
	name, n := mapping.Content[i], mapping.Content[i+1]
	one := part{mapping, i, i + 2}
	switch v := v.(type) {
	case **rules.Rules:
		return section(r, v, one, func(text []byte) (*rules.Rules, error) { return rules.Parse(text) })
	case **retention.Rules:
		return section(r, v, one, func(text []byte) (*retention.Rules, error) {
			return retention.Parse(r.path, text)
		})
	case **quota.Limits:
		return section(r, v, one, func(text []byte) (*quota.Limits, error) { return quota.Parse(r.path, text) })
	case *[]signin.Provider:
		if len(n.Content) == 0 {
			*v = nil
			return nil
		}
		return section(r, v, one, func(text []byte) ([]signin.Provider, error) { return signin.Parse(r.path, text) })
	case *[]Link:
		if n.Kind != yaml.SequenceNode {
			return r.Errorf(n, "%s: this must be a list", name.Value)
		}
		*v = make([]Link, len(n.Content))
		for i, one := range n.Content {
			if err := r.fill(&(*v)[i], one); err != nil {
				return err
			}
		}
		return nil
	case *[]hooks.Webhook:
		return section(r, v, one, func(text []byte) ([]hooks.Webhook, error) {
			return hooks.ParseYAML(text, nil)
		})
	case **mirrors.Config:
		if n.Kind == yaml.MappingNode && len(n.Content) == 0 { // mirror: {}
			*v = nil
			return nil
		}
		if n.Kind != yaml.MappingNode {
			return r.Errorf(n, "%s: this must have fields", name.Value)
		}
		return section(r, v, part{n, 0, len(n.Content)}, func(text []byte) (*mirrors.Config, error) {
			return mirrors.ParseFile(r.path, text)
		})
	}
	if reflect.TypeOf(v).Elem().Kind() == reflect.Struct {
		return r.fill(v, n)
	}
	var err error
	if list := reflect.ValueOf(v).Elem(); list.Kind() == reflect.Slice {
		err = r.list(list, n)
	} else {
		err = r.scalar(v, n)
	}
	if err != nil {
		return r.Errorf(n, "%s: %w", name.Value, err)
	}
	return nil
}

// list reads a list of scalars, which may be empty.
func (r *reader) list(to reflect.Value, n *yaml.Node) error {
	if n.Kind != yaml.SequenceNode {
		return fmt.Errorf("this must be a list")
	}
	all := reflect.MakeSlice(to.Type(), len(n.Content), len(n.Content))
	for i, one := range n.Content {
		if err := r.scalar(all.Index(i).Addr().Interface(), one); err != nil {
			return err
		}
	}
	to.Set(all)
	return nil
}

// scalar reads a scalar.
func (r *reader) scalar(v any, n *yaml.Node) (err error) {
	if n.Kind != yaml.ScalarNode {
		return fmt.Errorf("this must be one value")
	}
	text := n.Value
	switch v := v.(type) {
	case *string:
		*v = text
	case *Path:
		if *v = Path(text); text != "" && !filepath.IsAbs(text) {
			*v = Path(filepath.Join(r.dir, text))
		}
	case *bool:
		if *v = text == "true"; text != "true" && text != "false" {
			return fmt.Errorf("this must be true or false")
		}
	case *int:
		*v, err = strconv.Atoi(text)
	case *float64:
		*v, err = strconv.ParseFloat(text, 64)
	case *time.Duration:
		*v, err = duration.Parse(text)
	case *Size:
		var size int64
		size, err = bytesize.Parse(text)
		*v = Size(size)
	case *netip.Prefix:
		*v, err = prefix(text)
	case encoding.TextUnmarshaler:
		err = v.UnmarshalText([]byte(text))
	default:
		return fmt.Errorf("config: no reader for %T", v)
	}
	return err
}

// prefix reads a network, or an address.
func prefix(text string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(text)
	if err == nil {
		return p, nil
	}
	addr, aerr := netip.ParseAddr(text)
	if aerr != nil {
		return p, err
	}
	return netip.PrefixFrom(addr, addr.BitLen()), nil
}

// part is a part of a file for the parser of another package: the keys of a mapping from the index first up to the
// index end.
type part struct {
	mapping    *yaml.Node
	first, end int
}

// section reads a part of the file with the parser of another package. The text begins with empty lines, so that the
// lines in errors are those of the file.
func section[T any](r *reader, to *T, p part, parse func(text []byte) (T, error)) error {
	first := p.mapping.Content[p.first]
	if p.mapping.Style&yaml.FlowStyle != 0 {
		return r.Errorf(first, "%s: write this over several lines, without braces", first.Value)
	}
	end := math.MaxInt
	if p.end < len(p.mapping.Content) {
		end = p.mapping.Content[p.end].Line
	}
	parsed, err := parse(r.cut(first, end))
	if err != nil {
		return fmt.Errorf("%s: %w", r.path, err)
	}
	*to = parsed
	return nil
}

// cut returns the lines of a mapping from a key up to the line end, or up to the end of the mapping.
// It leaves out the indentation of the key, and comments.
func (r *reader) cut(first *yaml.Node, end int) []byte {
	var text bytes.Buffer
	text.WriteString(strings.Repeat("\n", first.Line-1))
	indent := first.Column - 1
	for i, line := range strings.Split(string(r.content), "\n") {
		content := strings.TrimLeft(line, " ")
		spaces := len(line) - len(content)
		switch {
		case i+1 < first.Line:
			continue
		case strings.TrimSpace(content) == "" || content[0] == '#':
			text.WriteByte('\n')
			continue
		case i+1 >= end || spaces < indent:
			return text.Bytes()
		}
		text.WriteString(line[indent:] + "\n")
	}
	return text.Bytes()
}

package config

import (
	"fmt"
	"path/filepath"

	"go.yaml.in/yaml/v4"

	"github.com/registrykit/registry/internal/strictyaml"
	"github.com/registrykit/registry/mirror"
)

// MaxSize is the maximum size of a file, in bytes.
const MaxSize = 1 << 20

// Config is the content of a file: the last two arguments of mirror.New. A program may add to it.
type Config struct {
	// Upstreams are in the order of the file.
	Upstreams []mirror.Upstream
	// Options have what the file sets. Options.Logger is nil.
	Options mirror.Options
}

// Load reads a file.
//
// Errors: the first mistake, with its line; those of reading the file.
func Load(path string) (*Config, error) {
	content, err := strictyaml.ReadFile(path, MaxSize)
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	return ParseFile(path, content)
}

// ParseFile reads the content of a file, or the part of a larger file that is about a mirror. path is for errors, and
// paths in the content are relative to its folder.
//
// Errors: the first mistake, with its line.
func ParseFile(path string, content []byte) (*Config, error) {
	return parse(content, path+":", filepath.Dir(path))
}

// Parse reads the content of a file. Paths in it are relative to the current folder.
//
// Errors: the first mistake, with its line.
func Parse(content []byte) (*Config, error) { return parse(content, "line ", "") }

func parse(content []byte, prefix, dir string) (*Config, error) {
	p := &parser{dir: dir, Parser: strictyaml.Parser{Prefix: prefix, Max: MaxSize, Empty: "no upstreams"}}
	c, err := p.file(content)
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	return c, nil
}

// parser reads one file.
type parser struct {
	strictyaml.Parser
	dir string // paths are relative to it
}

// file reads the whole file.
func (p *parser) file(content []byte) (*Config, error) {
	root, err := p.Load(content)
	if err != nil {
		return nil, err
	}
	f := &file{}
	if err := read(p, root, f, fileKeys); err != nil {
		return nil, err
	}
	if len(f.upstreams) == 0 {
		return nil, p.Errorf(root, "no upstreams")
	}
	if err := p.checkNames(f.upstreams); err != nil {
		return nil, err
	}
	if f.root != nil && !f.has(f.Options.Root) {
		return nil, p.Errorf(f.root, "root: no upstream has the name %q", f.Options.Root)
	}
	for _, u := range f.upstreams {
		f.Upstreams = append(f.Upstreams, u.Upstream)
	}
	return &f.Config, nil
}

// key is a key of a mapping. set puts its value into a T.
type key[T any] struct {
	name string
	set  func(into *T, v *value) error
}

// read reads a mapping in the order of the file, so that the first mistake is reported.
func read[T any](p *parser, n *yaml.Node, into *T, keys []key[T]) error {
	setters := make(map[string]func(*T, *value) error, len(keys))
	names := make([]string, len(keys))
	for i, k := range keys {
		names[i], setters[k.name] = k.name, k.set
	}
	if _, err := p.Mapping(n, names...); err != nil {
		return err
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		v := &value{p, n.Content[i].Value, n.Content[i+1]}
		if err := setters[v.key](into, v); err != nil {
			return err
		}
	}
	return nil
}

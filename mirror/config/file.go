package config

import (
	"context"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/registrykit/registry"
)

// file is what the whole file says.
type file struct {
	Config
	upstreams []*upstream
	root      *yaml.Node // the value of the key root, or nil
}

// has reports whether an upstream has a name.
func (f *file) has(name string) bool {
	for _, u := range f.upstreams {
		if strings.EqualFold(u.Name, name) {
			return true
		}
	}
	return false
}

// fileKeys are the keys of the file.
var fileKeys = []key[file]{
	{"upstreams", func(f *file, v *value) (err error) { f.upstreams, err = v.upstreams(); return err }},
	{"root", func(f *file, v *value) (err error) {
		f.root = v.node
		f.Options.Root, err = v.host()
		return err
	}},
	{"local", func(f *file, v *value) (err error) { f.Options.Local, err = v.repositories(); return err }},
	{"maxSize", func(f *file, v *value) (err error) { f.Options.MaxSize, err = v.size(); return err }},
	{"interval", func(f *file, v *value) (err error) { f.Options.Interval, err = v.above(); return err }},
	{"offline", func(f *file, v *value) (err error) { f.Options.Offline, err = v.boolean(); return err }},
	{"anonymousFetch", func(f *file, v *value) error {
		allowed, err := v.boolean()
		if err == nil && !allowed {
			f.Options.MayFetch = known
		}
		return err
	}},
	{"admitWait", func(f *file, v *value) (err error) { f.Options.AdmitWait, err = v.above(); return err }},
	{"pseudonym", func(f *file, v *value) (err error) { f.Options.Pseudonym, err = v.host(); return err }},
}

// known reports whether the caller has a name.
func known(ctx context.Context, _, _ string) bool { return registry.IdentityFrom(ctx).Name != "" }

// upstreams reads the list of upstreams.
func (v *value) upstreams() ([]*upstream, error) {
	if v.node.Kind != yaml.SequenceNode {
		return nil, v.errorf("this must be a list")
	}
	all := make([]*upstream, len(v.node.Content))
	for i, n := range v.node.Content {
		u := &upstream{node: n}
		if err := read(v.p, n, u, upstreamKeys); err != nil {
			return nil, err
		}
		if err := u.finish(v.p); err != nil {
			return nil, err
		}
		all[i] = u
	}
	return all, nil
}

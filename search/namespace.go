package search

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/registrykit/registry/internal/options"
)

// Namespace is a prefix of repository names.
type Namespace struct {
	// Prefix consists of whole components of names, such as "acme" or "acme/shop".
	Prefix string
	// Repository reports whether there is also a repository of this name.
	Repository bool
	// Repositories is the number of repositories of this name and below it.
	Repositories int
	// Pushed is the last push to one of them, as far as it is known.
	Pushed time.Time
}

// NamespaceOptions are the options of [Index.Namespaces]. nil means the zero NamespaceOptions.
type NamespaceOptions struct {
	// After skips the prefixes that are not greater than it. Default: no prefix is skipped.
	After string
	// Limit is the maximum number of prefixes. Default: DefaultLimit, 100. A negative value is an
	// error.
	Limit int
}

// Namespaces are the prefixes directly below a prefix.
type Namespaces struct {
	// List are the prefixes in ascending order.
	List []Namespace
	// More reports whether there are further ones.
	More bool
	// Repositories is the number of repositories with the prefix, including that of its own name.
	Repositories int
	// Built is when the index was built, or the zero Time before the first refresh.
	Built time.Time
}

// Namespaces returns the prefixes directly below a prefix that have a repository which the viewer may
// see. They count only such repositories. "" is the prefix of the first components. opts may be nil.
//
// Errors: an error for a negative limit; those of v.
func (x *Index) Namespaces(ctx context.Context, prefix string, v Viewer, opts *NamespaceOptions) (Namespaces, error) {
	o := options.Value(opts)
	options.Default(&o.Limit, DefaultLimit)
	if o.Limit < 0 {
		return Namespaces{}, errors.New("search: NamespaceOptions.Limit is negative")
	}
	s := x.current.Load()
	all, err := s.visibleRepositories(ctx, &v, prefix)
	if err != nil {
		return Namespaces{}, err
	}
	found := Namespaces{Repositories: len(all), Built: s.built}
	at := map[string]int{} // in list
	var list []Namespace
	for _, e := range all {
		name := child(e.name, prefix)
		if name == "" {
			continue
		}
		i, ok := at[name]
		if !ok {
			i = len(list)
			at[name], list = i, append(list, Namespace{Prefix: name})
		}
		n := &list[i]
		n.Repositories++
		n.Repository = n.Repository || e.name == name
		if e.content != nil {
			if pushed := unix(e.content.pushed); pushed.After(n.Pushed) {
				n.Pushed = pushed
			}
		}
	}
	slices.SortFunc(list, func(a, b Namespace) int { return strings.Compare(a.Prefix, b.Prefix) })
	from, _ := slices.BinarySearchFunc(list, o.After+"\x00", func(n Namespace, after string) int {
		return strings.Compare(n.Prefix, after)
	})
	if o.After == "" {
		from = 0
	}
	list = list[from:]
	found.List, found.More = list[:min(len(list), o.Limit)], len(list) > o.Limit
	return found, nil
}

// child returns the prefix of a repository that is directly below another prefix, or "" for the
// repository of that name.
func child(name, prefix string) string {
	from := 0
	if prefix != "" {
		from = len(prefix) + 1
	}
	if len(name) < from {
		return ""
	}
	end := strings.IndexByte(name[from:], '/')
	if end < 0 {
		return name
	}
	return name[:from+end]
}

// Figures are what the index knows of a repository.
type Figures struct {
	// Tags and Images are the numbers of tags and manifests.
	Tags, Images int
	// Pushed is the last push, as far as it is known.
	Pushed time.Time
}

// Figures returns what the index knows of a repository. ok is false if it does not know the repository,
// or has not read all of it yet. The caller has checked that its own caller may see the repository.
func (x *Index) Figures(repository string) (f Figures, ok bool) {
	e := x.current.Load().repository(repository)
	if e == nil || e.content == nil || e.content.unread {
		return Figures{}, false
	}
	c := e.content
	return Figures{Tags: len(c.tags), Images: len(c.manifests), Pushed: unix(c.pushed)}, true
}

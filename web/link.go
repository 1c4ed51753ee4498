package web

import (
	"net/url"
	"strings"
	"time"
)

// path returns the URL of a view below Options.Path. Each segment is escaped.
func (p *Page) path(segments ...string) string {
	escaped := make([]string, len(segments))
	for i, s := range segments {
		escaped[i] = url.PathEscape(s)
	}
	return p.opts.Path + strings.Join(escaped, "/")
}

// repo returns the URL of a repository, or of one of its views, such as "history".
func (p *Page) repo(name string, view ...string) string {
	target := p.path(append([]string{"repositories"}, strings.Split(name, "/")...)...)
	for i, segment := range view {
		if i == 0 {
			target += "/-"
		}
		target += "/" + url.PathEscape(segment)
	}
	return target
}

// image returns the URL of an image. ref is a tag or a digest.
func (p *Page) image(repo, ref string) string { return p.repo(repo, "images", ref) }

// namespace returns the URL of the repositories below a prefix.
func (p *Page) namespace(prefix string) string {
	return p.path(append([]string{"namespaces"}, strings.Split(prefix, "/")...)...)
}

// now returns the present time.
func (p *Page) now() time.Time { return time.Now() }

// Name returns the name of the page, for its layout.
func (p *Page) Name() string { return p.opts.Name }

// Links returns the links of the host, for its layout.
func (p *Page) Links() []Link { return p.opts.Links }

package serve

import (
	"flag"
	"fmt"
	"net/http"
	"slices"

	"github.com/registrykit/registry/middleware"
)

// pages holds the flags for web pages.
type pages struct {
	origins []string // of pages that may use the registry
}

func (p *pages) flags() {
	flag.Func("cors", "Allow web pages of this `origin`, such as https://ui.example, to use the registry. * allows all "+
		"pages, but only to read while everybody may do everything. May be repeated. Default: none.",
		func(origin string) error {
			p.origins = append(p.origins, origin)
			return nil
		})
}

// check rejects malformed origins.
func (p *pages) check() error {
	if _, err := middleware.CORS(http.NotFoundHandler(), &middleware.CORSOptions{Origins: p.origins}); err != nil {
		return fmt.Errorf("-cors: %w", err)
	}
	return nil
}

// around allows the pages of -cors to use the registry, and protects it from all others. Other
// pages must not write, because the rules may allow anonymous callers to do so. If everybody may do
// everything, other pages must not reach the registry under a host name of their own either (DNS
// rebinding), unless -insecure-open is set. hosts are further names of the registry.
func (p *pages) around(reg http.Handler, a *access, hosts []string) (http.Handler, error) {
	anyPage := slices.Contains(p.origins, "*")
	if !a.restricted() || !anyPage {
		var err error
		trusted := slices.DeleteFunc(slices.Clone(p.origins), func(origin string) bool { return origin == "*" })
		if reg, err = middleware.SameOrigin(reg, trusted...); err != nil {
			return nil, err
		}
	}
	reg, err := a.local(reg, hosts)
	if err != nil || len(p.origins) == 0 {
		return reg, err
	}
	return middleware.CORS(reg, &middleware.CORSOptions{Origins: p.origins})
}

// local protects a handler from pages of other host names if everybody may do everything, unless -insecure-open is set.
func (a *access) local(h http.Handler, hosts []string) (http.Handler, error) {
	if a.restricted() || a.insecureOpen {
		return h, nil
	}
	external, err := a.externalHost()
	if err != nil {
		return nil, err
	}
	return middleware.LocalHost(h, append(hosts[:len(hosts):len(hosts)], external)...), nil
}

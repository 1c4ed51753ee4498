package serve

import (
	"flag"
	"fmt"
	"net/http"
	"slices"

	"github.com/registrykit/registry/middleware"
)

// pages is what the flags say of web pages.
type pages struct {
	origins []string // whose pages may use the registry
}

func (p *pages) flags() {
	flag.Func("cors", "`origin` of web pages that may use the registry, such as https://ui.example, or * for all pages, "+
		"which may only read while everybody may do everything; may be repeated",
		func(origin string) error {
			p.origins = append(p.origins, origin)
			return nil
		})
}

// check refuses origins that are none.
func (p *pages) check() error {
	if _, err := middleware.CORS(http.NotFoundHandler(), &middleware.CORSOptions{Origins: p.origins}); err != nil {
		return fmt.Errorf("-cors: %w", err)
	}
	return nil
}

// around opens a registry to the pages of -cors, and protects it from all others: pages must not
// write, because rules may let anonymous callers do so. If everybody may do everything, pages must
// not reach the registry by a name of their own either, which only -insecure-open permits.
func (p *pages) around(reg http.Handler, a *access) (http.Handler, error) {
	anyPage := slices.Contains(p.origins, "*")
	if !a.restricted() || !anyPage {
		var err error
		trusted := slices.DeleteFunc(slices.Clone(p.origins), func(origin string) bool { return origin == "*" })
		if reg, err = middleware.SameOrigin(reg, trusted...); err != nil {
			return nil, err
		}
	}
	if !a.restricted() && !a.insecureOpen {
		external, err := a.externalHost()
		if err != nil {
			return nil, err
		}
		reg = middleware.LocalHost(reg, external)
	}
	if len(p.origins) == 0 {
		return reg, nil
	}
	return middleware.CORS(reg, &middleware.CORSOptions{Origins: p.origins})
}

package registry

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/reference"
)

// RouteInfo is a route as package registry_test sees it.
type RouteInfo struct {
	Method, Path string
	Kind         OpKind
}

// Routes returns all routes, each with a URL for the given repository, tag or digest, and upload. A
// route for tags and digests is listed for each of them. A POST is listed once for each of its
// meanings.
func Routes(repo, tag, digest, from, upload string) []RouteInfo {
	var all []RouteInfo
	for e, m := range newRoutes() {
		for _, method := range m.methods {
			for _, ref := range []string{tag, digest} {
				t := target{endpoint: endpoint(e), repo: repo, uploadID: upload}
				t.ref, _ = reference.ParseRef(ref)
				queries := []string{""}
				switch {
				case ref == tag && t.endpoint != endpointManifest:
					continue // only manifests have tags
				case t.endpoint == endpointManifest && method == http.MethodPut && ref == digest:
					queries = []string{"", "tag=" + tag + "&tag=x"}
				case t.endpoint == endpointUpload && method == http.MethodPut:
					queries = []string{"digest=" + digest}
				case t.endpoint == endpointUploads:
					queries = []string{"", "digest=" + digest, "mount=" + digest, "mount=" + digest + "&from=" + from}
				}
				for _, query := range queries {
					q, _ := url.ParseQuery(query)
					info := RouteInfo{Method: method, Path: strings.TrimSuffix(t.path()+"?"+query, "?")}
					if t.endpoint != endpointBase {
						op, err := m.byMethod[method].op(t, q)
						if err != nil {
							panic(err)
						}
						info.Kind = op.Kind
					}
					all = append(all, info)
				}
			}
		}
	}
	return all
}

// BeforePrefix returns the text after which a list of the names with a prefix begins.
var BeforePrefix = repositoryNames.below

// Guard is what ServeHTTP calls: the Backend of a Registry for an identity.
func Guard(r *Registry, identity auth.Identity) Backend { return &guard{r: r, identity: identity} }

// PlainErrorJSON and ErrorJSON are the two encoders of errors.
var AppendError, ErrorJSON = appendError, errorJSON

// Authorize is what a Guard does before an operation.
func Authorize(ctx context.Context, b Backend, op *Op) error { return b.(*guard).authorize(ctx, op) }

package registry

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/registrykit/registry/reference"
)

// RouteInfo is a route as the tests of this package's users' side see it.
type RouteInfo struct {
	Method, Path string
	Kind         OpKind
}

// Routes returns all routes with the URL that asks for the repository, tag or digest, and upload.
// Where a manifest may be named by both, each is listed, and so is each meaning of a POST.
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

// BeforePrefix is where a list of names with a prefix begins.
var BeforePrefix = repositoryNames.below

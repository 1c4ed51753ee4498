package embedding

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/go-chi/chi/v5"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/stretchr/testify/require"
)

// below is a RoundTripper that knows the prefix of the registry. It adds the prefix to the paths
// that the library makes, and leaves paths alone that have it: those come from Location and Link
// headers of the registry.
type below struct {
	prefix      string
	added, told atomic.Int64
}

func (b *below) RoundTrip(r *http.Request) (*http.Response, error) {
	if strings.HasPrefix(r.URL.Path, b.prefix+"/v2/") {
		b.told.Add(1)
		return http.DefaultTransport.RoundTrip(r)
	}
	b.added.Add(1)
	r = r.Clone(r.Context())
	r.URL.Path = b.prefix + r.URL.Path
	return http.DefaultTransport.RoundTrip(r)
}

// TestPrefix mounts the registry below a prefix, in the ways that the routers have for it.
func TestPrefix(t *testing.T) {
	for name, mount := range map[string]func(http.Handler) http.Handler{
		"mux": func(reg http.Handler) http.Handler {
			mux := http.NewServeMux()
			mux.Handle("/tools/registry/", http.StripPrefix("/tools/registry", reg))
			return mux
		},
		"mux in mux": func(reg http.Handler) http.Handler {
			inner, outer := http.NewServeMux(), http.NewServeMux()
			inner.Handle("/registry/", http.StripPrefix("/registry", reg))
			outer.Handle("/tools/", http.StripPrefix("/tools", inner))
			return outer
		},
		"chi": func(reg http.Handler) http.Handler {
			app := chi.NewRouter()
			app.Route("/tools", func(tools chi.Router) {
				tools.Mount("/registry", http.StripPrefix("/tools/registry", reg))
			})
			return app
		},
	} {
		t.Run(name, func(t *testing.T) {
			host, client := serve(t, mount(newRegistry(t, nil, nil))), &below{prefix: "/tools/registry"}
			get(t, "http://"+host+"/tools/registry/v2/", "{}")
			roundTrip(t, host, remote.WithTransport(client))
			require.Positive(t, client.added.Load())
			require.Positive(t, client.told.Load(), "no Location was followed")
		})
	}
}

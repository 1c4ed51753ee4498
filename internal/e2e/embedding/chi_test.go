package embedding

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/stretchr/testify/require"
)

// TestChi mounts the registry in a chi application with the middleware that such applications have.
func TestChi(t *testing.T) {
	var requests atomic.Int64
	app := chi.NewRouter()
	app.Use(middleware.RequestID, middleware.CleanPath, middleware.StripSlashes, middleware.GetHead)
	app.Use(middleware.Recoverer, middleware.Compress(5), middleware.Timeout(time.Minute))
	app.Use(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			requests.Add(1)
			wrapped := middleware.NewWrapResponseWriter(w, r.ProtoMajor) // as loggers and metrics do
			next.ServeHTTP(wrapped, r)
		})
	})
	app.Get("/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "the application") })
	app.Route("/api", func(api chi.Router) {
		api.Get("/users/{name}", func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, "user ",
				chi.URLParam(r, "name"))
		})
	})
	app.Mount("/v2", newRegistry(t, nil, nil))

	host := serve(t, app)
	get(t, "http://"+host+"/", "the application")
	get(t, "http://"+host+"/api/users/anna", "user anna")
	get(t, "http://"+host+"/v2/", "{}")
	before := requests.Load()
	roundTrip(t, host)
	require.Greater(t, requests.Load(), before+10)
}

// TestChiPassword mounts the registry in a part of an application that a password protects.
func TestChiPassword(t *testing.T) {
	app := chi.NewRouter()
	app.Group(func(inner chi.Router) {
		inner.Use(middleware.BasicAuth("application", map[string]string{"anna": "secret"}))
		inner.Mount("/v2", newRegistry(t, nil, nil))
	})
	host := serve(t, app)
	requireStatus(t, remote.Write(parse(t, host+"/team/app:one"), randomImage(t)), http.StatusUnauthorized)
	roundTrip(t, host, remote.WithAuth(&authn.Basic{Username: "anna", Password: "secret"}))
}

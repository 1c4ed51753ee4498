package embedding

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth"
	"github.com/stretchr/testify/require"
)

// sessions is the existing middleware of an application: it finds the session of a request, and
// puts it into the context. It is also the Authenticator and Authorizer of the registry.
type sessions map[string]string // token to user

type sessionKey struct{}

// middleware takes the token as a cookie from browsers, and as a password from registry clients.
func (s sessions) middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, token, _ := r.BasicAuth()
		if cookie, err := r.Cookie("session"); err == nil {
			token = cookie.Value
		}
		if user, ok := s[token]; ok {
			r = r.WithContext(context.WithValue(r.Context(), sessionKey{}, user))
		}
		next.ServeHTTP(w, r)
	})
}

// userOf returns the user of the session in a context, or "".
func userOf(ctx context.Context) string {
	user, _ := ctx.Value(sessionKey{}).(string)
	return user
}

func (s sessions) Authenticate(r *http.Request) (auth.Identity, error) {
	return auth.Identity{Name: userOf(r.Context())}, nil
}

func (s sessions) Challenge(*http.Request, []auth.Access) string { return `Basic realm="application"` }

// Authorize lets users do everything below their own name.
func (s sessions) Authorize(_ context.Context, who auth.Identity, accesses []auth.Access) error {
	for _, a := range accesses {
		if who.Anonymous() || a.Type != auth.TypeRepository || !strings.HasPrefix(a.Name, who.Name+"/") {
			return auth.ErrDenied
		}
	}
	return nil
}

// TestMuxWithSessions mounts the registry on a plain mux behind the middleware of the application.
// The context that the middleware made reaches the backend with every operation, also with writes,
// which do not end when the request does.
func TestMuxWithSessions(t *testing.T) {
	var mu sync.Mutex
	seen := map[registry.OpKind]string{}
	backend := registry.Intercept(openStore(t, t.TempDir()), func(ctx context.Context, op *registry.Op,
		next func(context.Context) error) error {
		mu.Lock()
		seen[op.Kind] = userOf(ctx)
		mu.Unlock()
		return next(ctx)
	})
	whose := func(kind registry.OpKind) string {
		mu.Lock()
		defer mu.Unlock()
		return seen[kind]
	}
	s := sessions{"token-of-team": "team", "token-of-bert": "bert"}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "user=%q",
			userOf(r.Context()))
	})
	mux.Handle("/v2/", newRegistry(t, backend, &registry.Options{Authenticator: s, Authorizer: s}))
	host := serve(t, s.middleware(mux))
	get(t, "http://"+host+"/", `user=""`)

	team := remote.WithAuth(&authn.Basic{Username: "team", Password: "token-of-team"})
	bert := remote.WithAuth(&authn.Basic{Username: "bert", Password: "token-of-bert"})
	roundTrip(t, host, team)
	for _, kind := range []registry.OpKind{
		registry.OpCreateUpload, registry.OpAppend, registry.OpCommit, registry.OpMountBlob, registry.OpPutManifest,
		registry.OpGetManifest, registry.OpOpenBlob, registry.OpTags, registry.OpDeleteTag,
	} {
		require.Equal(t, "team", whose(kind), kind)
	}

	mu.Lock()
	clear(seen)
	mu.Unlock()
	app := parse(t, host+"/team/app:two")
	_, err := remote.Image(app, bert)
	requireStatus(t, err, http.StatusForbidden)
	requireStatus(t, remote.Write(app, randomImage(t), bert), http.StatusForbidden)
	_, err = remote.Image(app)
	requireStatus(t, err, http.StatusUnauthorized)
	mu.Lock()
	defer mu.Unlock()
	require.Empty(t, seen, "what was refused did not reach the backend")
}

package site

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/auth/session"
	"github.com/registrykit/registry/auth/signin"
	"github.com/registrykit/registry/examples/internal/metrics"
	"github.com/registrykit/registry/web"
)

// signInPath is the path of the sign-in.
const signInPath = "/signin"

// openSignIn makes the sessions of people and their sign-in.
func (h *Hub) openSignIn(ctx context.Context) (err error) {
	c := h.config
	opts := &session.Options{Idle: c.SignIn.Idle, Absolute: c.SignIn.Longest, Error: h.report}
	if external, err := url.Parse(c.Server.ExternalURL); err == nil && external.Host != "" {
		opts.TrustedOrigins = []string{external.Scheme + "://" + external.Host}
	}
	if h.sessions, err = session.New(h.driver, h.people, opts); err != nil {
		return err
	}
	h.work = append(h.work, job{"removing ended sessions", h.sessions.Run})
	key, err := h.store.SharedSecret(ctx, "signin")
	if err != nil {
		return err
	}
	signedIn, err := metrics.SignIns(h.metrics)
	if err != nil {
		return err
	}
	own := "" // only providers need it
	if len(c.SignIn.Providers) > 0 {
		own = strings.TrimSuffix(c.Server.ExternalURL, "/") + signInPath
	}
	h.signIn, err = signin.New(h.people, h.sessions, key, &signin.Options{
		Passwords: h.logins, Providers: c.SignIn.Providers, URL: own, Home: pagePath,
		TrustedProxies: c.Server.TrustedProxies, PlainHTTP: c.Server.InsecureOpen,
		Fail: func(w http.ResponseWriter, r *http.Request, f signin.Failure) {
			h.page.SignInFailed(w, r, web.SignInFailure(f))
		},
		Audit: func(ctx context.Context, d auth.Decision) {
			signedIn(d)
			h.decided(ctx, d)
		},
		Error: h.report,
	})
	if err != nil || !c.Accounts.SignUp {
		return err
	}
	h.signUps, err = accounts.NewSignUps(h.people, &accounts.SignUpOptions{TrustedProxies: c.Server.TrustedProxies})
	return err
}

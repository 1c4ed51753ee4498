// Package gar is a login.Source for Google Artifact Registry and Container Registry. It is a module
// of its own, so that only programs that use it depend on golang.org/x/oauth2.
//
//	tokens, err := google.DefaultTokenSource(ctx, gar.Scope) // golang.org/x/oauth2/google
//	l, err := login.New("https://europe-docker.pkg.dev", &login.Options{Source: gar.Source(tokens)})
//
// The token service is at the host of the registry, so login.Options.Realms stays empty.
package gar

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/oauth2"

	"github.com/registrykit/registry/client/login"
)

const (
	// Scope is the scope that access tokens need to pull. To push, they need
	// https://www.googleapis.com/auth/cloud-platform.
	Scope = "https://www.googleapis.com/auth/cloud-platform.read-only"
	// username is the user whose password is an access token.
	username = "oauth2accesstoken"
)

// Source returns a Source of the access tokens of tokens, which must cache them, as those of package
// google do. It may be shared by several Logins. The context of a request does not end a call of
// tokens, which has the context that it was made with.
//
// Errors of the Source: those of tokens, without the body of a response.
func Source(tokens oauth2.TokenSource) login.Source {
	return func(context.Context, string) (login.Credentials, error) {
		t, err := tokens.Token()
		var refused *oauth2.RetrieveError
		switch {
		case errors.As(err, &refused) && refused.Response != nil:
			return login.Credentials{}, fmt.Errorf("gar: fetching an access token: status %d, %q",
				refused.Response.StatusCode, refused.ErrorCode)
		case err != nil:
			return login.Credentials{}, fmt.Errorf("gar: fetching an access token: %w", err)
		case t.AccessToken == "":
			return login.Credentials{}, errors.New("gar: the access token is empty")
		}
		return login.Credentials{Username: username, Password: login.Secret(t.AccessToken), Expires: t.Expiry}, nil
	}
}

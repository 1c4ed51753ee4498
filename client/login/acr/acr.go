// Package acr is a login.Source for Azure Container Registry. It is a module of its own, so that only
// programs that use it depend on the Azure SDK.
//
//	credential, err := azidentity.NewDefaultAzureCredential(nil)
//	l, err := login.New("https://example.azurecr.io", &login.Options{Source: acr.Source(credential, nil)})
//
// The Source exchanges a token of Microsoft Entra for a refresh token of the registry. The Login
// uses that one as an identity token. The token service is at the host of the registry, so
// login.Options.Realms stays empty.
package acr

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/containers/azcontainerregistry"

	"github.com/registrykit/registry/client/login"
)

const (
	// DefaultScope is the scope of tokens for registries in the public cloud.
	DefaultScope = "https://containerregistry.azure.net/.default"
	// username is the user whose password is a refresh token.
	username = "00000000-0000-0000-0000-000000000000"
	// period is the minimum time between two exchanges for a host.
	period = time.Minute
	// defaultLife is the lifetime of a refresh token that does not state it. It is three hours.
	defaultLife = time.Hour
)

// Options are the options of [Source]. nil means the zero Options.
type Options struct {
	// Scope is the scope of the token of Microsoft Entra. Default: DefaultScope.
	Scope string
	// Tenant is the tenant of the credential. Default: that of the registry.
	Tenant string
	// Endpoint is the URL that the exchange is sent to. Default: https:// and the host of the
	// registry, which must then be below azurecr.io, azurecr.cn or azurecr.us.
	Endpoint string
	// Client configures requests of the SDK. A Transport in it must not follow redirects. Default: one
	// that does not, over http.DefaultTransport.
	Client azcore.ClientOptions
}

// Source returns a Source of refresh tokens of a registry, which it gets for tokens of credential. It
// makes at most one exchange a minute for each host, and may be shared by several Logins.
//
// Errors of the Source: one for a host that is no registry of Azure; those of credential; one for an
// exchange that fails, without the body of the response.
func Source(credential azcore.TokenCredential, opts *Options) login.Source {
	var o Options
	if opts != nil {
		o = *opts
	}
	if o.Scope == "" {
		o.Scope = DefaultScope
	}
	if o.Client.Transport == nil {
		o.Client.Transport = once{}
	}
	return login.Cached(func(ctx context.Context, host string) (login.Credentials, error) {
		endpoint := o.Endpoint
		if endpoint == "" {
			if !isAzure(host) {
				return login.Credentials{}, fmt.Errorf("acr: %q is no registry of Azure", host)
			}
			endpoint = "https://" + host
		}
		t, err := credential.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{o.Scope}})
		if err != nil {
			return login.Credentials{}, fmt.Errorf("acr: %w", err)
		}
		refresh, err := exchange(ctx, endpoint, host, t.Token, &o)
		if err != nil {
			return login.Credentials{}, err
		}
		return login.Credentials{Username: username, IdentityToken: login.Secret(refresh), Expires: expiry(refresh)}, nil
	}, period)
}

// once sends a request without following redirects, which would send the token to another host. An
// http.Client with CheckRedirect is not an alternative: before it asks CheckRedirect, it rewinds the body,
// which the transport may still read.
type once struct{}

// Do implements policy.Transporter.
func (once) Do(r *http.Request) (*http.Response, error) { return http.DefaultTransport.RoundTrip(r) }

// isAzure reports whether a host is below a domain of the service.
func isAzure(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, ":443"))
	for _, domain := range []string{".azurecr.io", ".azurecr.cn", ".azurecr.us"} {
		if name, ok := strings.CutSuffix(host, domain); ok && name != "" && !strings.ContainsAny(name, "/?#@\\:") {
			return true
		}
	}
	return false
}

// exchange returns a refresh token of a registry for a token of Microsoft Entra.
func exchange(ctx context.Context, endpoint, host, token string, o *Options) (string, error) {
	c, err := azcontainerregistry.NewAuthenticationClient(endpoint,
		&azcontainerregistry.AuthenticationClientOptions{ClientOptions: o.Client})
	if err != nil {
		return "", fmt.Errorf("acr: %w", err)
	}
	opts := &azcontainerregistry.AuthenticationClientExchangeAADAccessTokenForACRRefreshTokenOptions{
		AccessToken: &token,
	}
	if o.Tenant != "" {
		opts.Tenant = &o.Tenant
	}
	res, err := c.ExchangeAADAccessTokenForACRRefreshToken(ctx,
		azcontainerregistry.PostContentSchemaGrantTypeAccessToken, host, opts)
	var refused *azcore.ResponseError
	switch {
	case errors.As(err, &refused):
		return "", fmt.Errorf("acr: exchanging a token: status %d, %q", refused.StatusCode, refused.ErrorCode)
	case err != nil:
		return "", fmt.Errorf("acr: exchanging a token: %w", err)
	case res.RefreshToken == nil || *res.RefreshToken == "":
		return "", errors.New("acr: the response has no refresh token")
	}
	return *res.RefreshToken, nil
}

// expiry returns when a refresh token ends: the claim exp of the JWT that it is. The registry
// verifies the token, so its signature does not matter here.
func expiry(token string) time.Time {
	var claims struct {
		Exp float64 `json:"exp"`
	}
	parts := strings.Split(token, ".")
	if len(parts) == 3 {
		payload, err := base64.RawURLEncoding.DecodeString(parts[1])
		if err == nil && json.Unmarshal(payload, &claims) == nil && claims.Exp > 0 && claims.Exp < 1e11 {
			return time.Unix(int64(claims.Exp), 0)
		}
	}
	return time.Now().Add(defaultLife)
}

// Package ecr is a login.Source for Amazon ECR. It is a module of its own, so that only programs
// that use it depend on the AWS SDK.
//
//	config, err := config.LoadDefaultConfig(ctx, config.WithRegion("eu-central-1"))
//	l, err := login.New("https://123456789012.dkr.ecr.eu-central-1.amazonaws.com", &login.Options{
//		Source: ecr.Source(awsecr.NewFromConfig(config)),
//	})
//
// The credentials of the SDK need the permission ecr:GetAuthorizationToken. ECR uses Basic, so
// login.Options.Realms stays empty. Public registries (public.ecr.aws) need no credentials.
package ecr

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecr"

	"github.com/registrykit/registry/client/login"
)

// period is the minimum time between two calls of the API for a host.
const period = time.Minute

// Source returns a Source of the passwords that ECR issues for 12 hours. The passwords are for all
// registries in the region of client that its credentials give access to. The Source calls the API
// at most once a minute for each host, and may be shared by several Logins.
//
// Errors of the Source: those of the API; one for a response without a password.
func Source(client *ecr.Client) login.Source {
	return login.Cached(func(ctx context.Context, _ string) (login.Credentials, error) {
		out, err := client.GetAuthorizationToken(ctx, &ecr.GetAuthorizationTokenInput{})
		if err != nil {
			return login.Credentials{}, fmt.Errorf("ecr: %w", err)
		}
		if len(out.AuthorizationData) == 0 || out.AuthorizationData[0].AuthorizationToken == nil {
			return login.Credentials{}, errors.New("ecr: the response has no token")
		}
		data := out.AuthorizationData[0]
		decoded, err := base64.StdEncoding.DecodeString(*data.AuthorizationToken)
		username, password, ok := strings.Cut(string(decoded), ":")
		if err != nil || !ok {
			return login.Credentials{}, errors.New("ecr: the token is malformed")
		}
		c := login.Credentials{Username: username, Password: login.Secret(password)}
		if data.ExpiresAt != nil {
			c.Expires = *data.ExpiresAt
		}
		return c, nil
	}, period)
}

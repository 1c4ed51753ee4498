package ecr_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecr "github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/client"
	"github.com/registrykit/registry/client/login"
	"github.com/registrykit/registry/client/login/ecr"
)

// newAPI returns the client of an API that responds with status and body.
func newAPI(t *testing.T, calls *int, respond func() (int, string)) *awsecr.Client {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*calls++
		require.Equal(t, "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken", r.Header.Get("X-Amz-Target"))
		require.Contains(t, r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 Credential=AKID/")
		status, body := respond()
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(server.Close)
	return awsecr.New(awsecr.Options{
		Region: "eu-central-1", BaseEndpoint: aws.String(server.URL), RetryMaxAttempts: 1,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "AKID", SecretAccessKey: "key"}, nil
		}),
	})
}

// answer is a response of the API with a password.
func answer(password string) string {
	return fmt.Sprintf(`{"authorizationData":[{"authorizationToken":%q,"expiresAt":%d.5,`+
		`"proxyEndpoint":"https://123456789012.dkr.ecr.eu-central-1.amazonaws.com"}]}`,
		base64.StdEncoding.EncodeToString([]byte("AWS:"+password)), time.Now().Add(12*time.Hour).Unix())
}

// TestSource pulls from a registry that behaves as ECR: it uses Basic, and says with 403 that a
// password has expired.
func TestSource(t *testing.T) {
	calls, refused := 0, 0
	api := newAPI(t, &calls, func() (int, string) { return 200, answer("secret") })
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch user, password, ok := r.BasicAuth(); {
		case !ok:
			refused++
			w.Header().Set("WWW-Authenticate", `Basic realm="https://`+r.Host+`/",service="ecr.amazonaws.com"`)
			w.WriteHeader(http.StatusUnauthorized)
		case user != "AWS" || password != "secret":
			w.WriteHeader(http.StatusForbidden)
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	defer server.Close()
	l, err := login.New(server.URL, &login.Options{Source: ecr.Source(api)})
	require.NoError(t, err)
	c, err := client.New(server.URL, &client.Options{Authorize: l.Authorize, Challenge: l.Challenge})
	require.NoError(t, err)
	for range 3 {
		_, err = c.StatBlob(t.Context(), "a", digest.FromString("x"), nil)
		require.ErrorIs(t, err, registry.ErrBlobUnknown)
	}
	require.Equal(t, 1, calls)
	require.Equal(t, 1, refused)
}

func TestSourceCredentials(t *testing.T) {
	calls := 0
	status, body := 200, answer("a:b")
	s := ecr.Source(newAPI(t, &calls, func() (int, string) { return status, body }))
	c, err := s(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, "AWS", c.Username)
	require.Equal(t, "a:b", c.Password.Value())
	require.WithinDuration(t, time.Now().Add(12*time.Hour), c.Expires, time.Minute)
	_, err = s(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, 1, calls)
	for _, body = range []string{`{}`, `{"authorizationData":[{}]}`, `{"authorizationData":[{"authorizationToken":"%"}]}`,
		`{"authorizationData":[{"authorizationToken":"c2VjcmV0"}]}`} {
		_, err = s(t.Context(), "b")
		require.ErrorContains(t, err, "ecr: the ", body)
	}
	status, body = 400, `{"__type":"UnrecognizedClientException","message":"The security token is invalid."}`
	_, err = s(t.Context(), "b")
	require.ErrorContains(t, err, "UnrecognizedClientException")
}

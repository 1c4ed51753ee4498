package registry_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/registrytest"
)

// TestNewErrorReachesTheClient: an error that a host defines reaches a Go caller and an HTTP
// client.
func TestNewErrorReachesTheClient(t *testing.T) {
	quota := registry.NewError("QUOTA_EXCEEDED", http.StatusForbidden, "the quota is used up")
	reg, err := registry.New(registrytest.NewStore(t), &registry.Options{Interceptors: []registry.Interceptor{
		func(context.Context, *registry.Op, func(context.Context) error) error {
			return quota.WithMessage("the quota of team a is used up").WithRetryAfter(time.Minute).
				WithCause(errors.New("secret"))
		},
	}})
	require.NoError(t, err)
	w := httptest.NewRecorder()
	reg.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/v2/a/tags/list", nil))
	require.Equal(t, http.StatusForbidden, w.Code)
	require.Equal(t, "60", w.Header().Get("Retry-After"))
	require.JSONEq(t, `{"errors":[{"code":"QUOTA_EXCEEDED","message":"the quota of team a is used up"}]}`, w.Body.String())

	copied := quota.WithCause(context.Canceled)
	require.ErrorIs(t, copied, quota)
	require.ErrorIs(t, copied, context.Canceled)
	require.Same(t, quota, copied.Sentinel())
	same := registry.NewError("QUOTA_EXCEEDED", http.StatusForbidden, "the quota is used up")
	require.NotErrorIs(t, copied, same)
	require.NotErrorIs(t, copied, registry.ErrDenied)
}

// TestNewErrorReplacesWhatCannotBeSent: NewError replaces invalid arguments by valid values.
func TestNewErrorReplacesWhatCannotBeSent(t *testing.T) {
	for status, want := range map[int]int{
		-1: 500, 0: 500, 100: 500, 200: 500, 399: 500, 400: 400, 451: 451, 599: 599, 600: 500,
	} {
		require.Equal(t, want, registry.NewError("X", status, "x").Status())
	}
	e := registry.NewError("", http.StatusUnavailableForLegalReasons, "")
	require.Equal(t, "UNKNOWN", e.Code())
	require.Equal(t, "Unavailable For Legal Reasons", e.Message())
}

// TestLogPathHidesUploadIDs: a log must not contain the ID of an upload, because a reader of the
// log could continue the upload with it.
func TestLogPathHidesUploadIDs(t *testing.T) {
	for path, want := range map[string]string{
		"/v2/a/blobs/uploads/secret-id": "/v2/a/blobs/uploads/<id>",
		"/v2/a/blobs/uploads/a/b":       "/v2/a/blobs/uploads/<id>",
		"/v2/a/blobs/uploads/":          "/v2/a/blobs/uploads/",
		"/v2/a/manifests/v1":            "/v2/a/manifests/v1",
	} {
		require.Equal(t, want, registry.LogPath(httptest.NewRequest(http.MethodPatch, path, nil)))
	}
}

// TestDeniedIsFinalForDocker: with the message of the CNCF registry and without a detail, docker retries a refused push
// five times.
func TestDeniedIsFinalForDocker(t *testing.T) {
	require.NotEqual(t, "requested access to the resource is denied", registry.ErrDenied.Message())
}

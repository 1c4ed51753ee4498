package registry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
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

// TestErrorJSON: the fast encoder of errors and encoding/json agree.
func TestErrorJSON(t *testing.T) {
	type one struct {
		Code    string `json:"code"`
		Message string `json:"message"`
		Detail  any    `json:"detail,omitempty"`
	}
	for _, row := range []struct {
		message string
		detail  any
		fast    bool
	}{
		{"no detail", nil, true},
		{"<html> & ~ ' are not escaped", map[string]string{"digest": "sha256:0"}, true},
		{`a "quoted" name`, nil, true},
		{`a \ backslash`, nil, true},
		{"a line\nbreak", nil, true},
		{"ünïcode \u2028", nil, true},
		{"delete \x7f", nil, true},
		{"invalid UTF-8 \xff", nil, true},
		{"escaped value", map[string]string{"tag": `"`}, true},
		{"escaped key", map[string]string{"\t": "x"}, true},
		{"two pairs", map[string]string{"a": "1", "b": "2"}, false},
		{"no pair", map[string]string{}, false},
		{"another type", map[string]int{"a": 1}, false},
		{"empty texts", map[string]string{"": ""}, true},
	} {
		e := registry.NewError("SOME_CODE", http.StatusConflict, row.message)
		if row.detail != nil {
			e = e.WithDetail(row.detail)
		}
		var want bytes.Buffer
		enc := json.NewEncoder(&want)
		enc.SetEscapeHTML(false)
		require.NoError(t, enc.Encode(map[string][]one{"errors": {{"SOME_CODE", row.message, row.detail}}}))
		require.Equal(t, strings.TrimSuffix(want.String(), "\n"), string(registry.ErrorJSON(e)), row.message)
		content, ok := registry.AppendError([]byte("before"), e)
		require.Equal(t, row.fast, ok, row.message)
		if ok {
			require.Equal(t, "before"+string(registry.ErrorJSON(e)), string(content), row.message)
		}
	}
}

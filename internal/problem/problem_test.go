package problem_test

import (
	"errors"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/problem"
)

func TestWrite(t *testing.T) {
	w := httptest.NewRecorder()
	problem.Write(w, registry.NewError("BUSY", 503, "not n\xffow").WithRetryAfter(1500*time.Millisecond).
		WithCause(errors.New("secret")))
	require.Equal(t, 503, w.Code)
	require.Equal(t, "2", w.Header().Get("Retry-After"))
	require.Equal(t, problem.Type, w.Header().Get("Content-Type"))
	require.JSONEq(t, `{"type":"about:blank","title":"Service Unavailable","status":503,"code":"BUSY",`+
		`"detail":"not n\ufffdow"}`, w.Body.String())
}

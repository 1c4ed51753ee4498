// Package problem writes errors as Problem Details (RFC 9457).
package problem

import (
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"strings"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/api/types"
)

// Type is the media type of Problem Details.
const Type = "application/problem+json"

// Write sends the response for an error, without its cause.
func Write(w http.ResponseWriter, e *registry.Error) {
	b, err := json.Marshal(types.Problem{Type: "about:blank", Title: http.StatusText(e.Status()), Status: e.Status(),
		Code: e.Code(), Detail: strings.ToValidUTF8(e.Message(), "\uFFFD")})
	if err != nil {
		panic(err) // the fields are texts and numbers
	}
	h := w.Header()
	RetryAfter(h, e)
	h.Set("Content-Type", Type)
	h.Set("Content-Length", strconv.Itoa(len(b)))
	w.WriteHeader(e.Status())
	_, _ = w.Write(b) // the client may be gone
}

// RetryAfter sets the header Retry-After, if the error says when to try again.
func RetryAfter(h http.Header, e *registry.Error) {
	if d := e.RetryAfter(); d > 0 {
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(d.Seconds()))))
	}
}

// Package wire lets handlers beside and around a registry refuse requests as the registry itself
// does.
package wire

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

// drainTimeout is how long net/http waits, before it answers, for the rest of a body that the
// handler has not read.
const drainTimeout = 5 * time.Second

// Refuse answers a request with an error in the JSON of the distribution spec, section "Error
// Codes". Clients show its message to their users. Caches do not keep the answer.
func Refuse(w http.ResponseWriter, r *http.Request, status int, code, message string) {
	list := []map[string]string{{"code": code, "message": message}}
	content, _ := json.Marshal(map[string]any{"errors": list}) // strings only: it cannot fail
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", strconv.Itoa(len(content)))
	h.Set("Content-Type", "application/json")
	h.Set("X-Content-Type-Options", "nosniff")
	BoundBody(w, r)
	w.WriteHeader(status)
	_, _ = w.Write(content)
}

// BoundBody bounds the time for which a body that the handler does not read can delay the answer.
// Without it, a client that announces a body and never sends it keeps the connection for ever. Call
// it right before each step that may answer: the time runs from the call.
func BoundBody(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor == 1 && r.Body != nil && r.Body != http.NoBody {
		// A ResponseWriter without deadlines cannot do it.
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(drainTimeout))
	}
}

// Package wire lets handlers beside and around a registry refuse requests in the form of the
// registry itself.
package wire

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

const (
	// drainTimeout is how long net/http waits for the rest of a body that the handler has not read,
	// before it responds.
	drainTimeout = 5 * time.Second
	// takeTimeout is how long a client may take to read a small response.
	takeTimeout = time.Minute
)

// Refuse sends an error in the JSON format of the distribution spec, section "Error Codes". Clients
// show its message to their users. Caches do not keep the response.
func Refuse(w http.ResponseWriter, r *http.Request, status int, code, message string) {
	list := []map[string]string{{"code": code, "message": message}}
	content, _ := json.Marshal(map[string]any{"errors": list}) // strings cannot fail
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", strconv.Itoa(len(content)))
	h.Set("Content-Type", "application/json")
	h.Set("X-Content-Type-Options", "nosniff")
	Bound(w, r)
	w.WriteHeader(status)
	_, _ = w.Write(content)
}

// Bound limits the time for which a client can hold up a small response, by a body that it
// announces and does not send, or by not reading the response. Without it, such a client keeps the
// connection for ever. Call Bound right before each step that may respond: the time runs from the
// call.
func Bound(w http.ResponseWriter, r *http.Request) { bound(w, r, drainTimeout, takeTimeout) }

// bound sets the deadlines. It has no effect on a ResponseWriter without deadlines. net/http
// removes the write deadline itself after the response.
func bound(w http.ResponseWriter, r *http.Request, drain, take time.Duration) {
	rc := http.NewResponseController(w)
	if r.ProtoMajor == 1 && r.Body != nil && r.Body != http.NoBody {
		_ = rc.SetReadDeadline(time.Now().Add(drain))
	}
	_ = rc.SetWriteDeadline(time.Now().Add(take))
}

// Package wire lets handlers beside and around a registry refuse requests as the registry itself
// does.
package wire

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

const (
	// drainTimeout is how long net/http waits, before it answers, for the rest of a body that the
	// handler has not read.
	drainTimeout = 5 * time.Second
	// takeTimeout is how long a client may take to read an answer, which is small.
	takeTimeout = time.Minute
)

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
	Bound(w, r)
	w.WriteHeader(status)
	_, _ = w.Write(content)
}

// Bound bounds the time for which a client can hold up a small answer: by a body that it announces
// and does not send, or by not reading the answer. Without it, such a client keeps the connection
// for ever. Call it right before each step that may answer: the time runs from the call.
func Bound(w http.ResponseWriter, r *http.Request) { bound(w, r, drainTimeout, takeTimeout) }

// bound does it by deadlines. A ResponseWriter without deadlines cannot be helped. After the
// answer, net/http itself removes the deadline for writes.
func bound(w http.ResponseWriter, r *http.Request, drain, take time.Duration) {
	rc := http.NewResponseController(w)
	if r.ProtoMajor == 1 && r.Body != nil && r.Body != http.NoBody {
		_ = rc.SetReadDeadline(time.Now().Add(drain))
	}
	_ = rc.SetWriteDeadline(time.Now().Add(take))
}

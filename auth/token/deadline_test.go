package token_test

import (
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// deadlines is a ResponseWriter that records the write deadline at the time when the header is sent.
type deadlines struct {
	*httptest.ResponseRecorder
	set, sent time.Time
}

func (d *deadlines) SetWriteDeadline(t time.Time) error { d.set = t; return nil }

func (d *deadlines) WriteHeader(status int) {
	d.sent = d.set
	d.ResponseRecorder.WriteHeader(status)
}

func (d *deadlines) Write(p []byte) (int, error) {
	d.sent = d.set
	return d.ResponseRecorder.Write(p)
}

// TestResponsesHaveADeadline: a client that does not read a response cannot hold its connection
// forever.
func TestResponsesHaveADeadline(t *testing.T) {
	tokens := newSite(t, ann, all, nil).tokens
	for _, request := range [][2]string{
		{"GET", ""}, {"GET", "?scope=x"}, {"GET", "?;"}, {"GET", "?service=other"}, {"POST", ""}, {"PUT", ""},
	} {
		w := &deadlines{ResponseRecorder: httptest.NewRecorder()}
		tokens.ServeHTTP(w, httptest.NewRequest(request[0], "/v2/token"+request[1], nil))
		require.WithinRange(t, w.sent, time.Now(), time.Now().Add(2*time.Minute), "%q", request)
	}
}

package token_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth"
)

// deadlines is a ResponseWriter that records the write deadline at the time when the header is sent.
type deadlines struct {
	*httptest.ResponseRecorder
	set, sent time.Time
	read      time.Time
}

func (d *deadlines) SetWriteDeadline(t time.Time) error { d.set = t; return nil }

func (d *deadlines) SetReadDeadline(t time.Time) error { d.read = t; return nil }

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

// TestFormDeadline: the time to send a form is limited, and that limit does not end a login that takes
// longer.
func TestFormDeadline(t *testing.T) {
	w := &deadlines{ResponseRecorder: httptest.NewRecorder()}
	slow := auth.AuthenticatorFunc(func(*http.Request) (auth.Identity, error) {
		require.Zero(t, w.read)
		return auth.Identity{Name: "ann"}, nil
	})
	body := reader(func() { require.WithinRange(t, w.read, time.Now(), time.Now().Add(time.Minute)) })
	r := httptest.NewRequest("POST", "/v2/token", io.MultiReader(body, strings.NewReader(password("a", "b").Encode())))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	newSite(t, slow, all, nil).tokens.ServeHTTP(w, r)
	require.Equal(t, 200, w.Code)
}

// reader is an empty Reader that calls a function when it is read.
type reader func()

func (r reader) Read([]byte) (int, error) {
	r()
	return 0, io.EOF
}

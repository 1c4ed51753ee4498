package webhook_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/notification/webhook"
)

// TestStatus: what each status means for the caller.
func TestStatus(t *testing.T) {
	server := newReceiver(t, func(w http.ResponseWriter, r *http.Request) {
		code, err := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/"))
		if err != nil {
			code = http.StatusTeapot
		}
		w.Header().Set("Location", "/200")
		w.WriteHeader(code)
	})
	retry := map[int]bool{401: true, 402: true, 403: true, 404: true, 405: true, 407: true, 408: true, 421: true,
		423: true, 424: true, 425: true, 429: true, 451: true}
	for code := 200; code < 600; code++ {
		if code == 452 {
			code = 499
		}
		err := local(t, server.URL+"/"+strconv.Itoa(code), nil).Notify(t.Context(), pushes(1))
		if code < 300 {
			require.NoError(t, err, code)
			continue
		}
		require.ErrorContains(t, err, "status "+strconv.Itoa(code))
		require.Equal(t, code == 410, errors.Is(err, notification.ErrGone), code)
		require.Equal(t, code >= 400 && code < 500 && code != 410 && !retry[code],
			errors.Is(err, notification.ErrRefused), code)
		require.Zero(t, notification.Delivered(err, 1))
	}
	for _, r := range server.all() {
		require.Equal(t, "registrykit-webhook/1", r.header.Get("User-Agent"))
	}
}

// TestRedirectIsNotFollowed: nothing is sent to where the receiver points at.
func TestRedirectIsNotFollowed(t *testing.T) {
	other := newReceiver(t, nil)
	for _, code := range []int{300, 301, 302, 303, 304, 307, 308} {
		server := newReceiver(t, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, other.URL, code)
		})
		err := local(t, server.URL, nil).Notify(t.Context(), pushes(1))
		require.Error(t, err)
		require.False(t, errors.Is(err, notification.ErrRefused))
		require.Len(t, server.all(), 1)
	}
	require.Empty(t, other.all())
}

// TestRetryAfter: the receiver says when to try again, within limits.
func TestRetryAfter(t *testing.T) {
	for _, c := range []struct {
		code  int
		value string
		limit time.Duration
		want  time.Duration // 0: the receiver said nothing
	}{
		{429, "120", 0, 2 * time.Minute}, {503, "1", 0, time.Second}, {502, "5", 0, 5 * time.Second},
		{504, "5", 0, 5 * time.Second}, {503, "99999999999999999999", 0, time.Hour}, {503, "7200", 0, time.Hour},
		{429, "7200", 3 * time.Hour, 2 * time.Hour}, {429, "3", time.Second, time.Second},
		{429, "", 0, 0}, {429, "0", 0, 0}, {429, "-5", 0, 0}, {429, "1.5", 0, 0}, {429, "soon", 0, 0},
		{500, "120", 0, 0}, {400, "120", 0, 0}, {429, "Mon, 01 Jan 2001 00:00:00 GMT", 0, 0},
		{429, "Fri, 31 Dec 2100 23:59:59 GMT", 0, time.Hour}, {301, "120", 0, 0},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", c.value)
			w.WriteHeader(c.code)
		}))
		err := local(t, server.URL, &webhook.Options{MaxRetryAfter: c.limit}).Notify(t.Context(), pushes(1))
		server.Close()
		var retry *notification.RetryError
		if c.want == 0 {
			require.NotErrorAs(t, err, &retry, "%d %s", c.code, c.value)
			continue
		}
		require.ErrorAs(t, err, &retry, "%d %s", c.code, c.value)
		require.Equal(t, c.want, retry.After, "%d %s", c.code, c.value)
	}
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"Mon, 30 Nov 2026 12:00:30 GMT":    30 * time.Second,
		"Monday, 30-Nov-26 12:01:00 GMT":   time.Minute,
		"Mon Nov 30 12:00:05 2026":         5 * time.Second,
		"Mon, 30 Nov 2026 11:59:59 GMT":    0,
		"Mon, 30 Nov 2026 25:59:59 GMT":    0,
		" 7 ":                              7 * time.Second,
		"00000000000000000000000000000003": 3 * time.Second,
	} {
		require.Equal(t, want, webhook.RetryAfter(value, now, time.Hour), value)
	}
}

package webhook_test

import (
	"context"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/notification/webhook"
)

// FuzzResponse sends any bytes as the response of a receiver: an attempt ends, only 2xx is a
// delivery, and errors are short, printable and without the secret, which the response may contain.
func FuzzResponse(f *testing.F) {
	const token = "hunter2-hunter2"
	for _, s := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "HTTP/1.0 204 \r\n\r\n", "HTTP/1.1 301 X\r\nLocation: /\r\n\r\n",
		"HTTP/1.1 429 X\r\nRetry-After: 120\r\n\r\n", "HTTP/1.1 503 X\r\nRetry-After: Fri, 31 Dec 2100 23:59:59 GMT\r\n\r\n",
		"HTTP/1.1 410 Gone\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
		"HTTP/1.1 100 C\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
		"HTTP/1.1 400 X\r\n\r\n" + token + "\x00\xff\u202e", "HTTP/1.1 101 X\r\nUpgrade: h\r\nConnection: upgrade\r\n\r\nx",
		"HTTP/2.0 200 OK\r\n\r\n", token, "", "HTTP/1.1 " + token + " OK\r\n\r\n",
		"HTTP/1.1 500 X\r\nContent-Length: " + token + "\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
		"HTTP/1.1 500 X\r\n\r\n" + strings.Repeat("é", 300),
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, response []byte) {
		var attempt webhook.Attempt
		w, err := webhook.New("http://ci.example/hook", &webhook.Options{
			Authorization: "Bearer " + auth.Secret(token), Timeout: 5 * time.Second,
			Observe: func(a webhook.Attempt) { attempt = a },
		})
		if err != nil {
			t.Fatal(err)
		}
		webhook.SetDial(w, func(context.Context, string, string) (net.Conn, error) {
			client, server := net.Pipe()
			go func() {
				defer server.Close()
				if request(server) == nil {
					_, _ = server.Write(response)
				}
			}()
			return client, nil
		})
		defer w.CloseIdleConnections()
		start := time.Now()
		err = w.Notify(context.Background(), pushes(1))
		if d := time.Since(start); d > 8*time.Second {
			t.Fatalf("an attempt of %s", d)
		}
		if delivered := attempt.Status >= 200 && attempt.Status < 300; delivered != (err == nil) {
			t.Fatalf("status %d, error %v", attempt.Status, err)
		}
		if err == nil {
			return
		}
		for _, text := range []string{err.Error(), attempt.Response} {
			if len(text) > 400 || !utf8.ValidString(text) || strings.ContainsAny(text, "\x00\r\n\u202e") ||
				strings.Contains(text, token) {
				t.Fatalf("%q", text)
			}
		}
		if d := notification.Delivered(err, 1); d != 0 {
			t.Fatal(d)
		}
	})
}

// FuzzRetryAfter: the time to wait is never negative, and never above the limit.
func FuzzRetryAfter(f *testing.F) {
	for _, s := range []string{"", "1", "-1", "00", "9223372036854775808", "Fri, 31 Dec 2100 23:59:59 GMT",
		"Mon Jan  1 00:00:00 0001", "Friday, 31-Dec-99 23:59:59 GMT"} {
		f.Add(s, int64(time.Hour))
	}
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, value string, limit int64) {
		limit = max(limit, 0)
		if d := webhook.RetryAfter(value, now, time.Duration(limit)); d < 0 || d > time.Duration(limit) {
			t.Fatal(value, d)
		}
	})
}

// FuzzVerify: no header and body without the secret is accepted.
func FuzzVerify(f *testing.F) {
	f.Add("msg_1", "1800000000", "v1,AAAA v1a,AAAA", []byte("{}"))
	_, public, err := webhook.NewKeyPair()
	if err != nil {
		f.Fatal(err)
	}
	v, err := webhook.NewVerifier([]auth.Secret{webhook.NewSecret(), auth.Secret(public)},
		&webhook.VerifierOptions{Tolerance: 1<<63 - 1})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, id, timestamp, signature string, body []byte) {
		h := http.Header{webhook.HeaderID: {id}, webhook.HeaderTimestamp: {timestamp}, webhook.HeaderSignature: {signature}}
		if v.Verify(h, body) == nil {
			t.Fatal("accepted")
		}
	})
}

package webhook

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/notification/format"
)

const (
	// maxResponse is the maximum size of the header of a response, and how much of its body is
	// read, in bytes.
	maxResponse = 64 << 10
	// maxRead is the maximum time to read the body of a response. Its status is known then, so the
	// rest only serves to keep the connection and to explain an error.
	maxRead = 2 * time.Second
)

// attemptError is the error of an attempt. Its text contains no secrets. It unwraps to the errors
// that callers look for only, because the texts of others may contain anything.
type attemptError struct {
	text string
	is   error
}

func (e *attemptError) Error() string { return e.text }

func (e *attemptError) Unwrap() error { return e.is }

// attempt sends one message and reports it.
func (w *Webhook) attempt(ctx context.Context, m format.Message) error {
	a := Attempt{URL: w.shown, ID: messageID(m.ID), Events: m.EventIDs, Started: time.Now()}
	err := w.post(ctx, m, &a)
	if w.opts.Observe != nil {
		a.Duration, a.Err = time.Since(a.Started), err
		w.opts.Observe(a)
	}
	return err
}

// post sends one message, and writes the status and the response into a.
func (w *Webhook) post(ctx context.Context, m format.Message, a *Attempt) error {
	ctx, cancel := context.WithTimeout(ctx, w.opts.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url.String(), bytes.NewReader(m.Body))
	if err != nil {
		return w.failed(err)
	}
	w.setHeader(req.Header, m, a)
	resp, err := w.client.RoundTrip(req)
	if err != nil {
		return w.failed(err)
	}
	defer resp.Body.Close()
	defer time.AfterFunc(maxRead, cancel).Stop()
	a.Status = resp.StatusCode
	switch {
	case resp.StatusCode >= 200 && resp.StatusCode < 300:
		_, _ = io.CopyN(io.Discard, resp.Body, maxResponse)
		return nil
	case resp.StatusCode == http.StatusSwitchingProtocols:
		// The body is the connection, whose reads do not end with ctx.
	default:
		body, _ := io.ReadAll(io.LimitReader(resp.Body, maxResponse)) // what arrived before an error explains enough
		a.Response = w.redact.text(string(body))
	}
	return w.refusal(resp, a.Response)
}

// refusal returns the error for a response that is not a delivery.
func (w *Webhook) refusal(resp *http.Response, body string) error {
	text := fmt.Sprintf("webhook: %s: status %d", w.shown, resp.StatusCode)
	if body != "" {
		text += ": " + body
	}
	err := &attemptError{text, outcome(resp.StatusCode)}
	if throttled(resp.StatusCode) {
		if d := retryAfter(resp.Header.Get("Retry-After"), time.Now(), w.opts.MaxRetryAfter); d > 0 {
			return &notification.RetryError{After: d, Err: err}
		}
	}
	return err
}

// setHeader sets the headers of one request.
func (w *Webhook) setHeader(h http.Header, m format.Message, a *Attempt) {
	for _, from := range []http.Header{w.header, m.Header} {
		for name, values := range from {
			h[name] = values
		}
	}
	timestamp := strconv.FormatInt(a.Started.Unix(), 10)
	h.Set("Content-Type", m.ContentType)
	h.Set(HeaderID, a.ID)
	h.Set(HeaderTimestamp, timestamp)
	if len(w.signers) == 0 {
		return
	}
	text := signed(a.ID, timestamp, m.Body)
	signatures := make([]string, len(w.signers))
	for i, sign := range w.signers {
		signatures[i] = sign(text)
	}
	h.Set(HeaderSignature, strings.Join(signatures, " "))
}

// failed returns the error of a request without a response.
func (w *Webhook) failed(err error) error {
	e := &attemptError{text: fmt.Sprintf("webhook: %s: %s", w.shown, w.redact.text(cause(err)))}
	for _, known := range []error{ErrAddress, context.DeadlineExceeded, context.Canceled} {
		if errors.Is(err, known) {
			e.is = known
		}
	}
	return e
}

// cause returns the text of an error without the addresses of the registry and of its name servers, which are often
// those of an internal network. The person who has chosen the URL may see the text.
func cause(err error) string {
	var name *net.DNSError
	var op *net.OpError
	switch {
	case errors.As(err, &name) && name.IsNotFound:
		return "lookup " + name.Name + ": no such host"
	case errors.As(err, &name) && name.IsTimeout:
		return "lookup " + name.Name + ": timeout"
	case errors.As(err, &name):
		return "lookup " + name.Name + ": failed"
	case errors.As(err, &op):
		remote := *op
		remote.Source = nil
		return remote.Error()
	}
	return err.Error()
}

// messageID returns an ID without a dot, which would make the signed text ambiguous.
func messageID(id string) string {
	ok := id != "" && len(id) <= 128 && strings.IndexFunc(id, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_'
	}) < 0
	if ok {
		return id
	}
	sum := sha256.Sum256([]byte(id))
	return "id_" + hex.EncodeToString(sum[:16])
}

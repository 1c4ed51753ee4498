package webhook

import (
	"crypto/ed25519"
	"crypto/hmac"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/internal/options"
)

// The headers of Standard Webhooks.
const (
	HeaderID        = "Webhook-Id"
	HeaderTimestamp = "Webhook-Timestamp"
	HeaderSignature = "Webhook-Signature"
)

var (
	// ErrSignature is returned for a request that is not signed, or not with a secret of the
	// [Verifier]. Answer with 401.
	ErrSignature = errors.New("webhook: no valid signature")
	// ErrTimestamp is returned for a request whose timestamp is missing or too far from the clock:
	// a recorded request that somebody sends again, or clocks that differ. Answer with 401.
	ErrTimestamp = errors.New("webhook: the timestamp is not close to the time")
)

// The defaults of [VerifierOptions].
const (
	DefaultTolerance = 5 * time.Minute
	DefaultMaxBody   = 1 << 20
)

// VerifierOptions are the options of [NewVerifier].
type VerifierOptions struct {
	// Tolerance is how far the timestamp of a request may be from the clock, in both directions.
	// Default: 5 minutes.
	Tolerance time.Duration
	// MaxBody is the maximum size of a body for [Verifier.Read], in bytes. Default: 1 MiB.
	MaxBody int64
}

// Verifier verifies requests for a receiver, from this package or any other sender that follows
// Standard Webhooks. It is safe for concurrent use.
type Verifier struct {
	opts      VerifierOptions
	symmetric [][]byte
	public    []ed25519.PublicKey
}

// NewVerifier returns a Verifier that accepts a request signed with any of the secrets: "whsec_"
// and a shared secret, or "whpk_" and a public key, both in base64. Two secrets accept requests
// during a rotation. Errors: no secret, an invalid secret, a negative option.
func NewVerifier(secrets []auth.Secret, opts *VerifierOptions) (*Verifier, error) {
	v := &Verifier{opts: options.Value(opts)}
	if v.opts.Tolerance < 0 || v.opts.MaxBody < 0 {
		return nil, errors.New("webhook: an option is negative")
	}
	if v.opts.Tolerance == 0 {
		v.opts.Tolerance = DefaultTolerance
	}
	if v.opts.MaxBody == 0 {
		v.opts.MaxBody = DefaultMaxBody
	}
	for i, s := range secrets {
		if err := v.add(s.Value()); err != nil {
			return nil, fmt.Errorf("webhook: secret %d: %w", i+1, err)
		}
	}
	if len(secrets) == 0 {
		return nil, errors.New("webhook: no secret")
	}
	return v, nil
}

func (v *Verifier) add(secret string) error {
	switch {
	case strings.HasPrefix(secret, symmetricPrefix):
		key, err := symmetricKey(secret)
		v.symmetric = append(v.symmetric, key)
		return err
	case strings.HasPrefix(secret, publicPrefix):
		key, err := publicKey(secret)
		v.public = append(v.public, key)
		return err
	case strings.HasPrefix(secret, privatePrefix):
		return errors.New("a private key is for the sender only; a receiver has the public key")
	}
	return fmt.Errorf("a secret begins with %q or %q", symmetricPrefix, publicPrefix)
}

// Read reads the body of a request and verifies it. The receiver then drops the request if it has
// handled one with the same [HeaderID] before, because senders repeat a request whose response was
// lost. Errors: those of [Verifier.Verify]; [http.MaxBytesError] for a body that is too large;
// errors of the connection.
func (v *Verifier) Read(r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, v.opts.MaxBody))
	if err != nil {
		return nil, fmt.Errorf("webhook: %w", err)
	}
	if err := v.Verify(r.Header, body); err != nil {
		return nil, err
	}
	return body, nil
}

// maxSignatures is the maximum number of signatures in a request that are looked at.
const maxSignatures = 16

// Verify verifies the headers of a request with its body, as it was received. Errors: [ErrSignature]
// and [ErrTimestamp].
func (v *Verifier) Verify(header http.Header, body []byte) error {
	id, timestamp := header.Get(HeaderID), header.Get(HeaderTimestamp)
	if id == "" {
		return fmt.Errorf("%w: no header %s", ErrSignature, HeaderID)
	}
	seconds, err := strconv.ParseUint(timestamp, 10, 40)
	if err != nil {
		return fmt.Errorf("%w: no valid header %s", ErrTimestamp, HeaderTimestamp)
	}
	if age := time.Since(time.Unix(int64(seconds), 0)); age.Abs() > v.opts.Tolerance {
		return ErrTimestamp
	}
	text := signed(id, timestamp, body)
	want := make([][]byte, len(v.symmetric))
	for i, key := range v.symmetric {
		want[i] = sum(key, text)
	}
	fields := strings.Fields(header.Get(HeaderSignature))
	for _, f := range fields[:min(len(fields), maxSignatures)] {
		version, encoded, _ := strings.Cut(f, ",")
		signature, err := base64.StdEncoding.DecodeString(encoded)
		if err == nil && v.accepts(version, signature, text, want) {
			return nil
		}
	}
	return ErrSignature
}

// accepts reports whether a signature is right. want has the right ones for the shared secrets.
func (v *Verifier) accepts(version string, signature, text []byte, want [][]byte) bool {
	switch version {
	case symmetricVersion:
		for _, w := range want {
			if hmac.Equal(w, signature) {
				return true
			}
		}
	case asymmetricVersion:
		for _, key := range v.public {
			if ed25519.Verify(key, text, signature) {
				return true
			}
		}
	}
	return false
}

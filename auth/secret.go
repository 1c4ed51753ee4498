package auth

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"
)

// Secret is a password, key or token. However it is printed, logged or encoded it is "***"; only
// [Secret.Value], and a conversion to string, tell. It is read from JSON and the like as any string
// is.
//
// Package fmt asks no methods of what is in an unexported field of a struct that is printed as a
// whole: keep a Secret in an exported one, or give the struct a String method. Package
// encoding/json writes keys of maps as they are: a Secret is for values.
type Secret string

// hidden is what is shown of a Secret.
const hidden = "***"

// Value returns the secret itself.
func (s Secret) Value() string { return string(s) }

// Equal reports whether given is the secret, in a time that depends on neither but for the length
// of given. An empty Secret equals nothing: one that was never set lets nobody in.
func (s Secret) Equal(given string) bool {
	want, got := sha256.Sum256([]byte(s)), sha256.Sum256([]byte(given))
	return subtle.ConstantTimeCompare(want[:], got[:]) == 1 && s != ""
}

// String implements [fmt.Stringer].
func (Secret) String() string { return hidden }

// GoString implements [fmt.GoStringer].
func (Secret) GoString() string { return hidden }

// Format implements [fmt.Formatter], for every verb and flag.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, hidden) }

// MarshalText implements [encoding.TextMarshaler].
func (Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// MarshalJSON implements [encoding/json.Marshaler].
func (Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + hidden + `"`), nil }

// LogValue implements [slog.LogValuer].
func (Secret) LogValue() slog.Value { return slog.StringValue(hidden) }

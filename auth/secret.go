package auth

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"
)

// Secret is a password, key or token that is printed, logged and encoded as "***". Only
// [Secret.Value] and a conversion to string reveal it. JSON and other formats decode it as any
// string.
//
// Two cases are not covered. Package fmt calls no methods on unexported fields of a struct, so keep
// a Secret in an exported field or give the struct a String method. Package encoding/json writes
// the keys of a map as they are, so use a Secret for values only.
type Secret string

// hidden is shown in place of a Secret.
const hidden = "***"

// Value returns the secret itself.
func (s Secret) Value() string { return string(s) }

// Equal reports whether given is the secret. The time it takes depends only on the lengths of the
// two. An empty Secret equals nothing, so a Secret that was never set accepts nobody.
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

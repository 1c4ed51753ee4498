package bearer

import "time"

// Remembered returns how many tokens a Verifier remembers.
func Remembered(v *Verifier) int { return v.verified.Len() }

// Read checks the claims of a payload, and reports whether they are accepted.
func Read(v *Verifier, payload []byte, now time.Time) bool {
	_, err := v.read(payload, now)
	return err == nil
}

// Forget makes a Verifier forget all tokens.
func Forget(v *Verifier) { v.verified = newCache() }

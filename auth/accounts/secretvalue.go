package accounts

import (
	"github.com/registrykit/registry/auth/internal/secretvalue"
)

// The payload of a secret is the ID of its owner and its own ID; see package secretvalue for the rest. So one read
// finds its object, and a text that is no secret costs no read.
const (
	userPrefix  = "rkp_"
	robotPrefix = "rkr_"

	secretIDLength = 10
	payloadLength  = idLength + secretIDLength
)

// newSecretID returns a new ID of a secret.
func newSecretID() string { return secretvalue.Random(secretIDLength) }

// newSecretValue returns a new secret.
func newSecretValue(k Kind, owner ID, id string) string {
	if k == Robot {
		return secretvalue.New(robotPrefix, string(owner)+id)
	}
	return secretvalue.New(userPrefix, string(owner)+id)
}

// ParseSecret returns the owner and the ID that a secret contains. ok is false if the text is no secret of this
// package: its prefix, length or checksum is wrong. The secret may still be unknown or revoked.
func ParseSecret(value string) (owner ID, id string, ok bool) {
	payload, ok := secretvalue.Parse(value, userPrefix, payloadLength)
	if !ok {
		payload, ok = secretvalue.Parse(value, robotPrefix, payloadLength)
	}
	if !ok {
		return "", "", false
	}
	return ID(payload[:idLength]), payload[idLength:], true
}

// validSecretID reports whether a text has the form of the ID of a secret, so that it can be part of a key.
func validSecretID(id string) bool { return len(id) == secretIDLength && secretvalue.IsText(id) }

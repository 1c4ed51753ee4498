package token

import (
	"crypto/sha256"

	"github.com/registrykit/registry/auth/internal/secretvalue"
)

// The payload of a refresh token is the hash of its subject and its ID; see package secretvalue for
// the rest. So one read finds its object, and a text that is no token costs no read.
const (
	valuePrefix = "rkf_"
	subjectLen  = 24
	idLen       = 16

	// refreshPrefix is the prefix of the keys of refresh tokens: t/<hash of the subject>/<ID>.
	refreshPrefix = "t/"
)

// newValue returns a new token of a subject, and its ID.
func newValue(subject string) (value, id string) {
	id = secretvalue.Random(idLen)
	return secretvalue.New(valuePrefix, subjectHash(subject)+id), id
}

// parseValue returns the key of the object of a token. ok is false for a text that is no token.
func parseValue(value string) (key string, ok bool) {
	payload, ok := secretvalue.Parse(value, valuePrefix, subjectLen+idLen)
	if !ok {
		return "", false
	}
	return refreshPrefix + payload[:subjectLen] + "/" + payload[subjectLen:], true
}

// validID reports whether a text has the form of an ID, so that it can be part of a key.
func validID(id string) bool { return len(id) == idLen && secretvalue.IsText(id) }

// subjectHash returns the part of a key that stands for a subject.
func subjectHash(subject string) string {
	sum := sha256.Sum256([]byte(subject))
	return secretvalue.Encode(sum[:])[:subjectLen]
}

// subjectPrefix returns the prefix of the keys of the tokens of a subject.
func subjectPrefix(subject string) string { return refreshPrefix + subjectHash(subject) + "/" }

package accounts

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
)

// The parameters of new passwords are those of the OWASP Password Storage Cheat Sheet for argon2id.
const (
	argonMemory  = 19 << 10 // KiB
	argonTime    = 2
	argonThreads = 1
	argonSalt    = 16
	argonHash    = 32
)

// The bounds of the parameters of stored hashes. Without them, the author of an imported file could make a login
// take any amount of memory and time.
const (
	maxArgonMemory  = 256 << 10 // KiB
	maxArgonTime    = 16
	maxArgonThreads = 16
	maxArgonText    = 256 // bytes
)

// errHash is returned for a text that is not a hash by argon2id, and for a hash that costs too much.
var errHash = errors.New("accounts: the hash of a password must be argon2id, as a PHC string within the bounds")

// argonParams are the parameters of argon2id, version 19 (RFC 9106). memory is in KiB.
type argonParams struct {
	memory, time uint32
	threads      uint8
	salt, hash   []byte
}

// newArgon returns the parameters of a new password, with a random salt.
func newArgon() argonParams {
	p := argonParams{memory: argonMemory, time: argonTime, threads: argonThreads, salt: make([]byte, argonSalt)}
	rand.Read(p.salt)
	return p
}

// derive returns the hash of a password by argon2id. Tests replace it in Accounts.derive.
func derive(p *argonParams, password string, size int) []byte {
	return argon2.IDKey([]byte(password), p.salt, p.time, p.memory, p.threads, uint32(size))
}

// String writes the parameters in the PHC string format, such as
// "$argon2id$v=19$m=19456,t=2,p=1$SALT$HASH".
func (p *argonParams) String() string {
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, p.memory, p.time, p.threads,
		base64.RawStdEncoding.EncodeToString(p.salt), base64.RawStdEncoding.EncodeToString(p.hash))
}

// parseArgon parses the result of String, or of another program that writes this format.
//
// Errors: errHash.
func parseArgon(text string) (p argonParams, err error) {
	parts := strings.Split(text, "$")
	if len(text) > maxArgonText || len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" {
		return argonParams{}, errHash
	}
	var version int
	_, verr := fmt.Sscanf(parts[2], "v=%d", &version)
	_, perr := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &p.memory, &p.time, &p.threads)
	var serr, herr error
	p.salt, serr = base64.RawStdEncoding.Strict().DecodeString(parts[4])
	p.hash, herr = base64.RawStdEncoding.Strict().DecodeString(parts[5])
	switch {
	case errors.Join(verr, perr, serr, herr) != nil, version != argon2.Version,
		p.time < 1, p.time > maxArgonTime, p.threads < 1, p.threads > maxArgonThreads,
		p.memory < 8*uint32(p.threads), p.memory > maxArgonMemory,
		len(p.salt) < 8, len(p.hash) < 16,
		p.String() != text:
		return argonParams{}, errHash
	}
	return p, nil
}

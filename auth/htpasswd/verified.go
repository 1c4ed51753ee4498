package htpasswd

// maxVerified is the maximum number of verified credentials that a File remembers.
const maxVerified = 20_000

// mac is an HMAC of credentials, of the address they were sent from, and of the hash that they were
// checked against. So an entry becomes useless when the line of the user changes.
type mac [32]byte

// isVerified reports whether credentials were verified before, so that bcrypt is not needed.
func (f *File) isVerified(m mac) bool {
	_, ok := f.verified.Get(m)
	return ok
}

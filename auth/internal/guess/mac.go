package guess

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"hash"
	"net/netip"
	"sync"
)

// mac is an HMAC-SHA256 of credentials and of the address of their sender. The Guard holds no credentials. A copy of
// MACs does not help to guess them without the key.
type mac [sha256.Size]byte

// macs computes MACs under a random key of this process.
type macs struct{ pool *sync.Pool }

func newMACs() macs {
	key := make([]byte, sha256.Size)
	rand.Read(key)
	return macs{&sync.Pool{New: func() any { return hmac.New(sha256.New, key) }}}
}

// of returns the MAC of a login for a purpose. Only the password may contain NUL.
func (m macs) of(purpose string, address netip.Prefix, user, password string) (sum mac) {
	var space [256]byte
	b := append(append(space[:0], purpose...), 0)
	b = append(address.AppendTo(b), 0)
	b = append(append(b, user...), 0)
	b = append(b, password...)
	h := m.pool.Get().(hash.Hash)
	h.Reset()
	h.Write(b)
	h.Sum(sum[:0])
	h.Reset()
	m.pool.Put(h)
	return sum
}

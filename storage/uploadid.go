package storage

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"time"

	"github.com/opencontainers/go-digest"
)

// token is what the id of an upload says: enough to begin one without writing anything. The id is
// signed together with the name of the repository and of the owner, so it works for nobody else and
// nowhere else.
type token struct {
	id      [16]byte
	created time.Time // to the second
	sha512  bool      // the algorithm that was announced; else sha256
	// uploadRecord.Seq of the record its holder knows of; 0 is none. If there is none later, the
	// upload has ended.
	seq uint32

	// unsure says that its holder has gone on without an answer to the first bytes. Their record
	// may yet be written again where the storage did not answer either: it is written on the
	// condition that there is none.
	unsure bool
}

const (
	tokenVersion = 2
	tokenPayload = 1 + 1 + 8 + 16 + 4
	tokenMAC     = 16
	tokenSHA512  = 1 << 0
	tokenUnsure  = 1 << 1
)

var errToken = errors.New("storage: not an upload id")

func newToken(alg digest.Algorithm) token {
	t := token{created: time.Now(), sha512: alg == digest.SHA512}
	rand.Read(t.id[:])
	return t
}

func (t token) name() string { return hex.EncodeToString(t.id[:]) }

func (t token) algorithm() digest.Algorithm {
	if t.sha512 {
		return digest.SHA512
	}
	return digest.SHA256
}

// sign returns the id.
func (s *Store) sign(t token, repo, owner string) string {
	b := make([]byte, 0, tokenPayload+tokenMAC)
	var flags byte
	if t.sha512 {
		flags |= tokenSHA512
	}
	if t.unsure {
		flags |= tokenUnsure
	}
	b = append(b, tokenVersion, flags)
	b = binary.BigEndian.AppendUint64(b, uint64(t.created.Unix()))
	b = append(b, t.id[:]...)
	b = binary.BigEndian.AppendUint32(b, t.seq)
	b = append(b, s.mac(b, repo, owner)...)
	return base64.RawURLEncoding.EncodeToString(b)
}

func (s *Store) mac(payload []byte, repo, owner string) []byte {
	h := hmac.New(sha256.New, s.secret)
	h.Write(payload)
	h.Write([]byte(repo))
	h.Write([]byte{0}) // no name has one
	h.Write([]byte(owner))
	return h.Sum(nil)[:tokenMAC]
}

// verify reads an id that sign has made for the same repository and owner.
func (s *Store) verify(id, repo, owner string) (token, error) {
	if len(id) != base64.RawURLEncoding.EncodedLen(tokenPayload+tokenMAC) {
		return token{}, errToken
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(id)
	if err != nil || len(b) != tokenPayload+tokenMAC || b[0] != tokenVersion {
		return token{}, errToken
	}
	if !hmac.Equal(b[tokenPayload:], s.mac(b[:tokenPayload], repo, owner)) {
		return token{}, errToken
	}
	t := token{
		sha512:  b[1]&tokenSHA512 != 0,
		unsure:  b[1]&tokenUnsure != 0,
		created: time.Unix(int64(binary.BigEndian.Uint64(b[2:])), 0),
		seq:     binary.BigEndian.Uint32(b[26:]),
	}
	copy(t.id[:], b[10:])
	return t, nil
}

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

// uploadID is what the id of an upload says: enough to begin one without writing anything. The id is
// signed together with the name of the repository and of the owner, so it works for nobody else and
// nowhere else.
type uploadID struct {
	random  [16]byte
	created time.Time // to the second
	sha512  bool      // the algorithm that was announced; else sha256
	// uploadRecord.Seq of the record its holder knows of; 0 is none. If there is none later, the
	// upload has ended.
	seq uint32

	// firstUnconfirmed says that its holder has gone on without an answer to the first bytes. Their record
	// may yet be written again where the storage did not answer either: it is written on the
	// condition that there is none.
	firstUnconfirmed bool
}

const (
	idVersion          = 2
	idPayload          = 1 + 1 + 8 + 16 + 4
	idMAC              = 16
	idSHA512           = 1 << 0
	idFirstUnconfirmed = 1 << 1
)

var errUploadID = errors.New("storage: not an upload id")

func newUploadID(alg digest.Algorithm) uploadID {
	id := uploadID{created: time.Now(), sha512: alg == digest.SHA512}
	rand.Read(id.random[:])
	return id
}

func (id uploadID) name() string { return hex.EncodeToString(id.random[:]) }

func (id uploadID) algorithm() digest.Algorithm {
	if id.sha512 {
		return digest.SHA512
	}
	return digest.SHA256
}

// sign returns the id.
func (s *Store) sign(id uploadID, repo, owner string) string {
	b := make([]byte, 0, idPayload+idMAC)
	var flags byte
	if id.sha512 {
		flags |= idSHA512
	}
	if id.firstUnconfirmed {
		flags |= idFirstUnconfirmed
	}
	b = append(b, idVersion, flags)
	b = binary.BigEndian.AppendUint64(b, uint64(id.created.Unix()))
	b = append(b, id.random[:]...)
	b = binary.BigEndian.AppendUint32(b, id.seq)
	b = append(b, s.mac(b, repo, owner)...)
	return base64.RawURLEncoding.EncodeToString(b)
}

func (s *Store) mac(payload []byte, repo, owner string) []byte {
	h := hmac.New(sha256.New, s.secret)
	h.Write(payload)
	h.Write([]byte(repo))
	h.Write([]byte{0}) // no name has one
	h.Write([]byte(owner))
	return h.Sum(nil)[:idMAC]
}

// verify reads an id that sign has made for the same repository and owner.
func (s *Store) verify(text, repo, owner string) (uploadID, error) {
	if len(text) != base64.RawURLEncoding.EncodedLen(idPayload+idMAC) {
		return uploadID{}, errUploadID
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(b) != idPayload+idMAC || b[0] != idVersion {
		return uploadID{}, errUploadID
	}
	if !hmac.Equal(b[idPayload:], s.mac(b[:idPayload], repo, owner)) {
		return uploadID{}, errUploadID
	}
	id := uploadID{
		sha512:           b[1]&idSHA512 != 0,
		firstUnconfirmed: b[1]&idFirstUnconfirmed != 0,
		created:          time.Unix(int64(binary.BigEndian.Uint64(b[2:])), 0),
		seq:              binary.BigEndian.Uint32(b[26:]),
	}
	copy(id.random[:], b[10:])
	return id, nil
}

package storage

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash"
	"time"

	"github.com/opencontainers/go-digest"
)

// uploadID is the content of the ID of an upload. It is enough to begin an upload without writing
// anything. The ID is signed together with the name of the repository and of the owner, so it is
// valid only for that repository and that owner.
type uploadID struct {
	random  [16]byte  // identifies the upload
	created time.Time // to the second
	sha512  bool      // the announced algorithm is sha512; otherwise it is sha256
	// seq is uploadRecord.Seq of the record that the holder of the ID knows; 0 means no record. If
	// seq is not 0 and there is no record, the upload has ended.
	seq uint32

	// firstUnconfirmed says that the holder of the ID has continued without a response to the first
	// bytes. If the storage has not responded to the first write of the record either, that write
	// may still be repeated: its condition is that there is no record.
	firstUnconfirmed bool
}

// The format of an ID, before base64: version, flags, created, random, seq, MAC.
const (
	idVersion          = 2
	idPayload          = 1 + 1 + 8 + 16 + 4
	idMAC              = 16
	idSHA512           = 1 << 0
	idFirstUnconfirmed = 1 << 1
)

// errUploadID is returned for a text that is not the ID of an upload, or is one of another
// repository or owner.
var errUploadID = errors.New("storage: invalid ID of an upload")

// newUploadID returns the ID of a new upload.
func newUploadID(alg digest.Algorithm) uploadID {
	id := uploadID{created: time.Now(), sha512: alg == digest.SHA512}
	rand.Read(id.random[:])
	return id
}

// name returns the name of the upload in the keys of its objects.
func (id uploadID) name() string { return hex.EncodeToString(id.random[:]) }

// algorithm returns the announced algorithm.
func (id uploadID) algorithm() digest.Algorithm {
	if id.sha512 {
		return digest.SHA512
	}
	return digest.SHA256
}

// sign returns the text of an ID.
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

// mac returns the MAC of an ID for a repository and an owner.
func (s *Store) mac(payload []byte, repo, owner string) []byte {
	h, ok := s.macs.Get().(hash.Hash)
	if ok {
		h.Reset()
	} else {
		h = hmac.New(sha256.New, s.secret)
	}
	defer s.macs.Put(h)
	h.Write(payload)
	h.Write([]byte(repo))
	h.Write([]byte{0}) // separates the two, as no name of a repository contains it
	h.Write([]byte(owner))
	return h.Sum(nil)[:idMAC]
}

// verify parses the text of an ID that sign has made for the same repository and owner.
//
// Errors: errUploadID.
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

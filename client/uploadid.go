package client

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"net/url"
	"strings"
)

// The id of an upload is its Location at the registry, authenticated together with the repository
// and the owner: the registry itself knows of no owner but the client's own. So nobody can use the
// id of another, or have the client send requests to URLs of their choice. It consists of
//
//	16 bytes   MAC
//	 8 bytes   random: the name of the upload, since the Location, and what the registry calls it, may change
//	 1 byte    1 if anything has been received: registries say the same of an upload that has nothing and of one that has one byte
//	 1 byte    how the Location is written: shortened by the URL of the uploads of the repository, or as path and query
//	           the Location
const (
	macSize    = 16
	nameSize   = 8
	flagAt     = macSize + nameSize
	formAt     = flagAt + 1
	headSize   = formAt + 1
	shortForm  = 's'
	wholeForm  = 'w'
	maxIDBytes = 8 << 10

	// maxLocation is how many bytes the path and query of a Location may have, so that an id holds
	// them.
	maxLocation = maxIDBytes/4*3 - headSize
)

var errID = errors.New("client: not an upload id")

// uploadsPath is the path below which registries that follow the examples of the spec have the
// uploads of a repository.
func (u *upload) uploadsPath() string { return u.c.base.Path + "/v2/" + u.repo + "/blobs/uploads/" }

// ID implements [registry.Upload]. Of a registry with long Locations it is longer than 255
// characters, and can be resumed here but not by HTTP from a registry in front of this client.
func (u *upload) ID() string {
	b := make([]byte, headSize, 128)
	copy(b[macSize:], u.name[:])
	if u.size > 0 {
		b[flagAt] = 1
	}
	where := u.loc.RequestURI()
	b[formAt] = wholeForm
	if short, ok := strings.CutPrefix(where, u.uploadsPath()); ok {
		where, b[formAt] = short, shortForm
	}
	b = append(b, where...)
	copy(b, u.mac(b[macSize:]))
	return base64.RawURLEncoding.EncodeToString(b)
}

// Name implements [registry.Upload].
func (u *upload) Name() string { return hex.EncodeToString(u.name[:]) }

// restore sets where the upload with an id is.
//
// Errors: errID if the id was not made by ID for the same repository and owner.
func (u *upload) restore(id string) error {
	if len(id) > maxIDBytes {
		return errID
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(id)
	if err != nil || len(b) < headSize || strings.ContainsAny(id, "\r\n") || !hmac.Equal(b[:macSize], u.mac(b[macSize:])) {
		return errID
	}
	where := string(b[headSize:])
	if b[formAt] == shortForm {
		where = u.uploadsPath() + where
	}
	ref, err := url.ParseRequestURI(where)
	if err != nil {
		return errID
	}
	loc := u.c.base.ResolveReference(ref)
	if !u.c.mayBeUpload(loc) {
		return errID
	}
	u.loc, u.size = loc, int64(b[flagAt])
	copy(u.name[:], b[macSize:])
	return nil
}

func (u *upload) mac(payload []byte) []byte {
	h := hmac.New(sha256.New, u.c.opts.UploadKey)
	for _, part := range []string{u.c.base.String(), u.repo, u.owner, string(payload)} {
		_ = binary.Write(h, binary.BigEndian, uint64(len(part))) // a hash takes everything
		h.Write([]byte(part))
	}
	return h.Sum(nil)[:macSize]
}

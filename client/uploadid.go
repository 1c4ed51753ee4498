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

// An upload id contains the upload's Location at the registry and a MAC over the Location, the
// repository and the owner, because the registry knows only the client itself as owner. So no
// caller can use the id of another owner, or make the client send requests to a URL of their
// choice. An id consists of
//
//	16 bytes   MAC
//	 8 bytes   random: the name of the upload, because the Location may change
//	 1 byte    1 if any byte was received; responses do not tell none from one
//	 1 byte    form of the Location: relative to uploadsPath, or path and query
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

	// maxLocation is the maximum length, in bytes, of the path and query of a Location that fits
	// into an id.
	maxLocation = maxIDBytes/4*3 - headSize
)

var errID = errors.New("client: not an upload id")

// uploadsPath returns the path of a repository's uploads at registries that follow the examples of
// the spec.
func (u *upload) uploadsPath() string { return u.c.base.Path + "/v2/" + u.repo + "/blobs/uploads/" }

// ID implements [registry.Upload]. If the registry's Locations are long, the id is longer than 255
// characters. Such an id can be resumed here, but not over HTTP through a registry in front of this
// client.
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

// restore sets the location, size and name of the upload from its id.
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
		_ = binary.Write(h, binary.BigEndian, uint64(len(part))) // writing to a hash never fails
		h.Write([]byte(part))
	}
	return h.Sum(nil)[:macSize]
}

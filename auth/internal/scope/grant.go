package scope

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"

	"github.com/registrykit/registry/auth"
)

// Grant is a scope in a token, in the format of the tokens of the CNCF registry.
type Grant struct {
	Type    string        `json:"type"`
	Class   string        `json:"class,omitempty"`
	Name    string        `json:"name"`
	Actions []auth.Action `json:"actions"`
}

// Grants are the scopes of a token, as a list or, if the list would make the token too long, as
// hashes. They are the fields of the tokens of package auth/token.
type Grants struct {
	Access []Grant `json:"access"`
	// Hashes is used instead of Access, see [Hash].
	Hashes []byte `json:"access_hashes,omitempty"`
}

// Check returns auth.ErrScope unless the grants cover all the accesses. A grant for the catalog also
// covers a pull that is asked for together with the catalog, because that pull decides whether the
// list may contain a name.
func (g Grants) Check(accesses []auth.Access) error {
	catalog := auth.Access{Type: auth.TypeRegistry, Name: auth.NameCatalog, Action: auth.All}
	listed := slices.Contains(accesses, catalog) && g.covers(catalog)
	for _, a := range accesses {
		if !g.covers(a) && !(listed && a.Action == auth.Pull) {
			return auth.ErrScope
		}
	}
	return nil
}

// covers reports whether the grants suffice for an access. A grant has no tag, and a grant for push
// covers overwrite: the Authorizer decides about tags and overwriting.
func (g Grants) covers(a auth.Access) bool {
	action := a.Action
	if action == auth.Overwrite {
		action = auth.Push
	}
	for _, one := range g.Access {
		if one.Type == a.Type && one.Name == a.Name && slices.Contains(one.Actions, action) {
			return true
		}
	}
	return len(g.Hashes) > 0 && coveredByHash(g.Hashes, a.Type, a.Name, action)
}

const (
	// hashedSize is the number of bytes of a hashed grant: 44 bits of a hash of type and name, and
	// 4 bits for the actions.
	hashedSize = 6
	// HashedInToken is the minimum number of bytes that a hashed grant adds to a token, in which it
	// is encoded in base64 twice.
	HashedInToken = hashedSize * 16 / 9
)

// hashedAction returns the bit of an action in a hashed grant, or 0 for an action that grants do
// not have.
func hashedAction(a auth.Action) uint64 {
	switch a {
	case auth.Pull:
		return 1
	case auth.Push:
		return 2
	case auth.Delete:
		return 4
	case auth.All:
		return 8
	}
	return 0
}

// Hash returns the grants in a form whose length does not depend on names, so that a token
// can cover hundreds of repositories. A collision of two hashes is harmless, because grants only
// narrow what the Authorizer allows.
func Hash(list []Grant) []byte {
	hashes := make([]byte, 0, len(list)*hashedSize)
	for _, g := range list {
		h := hashThing(g.Type, g.Name)
		for _, a := range g.Actions {
			h |= hashedAction(a)
		}
		hashes = append(hashes, binary.BigEndian.AppendUint64(nil, h<<16)[:hashedSize]...)
	}
	return hashes
}

// coveredByHash reports whether one of the hashed grants covers an action.
func coveredByHash(hashes []byte, kind, name string, action auth.Action) bool {
	want, bit := hashThing(kind, name), hashedAction(action)
	for chunk := range slices.Chunk(hashes, hashedSize) {
		var b [8]byte
		copy(b[:], chunk)
		h := binary.BigEndian.Uint64(b[:]) >> 16
		if h&^0xf == want && h&bit != 0 {
			return true
		}
	}
	return false
}

// hashThing returns 44 bits of the hash of a type and a name. The four low bits are left to the
// actions.
func hashThing(kind, name string) uint64 {
	sum := sha256.Sum256([]byte(kind + ":" + name))
	return binary.BigEndian.Uint64(sum[:]) >> 16 &^ 0xf
}

package registry

import (
	"strings"

	"github.com/registrykit/registry/reference"
)

// nameKind describes the names in a list.
type nameKind struct {
	invalid *Error // returned for a malformed name in a request
	check   func(name string) error
	bytes   string // allowed in names, in ascending order; "z" is the greatest
	max     int    // maximum length in bytes
}

var (
	repositoryNames = &nameKind{
		invalid: ErrNameInvalid, check: reference.CheckName, max: reference.MaxNameLength,
		bytes: "-./0123456789_abcdefghijklmnopqrstuvwxyz",
	}
	tagNames = &nameKind{
		invalid: ErrTagInvalid, check: reference.CheckTag, max: reference.MaxTagLength,
		bytes: "-.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz",
	}
)

// after returns the name after which the names greater than s begin: s itself if it is a name, and
// otherwise the greatest name less than s. Backends require a name that could exist.
func (k *nameKind) after(s string) string {
	if k.check(s) == nil {
		return s
	}
	return k.below(s)
}

// below returns the greatest name less than s, or "" if there is none. Such a name is either a
// prefix of s, or it shares a prefix with s, continues with a lesser byte, and is then as great and
// long as a name can be.
func (k *nameKind) below(s string) string {
	n := 0
	for n < min(len(s), k.max) && strings.IndexByte(k.bytes, s[n]) >= 0 {
		n++
	}
	for ; n >= 0; n-- {
		head := s[:n]
		if n < len(s) && n < k.max {
			for i := len(k.bytes) - 1; i >= 0; i-- {
				if k.bytes[i] >= s[n] {
					continue
				}
				if name := head + k.bytes[i:i+1] + strings.Repeat("z", k.max-n-1); k.check(name) == nil {
					return name
				}
			}
		}
		if n < len(s) && k.check(head) == nil {
			return head
		}
	}
	return ""
}

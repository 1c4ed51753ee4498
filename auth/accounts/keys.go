package accounts

import "github.com/registrykit/registry/auth/internal/secretvalue"

// prefix is the prefix of the keys of all facts; docs/layout.md lists them:
//
//	w/n/<skeleton>          name of a user or organisation: which account it belongs to
//	w/g/<skeleton>          hint: the name may be that of an organisation
//	w/b/<namespace>/<name>  name of a robot
//	w/u/<id>                account
//	w/p/<id>                password
//	w/s/<owner>/<secret>    secret
//	w/l/<owner>             last uses of the secrets of an account (approximate)
//	w/t/<org>/<team>        team, by its name
//	w/m/<org>/<user>        membership of a user
//	w/o/<user>/<org>        hint: the user may be a member
//	w/r/<R>                 repository
//	w/x/<subject>           link of a person at a provider; <subject> is a hash
//	w/i/<user>/<subject>    hint: the user may have this link
//	w/admins                admins
//	w/setup                 setup token
const prefix = "w/"

func nameKey(skeleton string) string { return prefix + "n/" + skeleton }
func accountKey(id ID) string        { return prefix + "u/" + string(id) }
func passwordKey(id ID) string       { return prefix + "p/" + string(id) }

// robotKey returns the key of the name record of a robot. name is the part after "+".
func robotKey(namespace ID, name string) string {
	return prefix + "b/" + string(namespace) + "/" + name
}

const setupKey = prefix + "setup"

// idLength is the length of an ID, in characters of 5 bits.
const idLength = 16

// newID returns a new random ID.
func newID() ID { return ID(secretvalue.Random(idLength)) }

// idOf returns 80 bits in the form of an ID.
func idOf(b [10]byte) ID { return ID(secretvalue.Encode(b[:])) }

// validID reports whether a text has the form of an ID, so that it can be part of a key.
func validID(id ID) bool { return len(id) == idLength && secretvalue.IsText(string(id)) }

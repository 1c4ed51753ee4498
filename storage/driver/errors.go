package driver

import (
	"errors"
	"io/fs"
)

// Errors a [Driver] returns, to be tested for with [errors.Is]. Any other error means that the
// storage could not be asked or did not answer; nothing is concluded from it.
var (
	// ErrNotExist: there is no object at the key.
	ErrNotExist = fs.ErrNotExist
	// ErrExist: PutOptions.IfAbsent, and there is an object.
	ErrExist = fs.ErrExist
	// ErrChanged: a condition on a version does not hold, because the object is another one by now,
	// or gone.
	ErrChanged = errors.New("storage: object has changed")
	// ErrNotModified: OpenOptions.IfNotVersion, and the object still has that version.
	ErrNotModified = errors.New("storage: object is not modified")
	// ErrNoSpace: the storage is full or a quota of its own is used up.
	ErrNoSpace = errors.New("storage: no space left")
	// ErrKey: the key is not one a Driver must accept, see [ValidKey].
	ErrKey = errors.New("storage: invalid key")
	// ErrUnavailable: the storage asks to be asked later (throttling, a lost connection, a server
	// error).
	ErrUnavailable = errors.New("storage: unavailable")
)

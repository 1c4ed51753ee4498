package driver

import (
	"errors"
	"io/fs"
)

// Errors that a [Driver] returns, alone or wrapped. Callers test for them with [errors.Is]. Any
// other error means that the call failed for an unknown reason: the caller then assumes nothing
// about the object.
var (
	// ErrNotExist is returned when there is no object at the key.
	ErrNotExist = fs.ErrNotExist
	// ErrExist is returned by a Put with IfAbsent when there is an object at the key.
	ErrExist = fs.ErrExist
	// ErrChanged is returned when a condition on a version does not hold: the object has another
	// version, or it is gone.
	ErrChanged = errors.New("driver: object has changed")
	// ErrNotModified is returned by an Open with IfNotVersion when the object has that version.
	ErrNotModified = errors.New("driver: object is not modified")
	// ErrNoSpace is returned when the storage is full or its quota is used up.
	ErrNoSpace = errors.New("driver: no space left")
	// ErrKey is returned when a key does not satisfy ValidKey, when a prefix does not satisfy
	// ValidPrefix, or when the storage cannot hold the key beside another one.
	ErrKey = errors.New("driver: invalid key")
	// ErrUnavailable is returned by any method for a failure that may pass: throttling, a lost
	// connection, an error of the server, a missing permission. It does not say whether a Put or
	// Delete has made its change. The caller may try again later. A Driver that cannot read the
	// storage must not return ErrNotExist instead: the registry would take the object for removed.
	ErrUnavailable = errors.New("driver: unavailable")
)

// IsConflict reports whether a conditional Put or Delete failed because another writer has changed
// the object since it was read: err is [ErrExist] or [ErrChanged].
func IsConflict(err error) bool { return errors.Is(err, ErrExist) || errors.Is(err, ErrChanged) }

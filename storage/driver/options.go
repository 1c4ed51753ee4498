package driver

import "time"

// Info describes one object.
type Info struct {
	// Key is the object's key.
	Key string
	// Size is the number of its bytes.
	Size int64
	// ModTime is when it was put, by the clock of the storage. In the Info that Put returns it may
	// be zero, where the storage does not tell.
	ModTime time.Time
	// Version identifies this state of the object, see [Driver].
	Version string
}

// Durability says what becomes of the object of a Put if power is lost right after the Put has
// returned. Every one of them survives the end or kill of the process.
type Durability int

const (
	// Durable: the object is there. The default.
	Durable Durability = iota
	// Deferred: as Durable once its key has been given to Sync. Until then the object may be
	// absent, empty or cut short, but an object it replaced is not lost: that one is then there
	// instead.
	Deferred
	// Relaxed: the object may be absent, empty or cut short, and so may the one that it replaced,
	// until Sync.
	Relaxed
)

// PutOptions are the options of [Driver.Put]. IfAbsent and IfVersion exclude each other.
type PutOptions struct {
	// IfAbsent stores only if there is no object at the key; else ErrExist.
	IfAbsent bool
	// IfVersion, unless "", stores only if the object at the key has this version; else ErrChanged.
	IfVersion string
	// Durability is what the Put owes on return. Default: Durable.
	Durability Durability
	// Size is a hint at the number of bytes body will yield; 0 means not known. It may be wrong.
	Size int64
}

// OpenOptions are the options of [Driver.Open].
type OpenOptions struct {
	// Offset is the first byte wanted. Beyond the end there is nothing to read, which is not an
	// error.
	Offset int64
	// Length is how many bytes the caller will read; 0 means up to the end.
	Length int64
	// IfNotVersion, unless "", answers ErrNotModified if the object has this version.
	IfNotVersion string
}

// ListOptions are the options of [Driver.List].
type ListOptions struct {
	// After leaves out keys that are not greater than it, in byte order. It need not be a key, nor
	// begin with the prefix.
	After string
	// KeysOnly allows a Driver to leave all of Info but Key empty, where the rest would cost more.
	KeysOnly bool
	// PageHint is how many elements the caller expects to take; 0 means that it does not know. Any
	// number may be taken.
	PageHint int
}

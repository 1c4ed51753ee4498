package driver

import "time"

// Info describes one object.
type Info struct {
	// Key is the key of the object.
	Key string
	// Size is the size of the object, in bytes.
	Size int64
	// ModTime is the time of the Put, by the clock of the storage. Put may return a zero ModTime if
	// the storage does not report it in the response to a write; Open, Stat and List report it. The
	// registry compares it with the clock of its process to find out how old content is, so the two
	// clocks must roughly agree.
	ModTime time.Time
	// Version identifies this state of the object, see [Driver].
	Version string
}

// Durability is what a Put guarantees if power is lost right after it has returned. With every
// Durability, the object survives the end or the kill of the process.
//
// Deferred and Relaxed allow a Driver to skip the wait for the disk. A Driver that is always
// Durable ignores them.
type Durability int

const (
	// Durable means that the object survives. It is the default.
	Durable Durability = iota
	// Deferred means that the object survives once Sync of its key has returned. If power is lost
	// before, a new object may be absent, empty or cut short. If it replaced a durable object, the
	// key has the old object or the new one, each whole.
	Deferred
	// Relaxed means that the object survives once Sync of its key has returned. If power is lost
	// before, the object may be absent, empty or cut short, even if it replaced a durable object:
	// both may be lost.
	Relaxed
)

// PutOptions are the options of [Driver.Put]. IfAbsent and IfVersion exclude each other. The
// registry never sets both, and the drivers of this module refuse both with fs.ErrInvalid.
type PutOptions struct {
	// IfAbsent makes Put fail with ErrExist if there is an object at the key. Default: false.
	IfAbsent bool
	// IfVersion makes Put fail with ErrChanged unless the object at the key has this version.
	// Default: "", no condition.
	IfVersion string
	// Durability is what Put guarantees when it returns. Default: Durable.
	Durability Durability
	// Size is the expected size of the body, in bytes. It is a hint and may be wrong, even
	// negative. Default: 0, unknown.
	Size int64
}

// OpenOptions are the options of [Driver.Open].
type OpenOptions struct {
	// Offset is the position of the first byte to read. An Offset at or after the end of the object
	// is not an error: the reader is then empty. Default: 0.
	Offset int64
	// Length is the maximum number of bytes that the caller reads. Default: 0, up to the end of the
	// object.
	Length int64
	// IfNotVersion makes Open fail with ErrNotModified if the object has this version, whatever
	// Offset and Length are. Default: "", no condition.
	IfNotVersion string
}

// ListOptions are the options of [Driver.List].
type ListOptions struct {
	// After excludes the keys that are not greater than it, in byte order. It may be any string: it
	// need not be a valid key, nor begin with the prefix. Default: "", which excludes nothing.
	After string
	// KeysOnly allows the Driver to set only the Key of each Info, where the other fields cost
	// more. Default: false.
	KeysOnly bool
	// PageHint is the number of elements that the caller expects to take. It is a hint: the caller
	// may take more or fewer. Default: 0, unknown.
	PageHint int
}

package driver

import (
	"context"
	"time"
)

// URLSigner is implemented by a [Driver] that can hand out URLs of objects. With
// storage.Options.Redirect, the registry redirects pulls of blobs to such URLs instead of sending
// the bytes itself.
type URLSigner interface {
	// SignedURL returns a URL by which anyone can GET the object at key, for at least expiry. The
	// URL must stop working soon after that, because it bypasses the authorisation of the registry.
	// SignedURL does not check whether the object exists.
	//
	// Errors: errors.ErrUnsupported if this storage cannot sign; ErrKey.
	SignedURL(ctx context.Context, key string, expiry time.Duration) (string, error)
}

// Sweeper is implemented by a [Driver] whose Delete leaves a tombstone in the storage. On storage
// that has conditional writes but no conditional delete, a Delete on a condition writes a
// tombstone: a small object that all methods of the Driver treat as absent. Without Sweep,
// tombstones take up space forever.
type Sweeper interface {
	// Sweep removes the tombstones that were written before the given time at keys that begin with
	// prefix, which satisfies [ValidPrefix]. It returns the number of tombstones removed, also with
	// an error; another call continues. The caller guarantees that nothing is put at these keys any
	// more: Sweep may remove an object that is put at the same time.
	Sweep(ctx context.Context, prefix string, before time.Time) (int, error)
}

// Adoption is how a Driver has taken over bytes, see [Adopter].
type Adoption string

// The values of Adoption.
const (
	// Linked means that the object is a further name of the same file (a hard link).
	Linked Adoption = "link"
	// Cloned means that the object is a file that shares its blocks with the source until one of them
	// is written to (a reflink).
	Cloned Adoption = "clone"
	// Copied means that the storage has copied the bytes by itself.
	Copied Adoption = "copy"
)

// Adopter is implemented by a [Driver] that can take over bytes which are in its storage already, but
// not as an object of the Driver. An import of the data of another registry uses it.
type Adopter interface {
	// Adopt stores the bytes of source as an object at a key that never had one. The bytes do not
	// pass through the process. The type of source depends on the Driver: storage/disk accepts an
	// *[os.File], which it does not close.
	//
	// The contract of Put with IfAbsent and Deferred holds, with these exceptions. The ModTime may be
	// that of the source, but a Driver reports a later one where it can. With [Linked], the object
	// shares its bytes with the source, so nothing may write to the source in place. Deleting either
	// of them leaves the other one whole. After an error, the key may have the whole object, or none.
	//
	// Errors: errors.ErrUnsupported if the Driver cannot take over this source, for example because
	// it is on another file system: the caller uses Put instead. ErrNotExist if the source has vanished;
	// ErrExist; ErrNoSpace; ErrKey.
	Adopt(ctx context.Context, key string, source any, opts *AdoptOptions) (Info, Adoption, error)
}

// AdoptOptions are the options of [Adopter].Adopt.
type AdoptOptions struct {
	// NoLink excludes [Linked], for a source that others may write to. Default: false.
	NoLink bool
	// DryRun stores no object. Adopt returns how it would take over the source, and the size of the
	// source in the Info. Default: false.
	DryRun bool
}

// Local is implemented by a [Driver] whose storage is on this machine. The registry then makes the
// few independent calls of one operation one after the other: starting a goroutine for each of them
// costs more processor time than the call. On other storage, it makes them at the same time.
type Local interface {
	// Local reports whether a call takes microseconds, except for a Durable Put, a Sync and the
	// transfer of a large body. The result never changes. A driver that wraps another one returns
	// the result of that one.
	Local() bool
}

// SingleProcess is implemented by a [Driver] whose conditional writes hold within one process only,
// although other processes can reach the storage. Garbage collection depends on conditional writes,
// so storage.Store.Collect refuses such a Driver unless storage.CollectOptions.Exclusive is set. A
// wrapper of a Driver must forward it; see "Optional abilities" in the package comment.
type SingleProcess interface {
	// SingleProcess returns the reason why conditions do not hold between processes, for an error
	// message. It returns "" if they do.
	SingleProcess() (reason string)
}

package driver

import (
	"context"
	"io"
	"iter"
)

// Driver keeps bytes by key. It knows nothing of registries and decides nothing: every rule of the
// layout and every order of writes is the [Store]'s. What follows is the whole contract;
// drivertest.TestDriver checks it.
//
// # Keys
//
// A key satisfies [ValidKey]. Keys are told apart byte by byte, upper and lower case too. The Store
// never uses a key K together with a key K + "/" + anything, so a Driver may refuse the second of
// such a pair.
//
// # Objects
//
// An object is written whole: readers see the object before a Put or the one after it, never a
// part. A Put that fails, whose body fails, whose context ends or whose process is killed leaves
// what was there before. Each successful Put gives the object a version that this key never had
// before, even when the bytes are the same; versions are opaque, without "\n", at most 200 bytes,
// and survive a restart. (Where a version is a hash of the content, the Store sees to it that
// content never repeats.)
//
// # Consistency
//
// All operations on a key are linearisable, from any number of goroutines and of processes: once a
// Put or Delete has returned, every Open, Stat and List that begins later shows it. A condition
// (IfAbsent, IfVersion) is checked and the change made in one atomic step.
//
// # Durability
//
// What a Put with [Durable] stored survives a loss of power once it has returned. See [Durability]
// for the rest, and Sync.
//
// A Driver is safe for concurrent use, holds no lock while it reads from the body of a Put or while
// the reader of an Open is open, and starts no goroutine that outlives a call.
type Driver interface {
	// Open returns the object's bytes, or the part opts names. The Info is of the whole object, and
	// of the same version as the bytes: they come from one object even if a Put replaces it
	// meanwhile. The reader must be closed. It may be an *os.File or hold one; then it stands at
	// Offset, and the caller reads no further than Length.
	//
	// Errors: ErrNotExist; ErrNotModified (the Info has at least Key and Version).
	Open(ctx context.Context, key string, opts *OpenOptions) (io.ReadCloser, Info, error)

	// Stat returns the Info of an object.
	//
	// Errors: ErrNotExist.
	Stat(ctx context.Context, key string) (Info, error)

	// Put stores what body holds up to its end at key and returns the Info of the new object. A nil
	// body is empty. Memory follows what body has yielded, never what PutOptions.Size promises.
	//
	// Errors: ErrExist, ErrChanged (a missing object has changed, too), ErrNoSpace; the error of
	// body as it is or wrapped. An error of making a Durable object durable, and one of a lost
	// connection, may leave the new object.
	Put(ctx context.Context, key string, body io.Reader, opts *PutOptions) (Info, error)

	// Delete removes an object, if it still has the version ifVersion; "" means whatever version it
	// has. The removal survives a kill of the process on return, and a loss of power after a Sync
	// of the key.
	//
	// Errors: ErrNotExist, ErrChanged; either of them if a version is given and there is no object.
	// Without a version, a storage that does not tell whether there was one may return nil.
	Delete(ctx context.Context, key, ifVersion string) error

	// List yields the objects whose keys begin with prefix, in ascending byte order of their whole
	// keys. The prefix is empty or ends in "/". Objects that exist during the whole iteration are
	// yielded exactly once; others at most once. An error ends the iteration, ErrKey if the prefix
	// is malformed. The consumer may call any method of the Driver between two elements.
	List(ctx context.Context, prefix string, opts *ListOptions) iter.Seq2[Info, error]

	// MaxObjectSize returns the maximum size of an object in bytes, at least MinObjectSize; 0 means
	// that the Driver knows no limit. The result never changes. A Put of more bytes fails and
	// leaves what was there before. The Store divides a larger blob among several objects; a Driver
	// that wraps another one passes the limit on.
	MaxObjectSize() int64

	// Sync makes the present state of keys survive a loss of power, all together: the object that
	// is there, or that there is none, whichever process and whichever call made it so. What is
	// known to be durable costs nothing.
	Sync(ctx context.Context, keys ...string) error
}

// MinObjectSize is the smallest maximum size of an object that a [Driver] may have, in bytes. Only
// blobs are divided among several objects: a registry cannot accept a manifest that is larger than
// the Driver's maximum.
const MinObjectSize = 64 << 10

package driver

import (
	"context"
	"io"
	"iter"
)

// Driver stores objects under keys. This page is the whole contract; drivertest.TestDriver checks
// it.
//
// # Keys
//
// A key satisfies [ValidKey]; a Driver refuses any other with ErrKey. Keys are compared byte by
// byte, so "A" and "a" are different keys even if the file system below ignores case. The registry
// never uses both a key K and a key K + "/" + anything, so a Driver may reject the second key of
// such a pair with ErrKey.
//
// # Objects and versions
//
// An object is written as a whole. Readers see the object before a Put or the object after it, and
// never a part of it. A Put makes its change in one step, after it has read the body. The old state
// remains if its body fails or is too large, if its condition does not hold, or if its context ends
// before that step. In all other failures, such as a kill of the process, a failed sync or a lost
// connection, the key may have the old object or the new one, each whole.
//
// Every successful Put gives the object a version that the key never had before, even if the bytes
// are the same and even if the object was deleted in between. There is one exception: the version
// may be a hash of the content, so that the same bytes get the same version. The registry never
// writes the same content twice to a key that it changes on a condition. The author of such a
// Driver sets ContentVersions in the options of drivertest.TestDriver.
//
// A version is an opaque string of 1 to 200 bytes without "\n". It does not change when a process
// restarts.
//
// # Consistency
//
// All operations on a key are linearizable, from any number of goroutines and processes. Once a Put
// or Delete has returned, every Open, Stat and List that starts later shows its effect. The Driver
// checks a condition (IfAbsent, IfVersion) and makes the change in one atomic step. A Driver that
// cannot do this between processes implements [SingleProcess].
//
// # Durability
//
// An object stored with [Durable], the default, survives a loss of power once Put has returned. See
// [Durability] for the weaker promises, and Sync, which makes them strong later.
//
// # Concurrency
//
// A Driver is safe for concurrent use. It holds no lock while it reads the body of a Put, because a
// client may send the body slowly. It holds no lock while a reader that Open returned is open,
// because a client may read slowly. It starts no goroutine that outlives a call. It honours the
// context of every call. The interface has no Close: the code that opened a Driver closes it, if it
// must be closed.
//
// # Options and errors
//
// Every options argument may be nil, which means the zero value. The registry passes neither a
// negative Offset or Length nor an unknown Durability. The drivers of this module refuse a negative
// Offset or Length with fs.ErrInvalid.
//
// Besides the errors that a method lists, each method may return ErrUnavailable, the error of its
// context, and other errors. ErrUnavailable and other errors do not say whether a Put or Delete has
// made its change. The client of the registry gets 503 for ErrUnavailable and 500 for other errors.
//
// A Driver, or a library below it, may itself repeat a conditional request whose response was lost.
// The condition of the second attempt then fails if the first one made the change. A Driver that
// recognizes this case returns success. Any other Driver returns ErrUnavailable, or the ErrExist or
// ErrChanged of the second attempt: the registry recognizes its own writes by a nonce in their
// content.
type Driver interface {
	// Open returns a reader of the object, or of the part that opts selects, and the Info of the
	// whole object. Bytes and Info belong to the same version, even if the object is replaced or
	// deleted while it is read. The caller closes the reader, and does not end ctx before that:
	// reads may fail once ctx has ended.
	//
	// The reader may go on after Length: the caller reads no further. It may be an *os.File, a
	// struct that embeds one, or another syscall.Conn, so that the kernel can send the bytes. The
	// file stands at Offset and has the whole object, so the caller may move it if it is an
	// io.Seeker.
	//
	// Errors: ErrNotExist; ErrNotModified, with a nil reader and an Info that has at least Key and
	// Version; ErrKey.
	Open(ctx context.Context, key string, opts *OpenOptions) (io.ReadCloser, Info, error)

	// Stat returns the Info of the object.
	//
	// Errors: ErrNotExist, ErrKey.
	Stat(ctx context.Context, key string) (Info, error)

	// Put reads body to its end, stores the bytes at key and returns the Info of the new object. It
	// replaces an object that is there, unless opts forbids that. A nil body is an empty object.
	//
	// A condition counts at the moment of the change, after the body has been read. A Put may also
	// check the condition before and fail early, without reading the body.
	//
	// A Driver allocates memory for bytes that body has yielded, and never for what
	// PutOptions.Size promises, because that number comes from a client.
	//
	// Errors: ErrExist; ErrChanged, also when the object is missing; ErrNoSpace; ErrKey; the error
	// of body, as it is or wrapped; any error if body is larger than MaxObjectSize.
	Put(ctx context.Context, key string, body io.Reader, opts *PutOptions) (Info, error)

	// Delete removes the object, if it still has the version ifVersion. An empty ifVersion means
	// any version. A removal survives a kill of the process once Delete has returned, and a loss of
	// power once Sync of the key has returned.
	//
	// Errors: ErrNotExist, ErrChanged, ErrKey. If ifVersion is given and there is no object, a
	// Driver may return either ErrNotExist or ErrChanged. If ifVersion is empty and there is no
	// object, it may return nil when the storage does not report that.
	Delete(ctx context.Context, key, ifVersion string) error

	// List yields the objects whose keys begin with prefix, in ascending byte order of the whole
	// keys. The prefix satisfies [ValidPrefix]. An object that exists during the whole iteration is
	// yielded exactly once, any other object at most once. An object that is replaced in the
	// meantime counts as existing; the Info is that of any of its versions. Nothing but objects is
	// yielded: no temporary files and no tombstones. The consumer may call every method of the
	// Driver between two elements, and may stop at any element.
	//
	// Errors: an error is the last element. ErrKey is yielded if the prefix is invalid.
	List(ctx context.Context, prefix string, opts *ListOptions) iter.Seq2[Info, error]

	// MaxObjectSize returns the maximum size of an object, in bytes: at least MinObjectSize, or 0
	// if the Driver knows no limit. The result never changes. A Put of a larger body fails and
	// leaves the old state. It need not read more than the limit and one byte. The registry divides
	// a larger blob among several objects. A Driver that wraps another one returns the limit of
	// that one.
	MaxObjectSize() int64

	// Sync makes the present state of all the keys survive a loss of power. The state of a key is
	// its object or its absence, whichever call and whichever process produced it. A key without an
	// object is no error, and neither is an empty list of keys. Sync of a state that is known to be
	// durable costs nothing.
	//
	// Errors: ErrKey. After any other error, the caller cannot rely on a later Sync of the same
	// keys: some systems report a lost write only once. The caller puts the objects again instead.
	// An object whose removal was not synced may come back after a loss of power.
	Sync(ctx context.Context, keys ...string) error
}

// MinObjectSize is the lower bound of [Driver.MaxObjectSize], in bytes: every [Driver] stores
// objects of this size. The registry divides only blobs among several objects, so a manifest that
// is larger than MaxObjectSize is rejected.
const MinObjectSize = 64 << 10

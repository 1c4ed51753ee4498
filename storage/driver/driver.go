package driver

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"iter"
	"time"
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

// URLSigner is an optional ability of a [Driver]: a URL by which anyone can GET one object for a
// while.
type URLSigner interface {
	// SignedURL returns a URL for a GET of the object at key that works for at least expiry. It
	// does not check that there is an object.
	//
	// Errors: errors.ErrUnsupported.
	SignedURL(ctx context.Context, key string, expiry time.Duration) (string, error)
}

// Sweeper is an optional ability of a [Driver] that leaves something in the storage of what was
// removed on a condition.
type Sweeper interface {
	// Sweep removes what remains of objects whose keys begin with prefix and that were removed
	// before a time, and returns of how many. The caller knows that nobody puts anything at these
	// keys any more: what is put there at the same moment may be removed as well.
	Sweep(ctx context.Context, prefix string, before time.Time) (int, error)
}

// SingleProcess is an optional ability of a [Driver] whose conditions may hold less far than the storage
// can be reached.
type SingleProcess interface {
	// SingleProcess returns why the conditions of Put and Delete do not hold against other processes on
	// the same storage; "" if they do.
	SingleProcess() string
}

// MaxKeyLength is the number of bytes a key has at most. The longest key of the layout, that of the
// type of a referrer in a repository with a name of 255 characters, is shorter.
const MaxKeyLength = 900

// MinObjectSize is the smallest maximum size of an object that a [Driver] may have, in bytes. Only
// blobs are divided among several objects: a registry cannot accept a manifest that is larger than
// the Driver's maximum.
const MinObjectSize = 64 << 10

// ValidKey reports whether key is one that every [Driver] must accept: at most MaxKeyLength bytes,
// components separated by single slashes, each of ASCII letters, digits and the characters - . _ ~
// and none of them "." or "..".
func ValidKey(key string) bool {
	if key == "" || len(key) > MaxKeyLength {
		return false
	}
	start := 0
	for i := 0; i <= len(key); i++ {
		if i < len(key) && key[i] != '/' {
			if !keyByte(key[i]) {
				return false
			}
			continue
		}
		if c := key[start:i]; c == "" || c == "." || c == ".." {
			return false
		}
		start = i + 1
	}
	return true
}

func keyByte(c byte) bool {
	return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' ||
		c == '-' || c == '.' || c == '_' || c == '~'
}

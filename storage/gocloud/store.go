package gocloud

import (
	"context"
	"io"
	"time"

	"gocloud.dev/blob"
)

// Provider recognizes buckets of one kind of store, usually by the As method of the bucket. It
// returns the Store for a bucket of that kind, and nil without an error for any other bucket.
type Provider func(ctx context.Context, bucket *blob.Bucket) (Store, error)

// Store adds to a bucket what the portable API lacks: versions, and conditions that the store
// itself checks. It uses the As functions of gocloud.dev and the store's own client. Each method's
// as parameter is the As function of the value that its comment names. A name is that of an object
// in the bucket. A Store is safe for concurrent use.
//
// Methods return the errors of the client unchanged; Failure classifies them.
type Store interface {
	// Version returns the version of an object, as [driver.Driver] defines it. as is that of a
	// blob.Reader, of blob.Attributes or of a blob.ListObject. Version returns "" if the response
	// lacks the version or the size.
	Version(as func(any) bool) string

	// BeforeRead is called before a read that has a condition; as is that of
	// blob.ReaderOptions.BeforeRead. It makes the read fail if the object has the version
	// ifNotVersion, with an error that Failure classifies as [driver.ErrNotModified]. A Store that
	// cannot do so does nothing: the Driver compares the versions, too.
	BeforeRead(as func(any) bool, ifNotVersion string) error

	// BeforeList is called before each request of a list; as is that of
	// blob.ListOptions.BeforeList. To save time, it may make the list leave out the names that are
	// not greater than after, unless after is "". It must make the list fail if the response is not
	// a complete list.
	BeforeList(as func(any) bool, after string) error

	// MaxObjectSize returns the maximum size of an object that Put stores in such parts, in bytes.
	// The Driver never gives Put a larger body.
	MaxObjectSize(p Parts) int64

	// Put stores the bytes of body if the conditions of opts hold; the store checks them in the
	// same atomic step. Otherwise it fails with an error that Failure classifies as
	// [driver.ErrChanged]. If a Read of body fails, Put must store nothing; ctx is cancelled before
	// that Read returns.
	Put(ctx context.Context, name string, body io.Reader, opts *PutOptions) (Written, error)

	// Delete removes an object if it has the version ifVersion; the store checks that in the same
	// atomic step. An empty ifVersion means any version. Otherwise it fails with an error that
	// Failure classifies as [driver.ErrChanged] or [driver.ErrNotExist].
	Delete(ctx context.Context, name, ifVersion string) error

	// Failure returns an error that wraps err and the error of the package driver that it means, or
	// nil if it means none of them. It must not report a missing object unless the store itself
	// reported that: a refusal is [driver.ErrUnavailable]. Failure accepts its own results.
	Failure(err error) error
}

// Signer is implemented by a [Store] that sets options of signed URLs.
type Signer interface {
	// BeforeSign is called before a URL is signed; as is that of blob.SignedURLOptions.BeforeSign.
	BeforeSign(as func(any) bool) error
}

// PutOptions are the options of [Store.Put].
type PutOptions struct {
	// IfAbsent makes Put fail if there is an object with the name. Default: false.
	IfAbsent bool
	// IfVersion makes Put fail unless the object has this version. Default: "", no condition.
	IfVersion string
	// Size is the size of the body that the client has declared, in bytes. It may be wrong, so Put
	// must allocate memory only for bytes that it has read. Zero means unknown.
	Size int64
	// Parts is the size and number of the parts of an upload.
	Parts Parts
	// ContentType is the media type of the object.
	ContentType string
}

// Written describes an object that a store has stored.
type Written struct {
	// Version is the version of the object, see [Store.Version]. It is "" if the response lacks it.
	// The Driver then fails the Put, because something other than the store may have responded.
	Version string
	// ModTime is the time of the write, by the clock of the store. It may be zero.
	ModTime time.Time
}

// Prober is implemented by a [Store] that finds out what the store can do. [New] calls Probe once,
// with Options.Prefix, before anything else, and returns its error. The error wraps
// [errors.ErrUnsupported] if the store cannot keep conditions.
type Prober interface {
	Probe(ctx context.Context, prefix string) error
}

// Ranger is implemented by a [Store] whose client does not check which part of an object it
// receives: a server may respond to a request for a part with the whole. The Driver then checks it.
type Ranger interface {
	// ContentRange returns the header Content-Range of the response to a read, or "" if there is
	// none; as is that of a blob.Reader.
	ContentRange(as func(any) bool) string
}

// Unmodifier is implemented by a [Store] whose response with status 304 states the version of the
// object. A conditional read of an object that has not changed is then one request. Otherwise the
// Driver asks for the version in a second one.
type Unmodifier interface {
	// UnmodifiedVersion returns the version that the response states for which Failure returns err,
	// a [driver.ErrNotModified]. It returns "" if the response states none.
	UnmodifiedVersion(err error) string
}

// Tombstoner is implemented by a [Store] that has no conditional delete. The Driver then replaces
// an object that it deletes on a condition with a tombstone, by a conditional Put. A tombstone
// counts as a missing object: the Driver neither reads nor lists it, and a Put with IfAbsent
// replaces it, on the condition that it is still a tombstone. All tombstones are equal, so it does
// not matter if another one has taken its place.
//
// A tombstone cannot be removed while others may replace it, because that again needs a conditional
// delete. It stays until an object is put in its place, or until [Driver.Sweep] is called for keys
// that are no longer in use.
type Tombstoner interface {
	// Tombstone returns the content of tombstones, which no other object has, and their version, or
	// "" if that is not always the same. ok is false if this bucket needs no tombstones.
	Tombstone() (content, version string, ok bool)
}

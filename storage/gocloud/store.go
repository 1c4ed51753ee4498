package gocloud

import (
	"context"
	"io"
	"time"

	"gocloud.dev/blob"
)

// Provider knows one kind of store. It returns what that can do with a bucket, or nil if the bucket
// is of another kind: usually the As method of the bucket tells.
type Provider func(ctx context.Context, bucket *blob.Bucket) (Store, error)

// Store is a bucket of a kind that a [Provider] knows, with what the portable API lacks: versions,
// and conditions that the store itself checks. It reaches them through the As functions of
// gocloud.dev and the store's own client. The as of a method is such a function, of what its
// comment says. Names are those of objects in the bucket. A Store is safe for concurrent use.
//
// Errors are passed on as they come; Failure sorts them.
type Store interface {
	// Version returns the version of an object, which as tells of: of a blob.Reader, of
	// blob.Attributes or of a blob.ListObject. It is as [driver.Driver] says of versions, and ""
	// if the answer has left out the version or the size.
	Version(as func(any) bool) string

	// BeforeRead is called before a read, with what blob.ReaderOptions.BeforeRead gets. The read
	// shall fail if the object has the version ifNotVersion, with what Failure calls
	// [driver.ErrNotModified].
	BeforeRead(as func(any) bool, ifNotVersion string) error

	// BeforeList is called before each request of a list, with what blob.ListOptions.BeforeList
	// gets. The list may leave out names that are not greater than after, unless that is ""; that
	// only makes it faster. It must fail if the answer is not a list, or not whole.
	BeforeList(as func(any) bool, after string) error

	// MaxObjectSize returns the maximum size of an object that Put stores in such parts, in bytes.
	// The Driver gives Put no body that is larger.
	MaxObjectSize(p Parts) int64

	// Put stores what body holds, if the conditions hold, which the store decides in the same step;
	// else it fails with what Failure calls [driver.ErrChanged]. If reading body fails, nothing is
	// stored; ctx has been cancelled by then.
	Put(ctx context.Context, name string, body io.Reader, opts *PutOptions) (Written, error)

	// Delete removes an object, if it has the version ifVersion, which the store decides in the
	// same step; "" means whatever version it has. It fails with what Failure calls
	// [driver.ErrChanged] or [driver.ErrNotExist].
	Delete(ctx context.Context, name, ifVersion string) error

	// Failure returns an error that is also the one of the package storage that err amounts to, or
	// nil if it amounts to none. An object is only missing if the store said so: not if it refused
	// to tell. It may be given what it has returned.
	Failure(err error) error
}

// Signer is implemented by a [Store] that has a say in signed URLs.
type Signer interface {
	// BeforeSign is called before a URL is signed, with what blob.SignedURLOptions.BeforeSign gets.
	BeforeSign(as func(any) bool) error
}

// PutOptions are the options of [Store.Put].
type PutOptions struct {
	// IfAbsent stores only if there is no object with the name.
	IfAbsent bool
	// IfVersion, unless "", stores only if the object has this version.
	IfVersion string
	// Size is the number of bytes that somebody has declared; 0 means not known. It may be wrong,
	// so Put must not take memory for it: only for what has come.
	Size int64
	// Parts say how to divide what is uploaded.
	Parts Parts
	// ContentType is that of the object.
	ContentType string
}

// Written is what a store tells of an object that it has stored.
type Written struct {
	// Version is the version of the object, see [Store.Version]. If the store does not tell it with
	// the answer to the write, nobody can, and it is "": the write fails, since it may be that
	// something else has answered.
	Version string
	// ModTime is when it was stored, by the clock of the store.
	ModTime time.Time
}

// Prober is an optional ability of a [Store]: to find out what the store can do. [New] calls Probe
// once, with Options.Prefix, before anything else; an error, [errors.ErrUnsupported] if conditions
// cannot be kept, is that of New.
type Prober interface {
	Probe(ctx context.Context, prefix string) error
}

// Ranger is an optional ability of a [Store] whose client does not look at what it gets of an
// object: a server may answer a request for a part with the whole.
type Ranger interface {
	// ContentRange returns the header of that name that a read has been answered with, "" without
	// one; as tells of a blob.Reader.
	ContentRange(as func(any) bool) string
}

// Tombstoner is an optional ability of a [Store] that cannot delete on a condition. A removal that
// depends on a version is then a Put of a tombstone that depends on it, and an object that is a
// tombstone counts as none: it is not read, not listed, and replaced by what is put if there is
// none, on the condition that it still is one. It does not matter which one it is, since one says
// as much as another.
//
// A tombstone cannot be removed beside others, who may be about to replace it, for the same reason
// for which there is one. It stays until something is put in its place, or [Driver.Sweep] is called
// for keys that nobody uses any more.
type Tombstoner interface {
	// Tombstone returns the content of tombstones, which no other object has; the version that they
	// have, "" if that is not always the same; and whether there are any.
	Tombstone() (content, version string, ok bool)
}

// Package gocloud is a [github.com/registrykit/registry/storage/driver.Driver] on any bucket of gocloud.dev/blob. The caller opens the
// bucket and closes it when the Driver is no longer used. A program links the stores it imports,
// and no others.
//
// # What each store guarantees
//
// The portable API has no conditional replace and no conditional delete, and tells no version of
// what was written. So there are two ways. On a local bucket ([gocloud.dev/blob/fileblob],
// [gocloud.dev/blob/memblob]) conditions are kept by locks within the process, see [Locks]. A store
// on the network needs a [Provider], which has the store itself check them; without one, [New]
// refuses the bucket.
//
//	                        memblob      fileblob     with a Provider
//	atomic create           locks        locks        the store's precondition
//	conditional replace     locks        locks        the store's precondition
//	conditional delete      locks        locks        the store's precondition
//	several processes       no           no           yes
//	durable on return       no           no           yes
//	list begins at After    no           yes          where the Provider can
//	signed URLs             no           with a key   where the credentials can
//	MD5 of what is written  until NoMD5  until skip   as the store does
//
// memblob is for tests: it sorts all keys for each page of a list, and lists up to After are read
// and skipped.
//
// fileblob is second best to the package storage/disk, which shares a directory between processes
// and survives a loss of power; use that for files wherever it builds. fileblob syncs nothing:
// after a loss of power what was acknowledged may be absent, empty or cut short. Nobody else may
// write to the directory meanwhile, not even a second Driver, unless they share [Options].Locks.
// Open it like this:
//
//	fileblob.OpenBucket(dir, &fileblob.Options{CreateDir: true, NoTempDir: true, Metadata: fileblob.MetadataDontWrite})
//
// NoTempDir because otherwise everything is first written to the system's folder for temporary
// files, which may be on another file system and then cannot be moved; MetadataDontWrite because
// otherwise each object costs a second file and an MD5. Directories that have become empty are not
// removed. Temporary files of a killed process remain (names that end in ".tmp"); they are never
// listed.
//
// # Versions
//
// On a local bucket the version of an object is its time and size. The Driver sees to it that no
// two writes of a key have the same time: on fileblob it sets the time of the file before the file
// gets its name; New refuses file systems that do not keep it. Only if the clock was set back
// meanwhile could a write after a restart get an old time, by hitting it to 100 ns. With a
// Provider, the version is the store's.
//
// # Names
//
// On memblob and on a store the name of an object is the prefix and the key, with two exceptions
// that keep clear of the escapes which the drivers of gocloud.dev use: of two or more dots or
// underscores in a row all but the first are written otherwise. On fileblob "-" is written "+", "."
// is written ",", an upper-case letter "^" and its twin, a directory ends in "-", and very long
// components are cut. So names differ where the file system ignores case, none is taken for one of
// fileblob's own (".attrs", ".tmp"), none is a directory of another, and the order of files is the
// order of keys. Objects with other names are left alone.
//
// # Writes
//
// A body is streamed, never held whole. What fails, ends early or is cancelled is not stored:
// closing a writer of gocloud.dev commits what it was given so far, so a body that fails cancels
// the write before it says so. No lock is held while a body is read.
//
// A Provider's uploads hold parts in memory, which all have one size, see [Parts]. What a client
// declares does not change it. A blob that does not fit the parts of one object is several objects:
// the Store divides it by [Driver.MaxObjectSize].
package gocloud

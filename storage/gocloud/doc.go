// Package gocloud implements the contract of the package storage/driver on any bucket of
// gocloud.dev/blob. The caller opens the bucket, and closes it when the [Driver] is no longer used.
// A program links only the stores that it imports.
//
// # What each store guarantees
//
// The portable API of gocloud.dev has no conditional replace and no conditional delete, and it does
// not return the version of what was written. So this package works in two ways. On a local bucket
// ([gocloud.dev/blob/fileblob], [gocloud.dev/blob/memblob]) it keeps conditions by locks within the
// process, see [Locks]. On a store on the network it needs a [Provider], with which the store itself
// checks conditions; [New] rejects such a bucket without one. The packages s3, gcs and azure have
// Providers.
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
// memblob is for tests. It sorts all keys for each page of a list, and a list reads and skips the
// keys up to After.
//
// For files, prefer the package storage/disk wherever it builds: it shares a directory between
// processes and survives a loss of power. fileblob syncs nothing, so after a loss of power an
// acknowledged object may be absent, empty or cut short. Nothing else may write to the directory
// while a Driver uses it. That includes a second Driver, unless both share [Options].Locks. Open
// fileblob like this:
//
//	fileblob.OpenBucket(dir, &fileblob.Options{CreateDir: true, NoTempDir: true, Metadata: fileblob.MetadataDontWrite})
//
// Without NoTempDir, fileblob first writes to the system's folder for temporary files. That folder
// may be on another file system, from which files cannot be moved. Without MetadataDontWrite, each
// object costs a second file and an MD5. Empty directories are not removed. Temporary files of a
// killed process remain (their names end in ".tmp"); they are never listed.
//
// # Versions
//
// On a local bucket, the version of an object is its time and size. The Driver never gives two
// writes of a key the same time: on fileblob it sets the time of the file before the file gets its
// name, and New rejects a file system that does not keep that time. Only if the clock is set back
// can a write after a restart get an old time, and only by hitting it to 100 ns. With a Provider,
// the version is the store's.
//
// # Names
//
// On memblob and on a store, the name of an object is the prefix and the key, with two changes. The
// drivers of gocloud.dev escape some runs of dots and underscores, so in a run of two or more of
// them all but the first are replaced by other characters. A component of 200 bytes or more is cut.
//
// On fileblob, "-" is written "+", "." is written "," and an upper-case letter is written as "^"
// and its lower-case letter. A directory ends in "-", and very long components are cut. So names
// differ even where the file system ignores case, no name collides with one of fileblob's own
// (".attrs", ".tmp"), no object is a directory of another, and the order of files is the order of
// keys. Objects with other names are ignored.
//
// # Writes
//
// A body is streamed and never held as a whole. A body that fails, ends early or is cancelled is
// not stored. That takes care: closing a writer of gocloud.dev commits what it has been given so
// far, so a failing body cancels the write before it returns its error. No lock is held while a
// body is read.
//
// The uploads of a Provider hold parts in memory, all of one size, see [Parts]. The length that a
// client declares does not change that size. A blob that is larger than [Driver.MaxObjectSize] is
// stored as several objects by the registry.
//
// # What gocloud.dev really does
//
// The tests in facts_test.go and facts_linux_test.go state, one by one, the properties of
// gocloud.dev that this package works around: truncated bodies that are committed, pages that lose
// keys, names that are mangled, refusals that look like missing objects. If one of them fails after
// an upgrade of gocloud.dev, a workaround here may be out of date.
package gocloud

// Package disk provides a [Driver] on a directory of a local file system, for Linux and macOS. Any
// number of processes on one machine may use the same directory at the same time.
//
// # Files
//
// In the directory given to [New], objects/ holds one file for each object. Its path is the key,
// with upper-case letters and very long components encoded. tmp/ holds files that are being
// written, journal/ holds what is not yet synced in objects/, and locks/ holds the files that
// processes lock.
//
// A file in objects/ is never written to. It is written in tmp/ and then renamed, so a reader never
// sees a part of it, and a kill at any moment leaves a consistent store. A copy of objects/ file by
// file is a complete backup. A snapshot of the file system must contain journal/, too. A backup is
// restored into a directory without a journal/.
//
// # Journal
//
// An object is durable once its file and all directories above it are synced, which takes several
// waits for the disk. So the processes that use a directory share a journal. A call that makes
// small objects durable appends their present state to the journal, and syncs only the journal.
// Calls that wait at the same time share one write and one sync. Objects of more than 128 KiB are
// not worth a second write: their files and directories are synced.
//
// The journal consists of records in segments. A record holds the state of one path:
//
//   - put: the file with this modification time and content.
//   - absent: no file.
//   - kept: a file that is durable by itself, or that need not be.
//   - content: the content of a file that is about to replace another one. The record says nothing
//     about the path unless the file with this modification time is there.
//
// A call looks at a path and appends the record of the path under one lock of the journal. A Delete
// removes the file and appends its record under that lock, too. So the last record of a path
// describes its state at that moment, and a state without a record is a later one.
//
// A full segment is followed by a new one. The caller that begins it then makes everything durable
// that the older segment describes, by syncing the file system (on Linux) or each path (elsewhere),
// and frees the segment. Segments are freed in the order in which they were written.
//
// New replays the journal if no other process uses the directory, because power may have been lost.
// For the last record of each path:
//
//   - put: if the file is absent or older than the record, or is as old and has another content, it
//     is written again. A younger file stays.
//   - absent: a file that is not younger than the record is removed.
//   - kept: the file stays as it is.
//
// After that, a file whose time is that of its content record gets that content. Replay is
// idempotent. It syncs nothing: the records stay until their segment is freed. The Driver that is
// closed last leaves an empty journal.
//
// Failures:
//
//   - A segment is never written again after a write or a sync of it has failed, by any process. The
//     callers that wait get the error. The next append first makes everything durable without the
//     journal, removes the segment and begins a new one.
//   - If everything cannot be made durable, nothing is appended any more: Sync, Durable Puts and
//     Deletes fail until a process opens the directory alone. It writes all objects of the journal
//     again.
//   - If the file system has no room for a record, everything is made durable without the journal,
//     which is then empty. So objects can be removed from a full file system.
//   - New fails on a journal of an unknown version, before it changes anything.
//
// Drivers with and without a journal (Options.NoJournal, Options.NoSync) exclude each other on a
// directory. A version of this package that does not know the journal must not use the directory at
// the same time, nor after a process that was killed.
//
// # Between processes
//
// Every change of a directory holds the lock of that directory: an object is published, replaced or
// removed, or a directory is made or removed. The lock is a mutex within the process and an
// flock(2) between processes. So conditions hold, and lists are exact, among all users of this
// package.
//
// The lock is held for a few system calls, never while a body is read or a file is synced. A Delete
// may hold it while the journal is synced: when a segment is created, and after a failure. However,
// a process that is stopped (SIGSTOP) at that moment blocks the others.
//
// Nothing may remove the files in locks/ while a process uses them. A Driver keeps 68 of them open
// until Driver.Close. It also keeps objects/, its directory in tmp/ and a segment of the journal
// open: 71 files in all.
//
// Other programs may write to objects/ too, such as a restore or an rsync, if they rename whole
// files into place. The Driver sees their changes at once, but their changes and its own are not
// atomic together.
//
// # Requirements on the file system
//
// The file system must keep nanoseconds in modification times and support flock. New checks both
// and fails otherwise. ext4, xfs, btrfs, zfs, tmpfs and APFS qualify. Network file systems may pass
// the check, but they cache attributes on each machine, so neither conditions nor lists are
// reliable between machines. For several machines, use an object store.
//
// A path may be as long as the system allows. On macOS that is 1024 bytes, so a long directory name
// together with a key near driver.MaxKeyLength fails there with ENAMETOOLONG. Linux allows enough.
//
// # Security
//
// Directories are created with mode 0700 and files with mode 0600. Only a regular file is an
// object. The Driver does not follow a symbolic link at the name of an object. It does not read,
// delete or list symbolic links, FIFOs, sockets, devices and directories; a Put replaces all of
// them but a directory. It never waits for the other end of a FIFO. A user who can write to the
// directory can change what the registry serves: the Driver does not protect against that.
package disk

// Package disk is a [github.com/registrykit/registry/storage/driver.Driver] on a directory of a local file system, for Linux and macOS,
// with nothing but the standard library. Any number of processes of one machine may use the same
// directory at the same time.
//
// # Files
//
// Below the directory given to [New], objects/ holds one file for each object, at a path that is
// the key with upper-case letters and very long components encoded; tmp/ holds what is being
// written, and locks/ the files that processes lock. A file in objects/ is never written to: it is
// made in tmp/ and then renamed to its name, so a reader never sees a part, and a kill at any
// moment leaves a whole store. A copy of objects/ is a copy of everything.
//
// # Between processes
//
// Every change of a directory (an object published, replaced or removed, a directory made or
// removed) is made under the lock of that directory: a mutex within the process and an flock(2)
// between processes. So conditions hold and lists are exact among all users of this package. It is
// held for a few system calls, never while a body is read or anything is synced. But a process that
// is stopped (SIGSTOP) in that moment does stop the others. The lock files in locks/ must not be
// removed while a process uses them. A process has one of them open only while it holds the lock,
// and one file in tmp/ open until Driver.Close.
//
// Others may write to objects/ too (a restore, an rsync), by renaming whole files into place; what
// they change is seen at once, but their changes and ours are not atomic together.
//
// # What the file system must be able to do
//
// Nanoseconds in modification times and flock: New tries them and refuses to work without. ext4,
// xfs, btrfs, zfs, tmpfs and APFS do. Network file systems may pass the test, but between machines
// they keep attributes in caches, and then neither conditions nor lists can be relied upon: use one
// machine, or an object store.
//
// A path may be as long as the system allows. That is more than enough on Linux; on macOS it is
// 1024 bytes, so a long directory name together with a key near driver.MaxKeyLength is refused
// there with ENAMETOOLONG.
//
// # Security
//
// Directories are created with mode 0700 and files with 0600. Only a regular file is an object:
// symbolic links at the name of an object are not followed, and neither they nor FIFOs, sockets,
// devices and directories can be read, deleted or listed. A Put replaces all of them but a
// directory. Nothing ever waits for the other end of a FIFO. Whoever can write to the directory can
// change what the registry serves: that is not checked here.
package disk

// Package disk provides a [Driver] on a directory of a local file system, for Linux and macOS. Any
// number of processes on one machine may use the same directory at the same time.
//
// # Files
//
// In the directory given to [New], objects/ holds one file for each object. Its path is the key,
// with upper-case letters and very long components encoded. tmp/ holds files that are being
// written, and locks/ holds the files that processes lock.
//
// A file in objects/ is never written to. It is written in tmp/ and then renamed, so a reader never
// sees a part of it, and a kill at any moment leaves a consistent store. A copy of objects/ is a
// complete backup.
//
// # Between processes
//
// Every change of a directory holds the lock of that directory: an object is published, replaced or
// removed, or a directory is made or removed. The lock is a mutex within the process and an
// flock(2) between processes. So conditions hold, and lists are exact, among all users of this
// package.
//
// The lock is held for a few system calls, never while a body is read or a file is synced. However,
// a process that is stopped (SIGSTOP) at that moment blocks the others. Nothing may remove the
// files in locks/ while a process uses them. A process has one of them open only while it holds the
// lock. It keeps one file in tmp/ open until Driver.Close.
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

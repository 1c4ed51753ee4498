// Package jobs runs the background jobs of a registry, such as garbage collection: each job on one
// replica at a time, under a lease in the storage that the replicas share.
//
// Every replica calls [New] with the same jobs, and starts [Runner.Run]. A [Job] is a name, an
// interval and a function. Any process that has the storage can list the jobs of all replicas with
// [Runner.List], and start or cancel them with [Runner.Start] and [Runner.Cancel]. Such a process
// needs no jobs of its own.
//
// # What a job must tolerate
//
// The lease saves work. It is no lock: Go cannot stop a function, and a process that was suspended
// does not know what has happened meanwhile. So a job must be safe if
//
//   - it runs again soon after it has succeeded, because its end could not be recorded;
//   - it starts again from the beginning after it was interrupted at any point;
//   - for a short time, two replicas run it at once.
//
// The last case is rare. The holder of a lease renews it every third of [Options].Lease. It cancels
// the context of the job before another replica can take the lease, unless Job.KeepGoing is set.
// Two runs overlap if the job does not end promptly when its context is cancelled, if a process is
// suspended, or if a job runs without a lease because the storage is full, see Job.FreesSpace. On
// a storage that several processes must not use at once, see driver.SingleProcess, the lease counts
// within one process only.
//
// # Clocks
//
// A lease ends when its object has not changed for the time of the lease, as the other replica
// measures it. Clocks are not compared, so a wrong clock takes no lease away. The next run of a job
// is due at a time by the clock of the replica that ran it last. A clock that is ahead can make a job
// run too early, and a wrong clock delays the next run by at most Job.Every.
//
// # Cost
//
// A process that runs jobs makes one small read every Options.Poll, 720 an hour by default, however
// many jobs there are. A run makes one write at its start, one every third of Options.Lease, and
// one at its end: 180 writes an hour by default while it runs.
package jobs

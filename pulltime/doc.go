// Package pulltime records when manifests and tags were last pulled, approximately and at a low
// cost. Eviction of a mirror, retention rules and pages use the times.
//
//	r, err := pulltime.New(d, nil)
//	go r.Run(ctx)
//	...
//	r.Pulled("team/app", manifest.Descriptor.Digest, "v1") // at each pull
//	...
//	times, err := r.Read(ctx, "team/app")
//	last, ok := times.Digest(manifest.Descriptor.Digest)
//
// # What counts
//
// A pull counts if the host calls [Recorder.Pulled] for it, and only then. HEAD requests, scanners
// and replication should not count, so the host does not call it for them.
//
// # What is approximate
//
// Times have a resolution of one second. Pulls are collected in memory and written every few
// minutes by [Recorder.Run]. A process that is killed loses the pulls of the last Options.Interval.
// Under a load of more repositories than Options.MaxWrites, a repository may wait for a later
// write.
//
// The storage has one object for each repository and replica, of a bounded size. If a repository
// has more manifests than fit, the object has the most recent pulls. [Times.Rest] then says how
// recent the others can be at most. See [Recorder.Read] for how the objects of several replicas are
// merged.
//
// # What it costs
//
// Pulled takes less than a microsecond, and no allocation for a manifest and tag that are in memory
// already. Pending pulls take about 200 bytes each, and there are at most Options.MaxPending. Run
// makes at most two requests for each repository that was pulled from since the last write, and at
// most 2 * Options.MaxWrites in each Options.Interval: 4,000 requests an hour with the defaults. In
// addition, it lists the objects of each such repository once in six hours.
package pulltime

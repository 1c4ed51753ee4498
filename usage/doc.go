// Package usage counts what repositories hold, for every repository, for every prefix of repository
// names, and for the storage as a whole, and keeps a month of history in daily steps.
//
//	meter, err := usage.New(store, d, nil)
//	runner, err := jobs.New(d, &jobs.Options{Jobs: []jobs.Job{meter.Job(time.Hour)}})
//	go runner.Run(ctx)                         // counts on one replica at a time
//	...
//	report, err := meter.Report(ctx, "team")   // at most three requests, at any size
//
// # Prefixes
//
// A prefix consists of whole components of names: "team" covers the repositories team, team/app and
// team/app/web, and not teams. "" covers all repositories. Each prefix that has a repository has figures.
//
// # Counts and questions
//
// [Meter.Count] counts the whole storage and stores a snapshot. [Meter.Report], [Meter.Children],
// [Meter.Largest] and [Meter.History] answer from the last snapshot, so they never walk the storage.
// Each report has the time of the count, and [Report.Age] the age of the figures.
//
// A count lists everything, which takes one request for each thousand objects and about five for each
// repository. It reads only those records of blobs and manifests that are new or changed since the last
// count, because it keeps the others in a table for each repository, see [Meter.Contents]. A record also
// changes when a push finds a blob that is older than half the grace period of the store.
//
// Several counts at once, on one replica or several, are harmless: the snapshot of one of them stays. All
// objects below s/ can be deleted at any time. The next count then reads every record, and the history
// begins anew. A damaged object counts as absent.
//
// # What is approximate
//
// Content that is pushed or deleted while a count runs may be counted or not, and Figures.Unreferenced
// is approximate then. A tag that is being pushed for the first time counts, because the tag list of the
// registry has it. Two blobs whose digests have the same hash of 64 bits count as one; the hash differs
// from count to count.
package usage

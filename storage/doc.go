// Package storage has [Store], the standard Backend of a registry, and [driver.Driver], the contract of
// the storage it stands on.
//
// A Store keeps everything in its Driver and nothing in memory that matters: any number of Stores
// in any number of processes work on one storage at once, without locks, leader or database. What
// makes that safe:
//
//   - One object per fact, each written whole: a blob's link in a repository, a manifest, a tag, a back reference, a referrer.
//   - Every change that follows a read is conditional on the version that was read, so that no update is lost.
//   - Bytes are written before the link that names them, the link before the manifest, the manifest before tags and referrers; deletes
//     go the other way round. A process may die between any two writes.
//   - A link that names data is pending until its writer has looked whether a collector wants the data; a manifest is pending, and
//     invisible, until all that it names has been looked at. Whatever is visible is whole. A tag says where it is about to point before it
//     does, so that a push that is refused leaves it as it was.
//
// All keys of the layout are in layout.go. The states of links and manifests are in record.go, and
// the protocol by which pushes, mounts, deletes and collectors go past each other is a model in
// internal/model, which CI checks.
//
// # What is durable
//
// When an operation returns, what it has done survives loss of power, except the bytes of an upload
// in progress, which survive the end or kill of the process. The Store says which objects must be
// durable together, by [driver.Driver].Sync; how is the driver's affair.
package storage

// Package storage has [Store], the standard [registry.Backend]: it keeps repositories in a
// [driver.Driver], which only stores bytes under keys.
//
// # What to call
//
// [New] returns a Store on a driver, such as one of storage/disk, storage/memory or
// storage/gocloud. registry.New makes a registry of the Store. New starts nothing, so a program
// also runs [Store.CollectEvery]; without it, no space is ever freed:
//
//	d, err := disk.New("/var/lib/registry", nil)
//	...
//	store, err := storage.New(ctx, d, nil)
//	...
//	go store.CollectEvery(ctx, nil)
//
// CollectEvery runs [Store.Collect], which ends expired uploads and removes unreferenced content,
// and [Store.ExpireHistory]. A program with a schedule of its own calls these two instead.
// [Store.ExpireUploads] frees the space of abandoned uploads more often than collections do.
//
// # What a Store guarantees
//
// All state is in the driver. Any number of Stores in any number of processes can work on one
// storage at the same time, without locks, a leader or a database. Four rules make that safe:
//
//   - Each fact is one object, which is written as a whole: that a repository has a blob (a
//     link), a manifest, a tag, a back reference, a referrer.
//   - Each change that depends on a read is a compare-and-swap on the version that was read, so
//     no update is lost.
//   - A push writes bytes before the link that names them, links before the manifest, and the
//     manifest before tags and referrers. A delete removes them in the opposite order. So a
//     process can die between any two writes.
//   - Visible content is whole. A link to data is pending until its writer has checked that no
//     collection is removing the data. A manifest is pending, and not visible, until all that it
//     names has been checked. A tag announces a move before it moves, so that a refused push
//     leaves the tag where it was.
//
// # What is durable
//
// When an operation returns, its effect survives a loss of power. The bytes of an upload in
// progress are the exception: they survive the end or kill of the process only. The Store decides
// which objects must be durable together, and passes their keys to the Sync of the driver. How Sync
// makes them durable is up to the driver.
//
// # Where to find what
//
// A file is named after what it does: read, list, write, upload, append, commit, mount, tag,
// delete, repository, history, restore, collect. Three packages below this one divide the rest:
//
//   - storage/driver has the contract of a driver, and driver/drivertest the tests of it.
//   - storage/internal/object has the keys, the records and their states, and each conditional step
//     on one object.
//   - storage/internal/gc has the steps of a collection.
//
// More is in the folder docs of the module: storage.md (guarantees), collection.md (what a
// collection removes and what it costs), layout.md (each key, with a record), gc.md (states of
// links and manifests, and the models in internal/model that prove the protocol) and decisions.md
// (reasons).
package storage

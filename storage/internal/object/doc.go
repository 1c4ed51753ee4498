// Package object reads and changes the objects of a registry in a [driver.Driver], one object at a
// time. It is the layer between the driver, which knows only keys and bytes, and package storage,
// which composes the operations of a registry from the steps of this package. The collections of
// storage/internal/gc use the same steps.
//
// # Types
//
// A [Store] wraps a driver. A [Repo] is one repository of a Store: it builds the keys of the
// repository and has a method for each step on one of its objects. key.go lists all keys.
//
// The records are [Link] (a blob in a repository), [Manifest], [Entry] (a tag or a referrer),
// [Repository] (the catalog), [Event] (the history) and [Mark] (back references and hints).
// record.go describes their fields. The JSON names of the fields never change.
//
// # Records
//
// A record is an object whose first line is JSON and whose rest, if any, is content.
//
// Each record has a nonce, so no two versions of an object are the same bytes. So a driver may use
// a hash of the content as the version. A writer also recognizes its own write if the response to
// the write was lost: see [Store.Put].
//
// A record with content has its checksum. A record that cannot be decoded was cut short by a loss
// of power before anything relied on it. It counts as absent, except that a new record is written
// on the condition of its version.
//
// # The cache
//
// A Store keeps the links, manifests, entries and repositories that it has read or written last. A
// read of one of them is an Open with IfNotVersion, so it is as fresh as any other read. See
// cache.go for the rules. [Store.WithoutCache] reads the bytes.
//
// # Conditions and attempts
//
// A change that follows a read is a compare-and-swap: the caller passes the version that it has
// read, and the write or delete succeeds only if the object still has that version. Otherwise the
// error is driver.ErrExist or driver.ErrChanged, for which [driver.IsConflict] returns true.
// [Store.Put] then returns a [Conflict] with the object that is there instead.
//
// An operation that loses a compare-and-swap reads again and decides again, in a loop over
// [Attempts] or [Store.AttemptsInTurn]. After 32 attempts it fails with [ErrContended].
//
// There are two exceptions. Back references and entries of referrers are written without a
// condition, because all writers of one write the same, but they are removed on a version. Hints
// (keys below b/ and r/<R>/a/) need no condition at all, because no decision depends on a hint.
//
// # Durability
//
// Most writes are driver.Deferred: they survive the death of the process, and a loss of power only
// after [driver.Driver].Sync. The caller syncs all keys of an operation together, before it
// responds to the client. Events and the ends of epochs are driver.Durable, because they must exist
// before the change that they announce.
//
// # The reserve
//
// On a full storage, even an operation that frees space has to write: marks, tombstones, events.
// [Store.WithReserve] returns a Store for such operations. When the driver returns
// driver.ErrNoSpace, it removes a part of the reserve and tries again. [Store.KeepReserve] writes
// the reserve again.
//
// # Concurrency
//
// Pushes, deletes and collections run at the same time, on any replica, and each may die between
// any two steps. A remover marks an object, then looks whether anything needs it, and then removes
// it on the version of the mark. A user names the object first, and then looks at the mark. So one
// of the two sees the other. The callers choose the order of the steps. These functions have steps
// of their own; the models in internal/model prove them:
//
//   - [Repo.Publish], [Repo.KeepLink], [Repo.TouchLink]: collect.pml, processes Upload, Mount, Push
//     and Head.
//   - [Repo.KeepManifest]: tags.pml, process PushIndex, and keep.pml, inline need.
//   - [Repo.PutTag], [Repo.AbortMoves], [Repo.WithdrawMoves], [Repo.RemovePointers]: tags.pml,
//     processes Push, Moves and DeleteManifest. Pushes of several tags: leads.pml.
//   - [Repo.ReleaseReferrers]: refs.pml, inline release.
//   - [Repo.EndEpoch]: known.pml, process Delete.
//
// docs/gc.md lists the steps, and for each the mutation of the model that shows why it is needed.
//
// # Errors
//
// Methods that make one change return the errors of the driver unchanged: [Store.Put],
// [Store.Remove], [Store.Overwrite], and those that write one record on its version. So do
// [Store.Read] and [Store.ReadOrCreate]. Other methods return errors of the registry, see
// [RegistryError], which leaves conflicts unchanged, so that [driver.IsConflict] works for both.
//
// # How to read it
//
// Start with record.go and key.go, then store.go, cache.go and conflict.go. After that, each file
// stands alone: link.go, manifest.go, tag.go, pointers.go, referrer.go, repository.go, epoch.go,
// event.go.
package object

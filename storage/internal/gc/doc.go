// Package gc removes unreferenced content from the storage of a registry: links of blobs that no
// manifest of their repository names, data that no link names, pointers to absent manifests and, on
// request, untagged manifests. It also removes what pushes and deletes leave behind when they die.
//
// [New] makes a [Collector], which runs one collection: package storage first expires uploads and
// finishes interrupted deletes of repositories, and then calls [Collector.Run].
//
// # The rule
//
// A collection runs beside pushes, deletes and other collections, on any replica, without a lock.
// Each of them may stall or die between any two requests.
//
//	A collection marks first, then looks whether anything needs the object,
//	and then removes the object on the version of its mark.
//	A user names the object first, and then looks at the mark.
//
// So one of the two sees the other. If the name comes before the look, the collection takes the
// mark off. If it comes after the look, the user sees the mark. The user then takes the mark off,
// which changes the version, so that the removal fails; or it finds that the object is gone.
//
// A read before the mark only chooses what to mark. It keeps content that is in use free of marks,
// and nothing depends on it. The grace period serves the same purpose: nothing that is in use is
// lost without it, but a push may have to send a blob again.
//
// If anything cannot be read, the collection ends with the error: nothing is removed on doubt. The
// next collection finds and finishes what a killed collection has left.
//
// # Steps in a repository
//
// The models are in internal/model. docs/gc.md lists the mutation of a model that shows why each of
// these orders is needed.
//
// Roots (roots.go; collect.pml, process Links). A root is a manifest that is visible, pending or
// marked, or that the history can restore. The manifests are read first, and the history after
// them: a delete writes its event before it removes the manifest. In the other order, a collection
// could read the history before the event is there and the manifests after the manifest is gone.
//
// Links (links.go; collect.pml, process Links).
//   - Condemn the link, then read the roots. A push writes its manifest as pending before it reads
//     the links that the manifest names. So the collection finds the manifest, or the push finds
//     the mark and restores the link.
//   - Remove or restore the link on the version of the mark.
//   - A hidden link needs no mark: a user must make it live before it relies on it, and that
//     changes the version.
//   - Make the removals durable before data are removed, so that a loss of power cannot bring back
//     a link without its data.
//
// Pointers (pointers.go; tags.pml, processes Orphans, Backrefs and Moves).
//   - Remove a pointer to an absent manifest in the version that was read before the look at the
//     manifest, so that a pointer that a push has written again stays.
//   - Write the manifest again before the last look at a tag that a back reference names. A push
//     that has written the back reference may still be about to write the tag. It checks the
//     version of the manifest after it has written the tag, and starts again if that has changed.
//
// Untagged manifests (untagged.go; tags.pml, process Untagged).
//   - Mark the manifest, then read the manifests, then what leads to the marked one, then the
//     history. The history comes last, because the event of a tag that moves on is written before
//     the tag moves.
//   - Read the mark again before anything is removed. What leads to the manifest was found before
//     that, so a push that takes the mark off later writes its pointers in new versions.
//   - Remove the back references, then the manifest, each on its version.
//
// Referrers of an absent subject (referrers.go; refs.pml, processes Untagged and Awaited).
//   - Mark the referrer, then write a record of the state Awaited in place of the subject, always
//     in a new version. A push of the subject whose write fails on that record takes the marks off
//     first. A record that was written before the mark would not do: a push may have found it when
//     there was no mark to take off.
//   - Remove the referrer before its entry, so that a push that takes marks off finds each referrer
//     by its entry.
//   - Take off the marks that remain before the Awaited record is removed: another collection may
//     rely on the record.
//
// # Steps in the whole storage
//
// Tombstones (data.go; collect.pml, process Data, last branch). A tombstone without data is left by
// a collection that died. The tombstone is read first, and then the data. A tombstone is written
// only for data that exist, and a name is never used again, so data that are absent then are gone
// for good. In the other order, the data and a new tombstone could be written between the two
// reads.
//
// Data (data.go; collect.pml, process Data).
//   - Write the tombstone, then look for names of the data: in the records of uploads first, and in
//     the links after them. A commit writes the link before it removes the record. In the other order,
//     a collection could miss both.
//   - Remove the data, make that durable, and then remove the tombstone. The writer of a link looks
//     for the tombstone first, and for the data after it, so it sees one of the two changes.
//   - Never remove the tombstone while the data exist: another collection may rely on it.
//
// The keys of the index are hints, so their order does not matter. They come after the links and
// data to remove those of links that have just gone. The catalog comes last, for repositories that
// have become empty.
//
// keep.pml and known.pml prove what deletes and pushes do about protected tags and epochs; a
// collection has no part in either, except that it ends the epochs of a repository that it puts
// back into the catalog.
//
// # Memory
//
// Memory does not grow with the storage, except for about one byte for each link, and for each
// manifest of one repository. What was read is kept as checksums of blocks of a list, so that a
// later look reads only what has changed (listSnapshot). What is needed is kept in Bloom filters of
// about four bytes for each element, up to Options.Memory (bloom). What is to be removed is removed
// in batches.
//
// # How to read it
//
// Start with collector.go (Run) and roots.go (collectRepository), and then read the files in the
// order of the sections above.
package gc

// Package evict keeps the mirrored repositories of a store below a size. It evicts the images that
// were not pulled for the longest time.
//
// # What is measured
//
// The size is that of the distinct blobs of the mirrored repositories. Repositories that share the
// data of a blob count it once: their links name the same data objects. A blob that is kept in its
// link (up to storage.InlineSize) counts once for each repository. Data that a pushed repository
// shares count, although an eviction does not free them. Manifests, uploads in progress, and data
// that a collection has not removed yet do not count.
//
// # What is evicted
//
// A unit is a tag, or an untagged manifest that nothing in the repository names, with all that it
// reaches: the children of an index as far as they are there, and referrers. Tags of the form
// sha256-<hex>, with or without a suffix, belong to the manifest in their name while it is there. A
// manifest that several units reach belongs to the one that was used last. Units go in the order of
// their last use, until the size is below the target.
//
// The last use is the last pull that package pulltime knows, or else when the manifest was fetched.
//
// Never evicted are: repositories outside Options.Prefixes; what a pin reaches; a unit with a
// manifest or blob that is being read in this process, see [Evictor.Reading]; and a unit of which
// anything was fetched or pulled within Options.MinAge, by any replica as far as its pulls are
// written.
//
// # How the space is freed
//
// An eviction deletes manifests. Options.Collect then removes the blobs that no manifest names any
// more, and the bytes that no repository has. A collection with the grace period of the store would
// keep them for a day after they were fetched. By default, the collection therefore has a grace
// period of MinAge for blobs of mirrored repositories and for bytes that no repository has, and
// that of the store for blobs of other repositories: pushes in progress lose nothing. A store with
// a history (storage.Options.History) keeps what is evicted for that time, so a mirror needs a
// store without one.
//
// A process that dies in the middle leaves manifests deleted whose blobs are still there. The next
// run does not count such blobs as needed, evicts no more than is missing, and collects.
//
// # Cost
//
// A look at the size makes one request for each thousand data objects, and goes no further while
// the size cannot have grown beyond MaxSize. Otherwise, and once an hour, a run lists each mirrored
// repository: one request for its name, one each for each thousand manifests, tags and blobs, and
// one for its pull times and for each replica that has some. A manifest, tag or blob is read once
// by each process, and again if it has changed. A collection reads all manifests and links of the
// storage. A process keeps about 5.5 KiB of memory for each image of ten layers: 55 MiB for 10,000
// images.
package evict

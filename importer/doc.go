// Package importer takes over the data of a CNCF registry (distribution, Docker Registry, Debian's
// docker-registry): the tree docker/registry/v2 in a directory or bucket. The old registry may serve
// reads meanwhile, and even writes.
//
//	src, err := importer.OpenDir("/var/lib/registry")
//	...
//	report, err := importer.Run(ctx, store, driver, src, nil)
//
// Run imports repositories, tags with the time at which they were set, manifests, and the layers that
// they name. A layer is linked or cloned if the storage can do that, and otherwise read once. A second
// Run takes over what came since the first one, so that the switch takes seconds.
//
// Damage is reported and skipped: a tag is set only if its image is whole. Run writes to the Store,
// below all filters: it makes no events, and neither quotas nor immutable tags bind it.
//
// For any other registry, copy over HTTP with package replicate. For OCI image layouts see package
// layout.
//
// # The old tree
//
// All paths are below docker/registry/v2. A link is a file that holds a digest and nothing else.
//
//	blobs/<alg>/<xx>/<hex>/data                            a layer, config or manifest
//	repositories/<name>/_layers/<alg>/<hex>/link           the repository has this layer or config
//	repositories/<name>/_manifests/revisions/<alg>/<hex>/link   the repository has this manifest
//	repositories/<name>/_manifests/tags/<tag>/current/link      the manifest that the tag points at
//	repositories/<name>/_manifests/tags/<tag>/index/…           what it pointed at before; not read
//	repositories/<name>/_uploads/…                              uploads in progress; not read
//
// <xx> are the first two characters of <hex>. The modification time of current/link is the time at which
// the tag was set. A link with the name of one digest may hold another one: the same bytes, under
// sha512 and sha256. Versions 2 and 3 of the old registry write the same tree; version 2 also stores
// manifests of schema 1, which are reported and skipped.
//
// # Links
//
// With a hard link, the old file and the new object are the same bytes on the disk under two names.
// That is safe, because neither registry ever writes to a layer in place: the old one renames finished
// uploads to blobs/, and the new one only removes its name. Each registry may delete its name, or be
// removed altogether, and the other one keeps the bytes. Two things remain to be considered:
//
//   - The file keeps its owner and mode. An account that can write to the old file can change the layer
//     in the new registry too. Use [LinkNever] if that account is not trusted.
//   - A disk that damages the file damages both registries. The old tree is no backup of the new one.
//
// A clone (a reflink on btrfs or xfs) has neither property, and costs no space either. Linux links a
// file of another user only for root, or if the importing user may read and write it.
//
// # Referrers
//
// A manifest with a subject field becomes a referrer of its subject, whichever way it was pushed. The old
// registry has no referrers API, so its clients also list referrers in an index under the fallback tag
// sha256-<hex>. The manifests in that index are imported, and those with a subject field appear in the
// referrers API, as the distribution specification demands. A manifest in the index without a subject
// field does not appear there: the specification derives the referrers from that field. It is imported
// too, the index still leads to it, and the report lists it with [ProblemSubject]. The fallback tag is
// imported like any other tag.
//
// # A second run
//
// For each repository, Run keeps a record of the tags and manifests that it has imported. A later Run
// with the same Options.ID compares it with the source:
//
//   - A tag that the source has not moved is left alone, whatever the destination made of it: a tag
//     that was moved or deleted in the new registry stays as it is.
//   - A tag that the source has moved is moved if the destination still has what the last Run wrote.
//     Otherwise it is reported with [ProblemKept]: a push to the new registry is never undone.
//   - A tag that the source has deleted is reported with [ProblemGone], or removed with Options.Delete,
//     on the same condition.
//
// For each repository that has not changed, a second Run reads the record, lists the tags and manifests
// of the source, and reads one link of a few bytes for each tag. It does not read manifests or layers,
// and asks the destination nothing else.
package importer

// Package scrub reads everything in a storage and checks that it is whole: the bytes of blobs and
// manifests against their digests, and the references between tags, manifests, blobs and referrers in
// both directions. It reports what is wrong, and repairs or quarantines it on request.
//
//	report, err := scrub.Run(ctx, store, driver, &scrub.Options{Repair: true})
//	...
//	for _, f := range report.Findings {
//		fmt.Println(f.Kind, f.Repository, f.Digest, f.Tag, f.Found, f.Repair)
//	}
//
// [Job] runs it on a schedule, on one replica at a time. A run can go on beside pushes, pulls, deletes
// and collections, and continues where an interrupted one has stopped, on any replica.
//
// # What is detected without a scrub
//
// Every read of a manifest, and of a blob of at most storage.InlineSize bytes, checks a checksum. A
// record that does not match counts as absent, so it is never served. The number of bytes of a larger
// blob is checked before its first byte is sent. Other changes of the bytes of a large blob are not
// detected by a pull: the client compares the digest, as every client does. A push does not mend them
// either, because the client finds the blob present.
//
// # What a run does about damage
//
// Without Options.Repair, a run changes nothing. With it:
//
//   - A blob whose bytes are wrong is quarantined: all repositories whose blob has these bytes lose it
//     together, so GET and HEAD return 404. A push or mount of the blob then uses other bytes. It is
//     restored at once if another repository has whole bytes.
//   - A manifest whose content is wrong is removed with the tags that point at it. Its [Loss] has the
//     names of the tags.
//   - A blob that a manifest names and the repository lacks is restored from another repository, unless
//     it may have been deleted on purpose.
//   - Wrong sizes, back references, entries of referrers, hints and the catalog are written again, and
//     references that lead nowhere are removed.
//
// A run records losses in the storage, see [Losses]. A loss is over when the content is back: a
// client pushes it again, or [Options].Source has it, such as the upstream of a mirror. Then a run also
// sets the tags again that it has removed, unless they exist.
//
// Most clients (docker, podman, skopeo, oras) ask for each blob before they push an image, and so mend
// it. crane asks for the manifest first and sends nothing if it is there: delete the tag and the manifest
// before, or use [Mend].
//
// # Errors are not damage
//
// A run acts only on what it has read twice. If the storage is unavailable, the run ends with an error.
// If single objects cannot be read, the run leaves them alone, goes on, and returns [ErrUnreadable].
//
// # What is not found
//
// A tag that is gone without a trace looks like a tag that was deleted. A blob or manifest that is gone
// looks like a deleted one, too, if anything was deleted from the repository since the manifest that names
// it was pushed: it is reported, and left as it is. A mirror's manifests name blobs that were never
// fetched, so these are not missing.
//
// # What it costs
//
// A run reads all bytes of blobs and manifests once, however many repositories share them. In addition,
// it makes three requests for each blob of a repository, one for each manifest, and two for each
// tag. Memory depends on the largest repository: about 40 bytes for each of its blobs and 400 for each
// of its manifests. Options.Rate and Options.Requests bound the load.
package scrub

// Package registrytest helps to test programs that talk to a registry, programs that embed one, and
// implementations of [registry.Backend].
//
// # Test a program
//
// [NewServer] starts a registry in memory for the duration of a test. [RandomImage], [Index] and
// [Artifact] create content to push, and [Content.Push] pushes it. [Faults] makes selected
// operations fail or wait. [NewStore] returns a Backend without HTTP.
//
// # Test a Backend
//
// To write a Backend, embed [registry.Unimplemented] in your type, and call [TestBackend] from a
// test of your package before you implement anything:
//
//	func TestBackend(t *testing.T) {
//		registrytest.TestBackend(t, func(t *testing.T) registry.Backend {
//			return mypackage.Wrap(registrytest.NewStore(t))
//		}, nil)
//	}
//
// Then implement one group of parts after the other, in the order below, with a pattern such as go
// test -run 'TestBackend/(Blob|Upload)'. The parts for reads push content first, so start with
// uploads and PutManifest. State what the Backend does not support in [Options]: the kit then
// checks that it rejects those operations and changes nothing. If several processes share the
// content, set Options.Reopen: the races then run on two backends. Run the finished kit with -race.
//
// # What the parts prove
//
// Each part runs on a Backend of its own, and each name is the name of a subtest.
//
// Reads, for every Backend:
//
//   - BlobSizes, BlobSeek, BlobReaders: blobs of every size read and seek correctly, also
//     concurrently.
//   - BlobUnknown, BlobInOtherRepository, ManifestUnknown, TagsOfNone, ReferrersOfNone: missing
//     content is reported with the right error, and a repository never shows the content of
//     another.
//   - ManifestKinds: manifests of all kinds are stored byte for byte under their media type.
//   - TagsOrder, RepositoriesOrder, Referrers: lists are complete and in order, from each position.
//   - InvalidName, InvalidTag, InvalidDigest: every operation rejects malformed arguments.
//   - ContextEndsReads: the end of a context is never reported as missing content.
//
// Writes, unless Options.ReadOnly is set, which runs WritesAreRefused instead:
//
//   - BlobSHA512, BlobWrongDigest, BlobAgain: a blob is stored only under a digest that it has, and
//     can be pushed again.
//   - UploadID, UploadName, UploadOfOthers: ids are unique and valid in URLs, and of use only to
//     the owner of the upload.
//   - UploadPieces, UploadManyPieces, UploadLarge: pieces of any size and number become one blob.
//   - UploadOutOfOrder, UploadTooShort, UploadTooLong, UploadReaderFails, UploadContextEnds: a
//     failed append loses no acknowledged byte, and the upload can continue.
//   - UploadCancel, UploadAfterCommit: an upload that has ended cannot be changed.
//   - UploadsApart, UploadRace: uploads do not mix, and one of several appends at an offset
//     succeeds.
//   - CommitLast and the parts whose names start with it: the last chunk and the Commit are one
//     step.
//   - CommitSeveralDigests: a blob is stored only if it has all digests of the Commit.
//   - MountFrom, MountSearch, MountRefused, MountUnknown: a mount reads only from allowed
//     repositories and reveals nothing about others.
//   - ManifestSHA512, ManifestTags, ManifestAgain, TagMoves, TagsAtOnce: pushes set their tags.
//   - PutReports: a push reports the artifact type, and where its tags pointed before. See
//     Options.NoReports.
//   - ManifestMissing, ManifestOptionalMissing, ManifestWrongSize, ManifestWrongSizeAccepted,
//     ManifestWrongDigest, ManifestInvalid: a manifest is visible only if it is valid and complete.
//   - ManifestSparse: only a sparse push may lack content, and it proves nothing to other pushes.
//   - ManifestMediaType, ManifestMediaTypeRace: content without a media type is never served as
//     two.
//   - TagMovesRace, TagIfAbsent, TagIfAbsentRace, ReferrersAtOnce: concurrent pushes lose nothing,
//     and one of several callers creates a tag.
//   - ContextEndsWrites: a write whose context ends leaves nothing incomplete.
//   - Reopen: another process sees all content and resumes uploads.
//
// Conditions, unless Options.NoConditions is set, which runs ConditionsAreRefused instead:
//
//   - ConditionOfTag, ConditionOfManifest, ConditionOfSeveralTags: a write whose condition does not
//     hold changes nothing.
//   - ConditionRace, ConditionCreateRace, ConditionSeveralTagsRace, ReadModifyWrite: conditions are
//     checked and applied in one atomic step.
//   - ConditionOfDelete, ConditionOfDeleteRace: the same for deletes.
//
// Deletes, unless Options.NoDelete is set, which runs DeletesAreRefused instead:
//
//   - DeleteTag, DeleteManifest, DeleteReferrer, DeleteBlob, DeleteUnknown, DeleteMounted: exactly
//     the requested content is deleted.
//   - DeleteReports: a delete reports what it has deleted. See Options.NoReports.
//   - DeleteBesidePush, DeleteKeepsLaterTags: concurrent pushes and deletes leave only complete
//     content.
//   - KnownManifest: an existing manifest is rejected like a new one after its content was deleted.
//
// Kept tags, unless Options.NoIfAbsent is set, which runs KeepIsRefused instead:
//
//   - Keep, KeepWhole, KeepLeavesSubject, KeepBesideDelete, ImmutableRace: what a kept tag reaches
//     can be neither deleted nor replaced.
//   - DeleteBlobIfUnused, DeleteBlobIfUnusedRace: a blob that a manifest names is kept.
//   - DeleteManifestIfUnused, DeleteManifestIfUnusedRace: a manifest that a tag, another manifest or
//     its subject leads to is kept.
//   - DeleteNotSetAfter: a tag that was set again is kept, and an unused manifest that was pushed
//     again.
//
// History, if Options.History is set; otherwise HistoryIsRefused runs:
//
//   - HistoryOfTag: each change of a tag is recorded.
//   - RestoreTag, RestoreManifest, RestoreRepository, RestoreBesideDelete: deleted content can be
//     restored and is complete.
//   - RestoreReports: a restore reports each manifest with its tags.
//   - RestoreUnused: a manifest that was deleted because nothing led to it can be restored.
//
// Whole repositories, unless Options.NoDeleteRepository is set, which runs
// DeleteRepositoryIsRefused instead:
//
//   - DeleteRepository, DeleteRepositoryBesidePush: a repository is deleted completely, and nothing
//     of others is.
package registrytest

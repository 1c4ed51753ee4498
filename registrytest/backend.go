package registrytest

import (
	"slices"
	"testing"

	"github.com/registrykit/registry"
)

// Defaults of [Options].
const (
	// DefaultOwner is the default of Options.Owner.
	DefaultOwner = "alice"
	// DefaultLargeSize is the default of Options.LargeSize, in bytes.
	DefaultLargeSize = 8 << 20
	// DefaultAppends is the default of Options.Appends.
	DefaultAppends = 2000
	// DefaultWriters is the default of Options.Writers.
	DefaultWriters = 32
)

// Options are the options of [TestBackend]. They state what a backend does not support and how much
// the kit tries. The zero value tests the whole contract of [registry.Backend]. An unsupported
// operation must fail as unsupported and change nothing, which the kit also tests.
type Options struct {
	// Reopen returns another backend on the content of b, as another process would open it. b stays
	// in use. With Reopen, the kit tests that each backend sees the writes of the other, and that
	// an upload continues in the other. Default: nil, which skips these tests.
	Reopen func(t *testing.T, b registry.Backend) registry.Backend
	// ReadOnly states that the backend rejects writes. It returns a writable backend whose content
	// b shows. Default: nil, the backend is writable.
	ReadOnly func(t *testing.T, b registry.Backend) registry.Backend

	// Owner is the owner of the uploads. If the backend acts for one identity, it is the name of
	// that identity. Default: DefaultOwner.
	Owner string
	// FillsOwner states that the backend acts for one identity and replaces an empty owner by it,
	// as Registry.Backend does. Default: false.
	FillsOwner bool
	// MaxName is the maximum length of a repository name, in bytes. Default: 255.
	MaxName int

	// NoDelete states that nothing can be deleted. Default: false.
	NoDelete bool
	// NoDeleteRepository states that DeleteRepository is not supported. Default: false.
	NoDeleteRepository bool
	// NoMount states that blobs cannot be mounted: MountBlob always returns that there is nothing
	// to mount. Default: false.
	NoMount bool
	// NoMountSearch states that a mount with MountOptions.Allow must name its source. Default:
	// false.
	NoMountSearch bool
	// NoIfAbsent states that TagPut.IfAbsent, TagPut.Keep, DeleteOptions.Keep,
	// DeleteOptions.IfUnused and DeleteOptions.NotSetAfter are not supported. Default: false.
	NoIfAbsent bool
	// NoConditions states that registry.Condition is not supported. Default: false.
	NoConditions bool
	// NoReports states that the backend does not know which tags a write has moved, and what a
	// delete has deleted: PutResult.Moved is empty, and DeleteOptions.Deleted is not called, or
	// with the digest alone. Default: false.
	NoReports bool
	// History states that the backend keeps a history of at least one hour and can restore from it.
	// Default: false, which tests that History and Restore are rejected.
	History bool
	// Opaque states that the backend does not parse manifests: it rejects none and has no
	// referrers. Default: false.
	Opaque bool
	// Sparse states that manifests may name content that the repository does not have. Default:
	// false.
	Sparse bool
	// Remote states that uploads travel over a connection. After a failed Append, fewer bytes may
	// have been received than were read, and the size may be up to date only a moment later. The
	// last chunk of a Commit is appended in a separate step, so that another caller may append in
	// between. A Commit with several digests of which a later one is wrong may leave the blob under
	// the first. Default: false.
	Remote bool

	// Skip lists the parts that do not apply to the backend, by their names. A backend needs it only
	// if it keeps a weaker contract that none of the other options describes, and documents that.
	// Default: none.
	Skip []string

	// LargeSize is the size of the large blob, in bytes. Default: DefaultLargeSize.
	LargeSize int64
	// Appends is the number of small appends of one upload. Default: DefaultAppends.
	Appends int
	// Writers is the number of concurrent goroutines in a race. Default: DefaultWriters.
	Writers int
}

// suite is one run of TestBackend.
type suite struct {
	Options
	newBackend func(t *testing.T) registry.Backend
}

// TestBackend tests that a backend keeps the contract of [registry.Backend]. newBackend returns an
// empty backend. TestBackend calls it at least once for each part, with the test of that part. opts
// may be nil.
//
// The package comment describes the parts, and the order in which to make them pass.
func TestBackend(t *testing.T, newBackend func(t *testing.T) registry.Backend, opts *Options) {
	t.Helper()
	s := newSuite(newBackend, opts)
	run := func(parts []part) {
		for _, p := range parts {
			t.Run(p.name, func(t *testing.T) {
				if slices.Contains(s.Skip, p.name) {
					t.Skip("the backend does not keep this part of the contract")
				}
				p.test(t)
			})
		}
	}
	run(s.readers())
	if s.ReadOnly != nil {
		t.Run("WritesAreRefused", s.writesRefused)
		return
	}
	run(s.writers())
	if s.NoConditions {
		t.Run("ConditionsAreRefused", s.conditionsRefused)
	} else {
		run(s.conditionalWriters())
	}
	if s.NoDelete {
		t.Run("DeletesAreRefused", s.deletesRefused)
		return
	}
	run(s.deleters())
	if !s.NoConditions {
		run(s.conditionalDeleters())
	}
	if s.NoIfAbsent {
		t.Run("KeepIsRefused", s.keepRefused)
	} else {
		run(s.keepers())
	}
	if !s.History {
		t.Run("HistoryIsRefused", s.historyRefused)
	} else {
		run(s.historians())
	}
	if s.NoDeleteRepository {
		t.Run("DeleteRepositoryIsRefused", s.deleteRepositoryRefused)
	} else {
		run(s.repositoryDeleters())
	}
}

func newSuite(newBackend func(t *testing.T) registry.Backend, opts *Options) *suite {
	s := &suite{newBackend: newBackend}
	if opts != nil {
		s.Options = *opts
	}
	if s.Owner == "" {
		s.Owner = DefaultOwner
	}
	if s.MaxName == 0 {
		s.MaxName = 255
	}
	if s.LargeSize == 0 {
		s.LargeSize = DefaultLargeSize
	}
	if s.Appends == 0 {
		s.Appends = DefaultAppends
	}
	if s.Writers == 0 {
		s.Writers = DefaultWriters
	}
	return s
}

// part is one part of the kit. The package comment describes each.
type part struct {
	name string
	test func(t *testing.T)
}

// readers lists the parts for every backend.
func (s *suite) readers() []part {
	return []part{
		{"BlobSizes", s.blobSizes},
		{"BlobSeek", s.blobSeek},
		{"BlobReaders", s.blobReaders},
		{"BlobUnknown", s.blobUnknown},
		{"BlobInOtherRepository", s.blobInOtherRepository},
		{"ManifestKinds", s.manifestKinds},
		{"ManifestUnknown", s.manifestUnknown},
		{"TagsOrder", s.tagsOrder},
		{"TagsOfNone", s.tagsOfNone},
		{"RepositoriesOrder", s.repositoriesOrder},
		{"Referrers", s.referrers},
		{"ReferrersOfNone", s.referrersOfNone},
		{"InvalidName", s.invalidName},
		{"InvalidTag", s.invalidTag},
		{"InvalidDigest", s.invalidDigest},
		{"ContextEndsReads", s.contextEndsReads},
	}
}

// writers lists the parts for writable backends.
func (s *suite) writers() []part {
	return []part{
		{"BlobSHA512", s.blobSHA512},
		{"BlobWrongDigest", s.blobWrongDigest},
		{"BlobAgain", s.blobAgain},
		{"UploadID", s.uploadID},
		{"UploadName", s.uploadName},
		{"UploadPieces", s.uploadPieces},
		{"UploadManyPieces", s.uploadManyPieces},
		{"UploadLarge", s.uploadLarge},
		{"UploadOutOfOrder", s.uploadOutOfOrder},
		{"UploadTooShort", s.uploadTooShort},
		{"UploadTooLong", s.uploadTooLong},
		{"UploadOfOthers", s.uploadOfOthers},
		{"UploadCancel", s.uploadCancel},
		{"UploadAfterCommit", s.uploadAfterCommit},
		{"UploadsApart", s.uploadsApart},
		{"UploadRace", s.uploadRace},
		{"UploadReaderFails", s.uploadReaderFails},
		{"UploadContextEnds", s.uploadContextEnds},
		{"CommitLast", s.commitLast},
		{"CommitLastOutOfOrder", s.commitLastOutOfOrder},
		{"CommitLastFails", s.commitLastFails},
		{"CommitLastWrongDigest", s.commitLastWrongDigest},
		{"CommitLastRace", s.commitLastRace},
		{"CommitLastOneStep", s.commitLastOneStep},
		{"CommitSeveralDigests", s.commitSeveralDigests},
		{"MountFrom", s.mountFrom},
		{"MountSearch", s.mountSearch},
		{"MountRefused", s.mountRefused},
		{"MountUnknown", s.mountUnknown},
		{"ManifestSHA512", s.manifestSHA512},
		{"ManifestTags", s.manifestTags},
		{"ManifestAgain", s.manifestAgain},
		{"ManifestMissing", s.manifestMissing},
		{"ManifestSparse", s.manifestSparse},
		{"ManifestOptionalMissing", s.manifestOptionalMissing},
		{"ManifestWrongSize", s.manifestWrongSize},
		{"ManifestWrongSizeAccepted", s.manifestWrongSizeAccepted},
		{"ManifestWrongDigest", s.manifestWrongDigest},
		{"ManifestMediaType", s.manifestMediaType},
		{"ManifestMediaTypeRace", s.manifestMediaTypeRace},
		{"ManifestInvalid", s.manifestInvalid},
		{"TagMoves", s.tagMoves},
		{"TagMovesRace", s.tagMovesRace},
		{"TagIfAbsent", s.tagIfAbsent},
		{"TagIfAbsentRace", s.tagIfAbsentRace},
		{"TagsAtOnce", s.tagsAtOnce},
		{"PutReports", s.putReports},
		{"ReferrersAtOnce", s.referrersAtOnce},
		{"ContextEndsWrites", s.contextEndsWrites},
		{"Reopen", s.reopen},
	}
}

// conditionalWriters lists the parts for backends that support conditions.
func (s *suite) conditionalWriters() []part {
	return []part{
		{"ConditionOfTag", s.conditionOfTag},
		{"ConditionOfManifest", s.conditionOfManifest},
		{"ConditionOfSeveralTags", s.conditionOfSeveralTags},
		{"ConditionRace", s.conditionRace},
		{"ConditionCreateRace", s.conditionCreateRace},
		{"ConditionSeveralTagsRace", s.conditionSeveralTagsRace},
		{"ReadModifyWrite", s.readModifyWrite},
	}
}

// conditionalDeleters lists the parts for backends that support conditions and deletes.
func (s *suite) conditionalDeleters() []part {
	return []part{
		{"ConditionOfDelete", s.conditionOfDelete},
		{"ConditionOfDeleteRace", s.conditionOfDeleteRace},
	}
}

// deleters lists the parts for backends that support deletes.
func (s *suite) deleters() []part {
	return []part{
		{"DeleteTag", s.deleteTag},
		{"DeleteManifest", s.deleteManifest},
		{"DeleteReferrer", s.deleteReferrer},
		{"DeleteBlob", s.deleteBlob},
		{"DeleteUnknown", s.deleteUnknown},
		{"DeleteMounted", s.deleteMounted},
		{"DeleteReports", s.deleteReports},
		{"DeleteBesidePush", s.deleteBesidePush},
		{"DeleteKeepsLaterTags", s.deleteKeepsLaterTags},
		{"KnownManifest", s.knownManifest},
	}
}

// keepers lists the parts for backends that can keep tags.
func (s *suite) keepers() []part {
	return []part{
		{"Keep", s.keep},
		{"KeepWhole", s.keepWhole},
		{"KeepLeavesSubject", s.keepLeavesSubject},
		{"KeepBesideDelete", s.keepBesideDelete},
		{"ImmutableRace", s.immutableRace},
		{"DeleteBlobIfUnused", s.deleteBlobIfUnused},
		{"DeleteBlobIfUnusedRace", s.deleteBlobIfUnusedRace},
		{"DeleteManifestIfUnused", s.deleteManifestIfUnused},
		{"DeleteManifestIfUnusedRace", s.deleteManifestIfUnusedRace},
		{"DeleteNotSetAfter", s.deleteNotSetAfter},
	}
}

// historians lists the parts for backends with a history.
func (s *suite) historians() []part {
	parts := []part{
		{"HistoryOfTag", s.historyOfTag},
		{"RestoreTag", s.restoreTag},
		{"RestoreManifest", s.restoreManifest},
		{"RestoreBesideDelete", s.restoreBesideDelete},
		{"RestoreReports", s.restoreReports},
		{"RestoreUnused", s.restoreUnused},
	}
	if !s.NoDeleteRepository {
		parts = append(parts, part{"RestoreRepository", s.restoreRepository})
	}
	return parts
}

// repositoryDeleters lists the parts for backends that can delete repositories.
func (s *suite) repositoryDeleters() []part {
	return []part{
		{"DeleteRepository", s.deleteRepository},
		{"DeleteRepositoryBesidePush", s.deleteRepositoryBesidePush},
	}
}

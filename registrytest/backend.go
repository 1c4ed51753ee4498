package registrytest

import (
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

// Options are the options of [TestBackend]: what a backend cannot do, and how hard it is tried.
// nil, the zero Options, asks for the whole contract of [registry.Backend]. What a backend says it
// cannot do must fail as unsupported and change nothing.
type Options struct {
	// Reopen, unless nil, returns another backend on what b stores, as another process would have
	// it; b stays in use. Then it is tested that both see what either does, and that an upload goes
	// on in the other. Default: nil.
	Reopen func(t *testing.T, b registry.Backend) registry.Backend
	// ReadOnly, unless nil, says that the backend takes no writes, and returns one that does, whose
	// content b shows. Default: nil.
	ReadOnly func(t *testing.T, b registry.Backend) registry.Backend

	// Owner is who the uploads belong to: if the backend acts for one identity, its name. Default:
	// DefaultOwner.
	Owner string
	// FillsOwner says that the backend acts for one identity and takes an owner of "" for that
	// identity, as Registry.Backend does. Default: false.
	FillsOwner bool
	// MaxName is the length in bytes of the longest name of a repository. Default: 255.
	MaxName int

	// NoDelete says that nothing can be deleted. Default: false.
	NoDelete bool
	// NoDeleteRepository says that repositories cannot be deleted as a whole. Default: false.
	NoDeleteRepository bool
	// NoMount says that blobs cannot be mounted: the answer is always that there is nothing to
	// mount. Default: false.
	NoMount bool
	// NoMountSearch says that a mount must name its source, at least if its Allow is to be asked.
	// Default: false.
	NoMountSearch bool
	// NoIfAbsent says that the conditions TagPut.IfAbsent, TagPut.Keep, DeleteOptions.Keep and
	// DeleteOptions.IfUnused are not supported. Default: false.
	NoIfAbsent bool
	// NoConditions says that registry.Condition is not supported. Default: false.
	NoConditions bool
	// History says that the backend keeps a history of at least an hour, from which it can restore.
	// Default: false, it refuses both.
	History bool
	// Opaque says that manifests are stored without being looked into: nothing is refused, and
	// there are no referrers. Default: false.
	Opaque bool
	// Sparse says that manifests may name content which the repository does not have. Default:
	// false.
	Sparse bool
	// Remote says that the bytes of an upload go a way on which some may be lost: after an Append
	// that has failed, fewer may have been received than were read, and that may show a moment
	// later; and the last chunk of a Commit is added in a step of its own, so that somebody else
	// may add in between; and a Commit by several digests of which a further one is wrong may leave
	// the blob behind by the first. Default: false.
	Remote bool

	// LargeSize is the size of a large blob in bytes. Default: DefaultLargeSize.
	LargeSize int64
	// Appends is how many small pieces a blob is uploaded in. Default: DefaultAppends.
	Appends int
	// Writers is how many goroutines race. Default: DefaultWriters.
	Writers int
}

// suite is one run of TestBackend.
type suite struct {
	Options
	newBackend func(t *testing.T) registry.Backend
}

// TestBackend checks that the backends newBackend returns keep the contract of [registry.Backend].
// newBackend is called at least once for each part, with the test of that part, and returns an
// empty backend. opts may be nil.
//
//	func TestBackend(t *testing.T) {
//		registrytest.TestBackend(t, func(t *testing.T) registry.Backend {
//			return mypackage.Wrap(registrytest.NewStore(t))
//		}, nil)
//	}
func TestBackend(t *testing.T, newBackend func(t *testing.T) registry.Backend, opts *Options) {
	t.Helper()
	s := newSuite(newBackend, opts)
	run := func(parts []part) {
		for _, p := range parts {
			t.Run(p.name, p.test)
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

// part is one part of the kit.
type part struct {
	name string
	test func(t *testing.T)
}

// readers are the parts for all backends.
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

// writers are the parts for backends that take writes.
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
		{"ReferrersAtOnce", s.referrersAtOnce},
		{"ContextEndsWrites", s.contextEndsWrites},
		{"Reopen", s.reopen},
	}
}

// conditionalWriters are the parts for backends that take conditions.
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

// conditionalDeleters are the parts for backends that can delete on a condition.
func (s *suite) conditionalDeleters() []part {
	return []part{
		{"ConditionOfDelete", s.conditionOfDelete},
		{"ConditionOfDeleteRace", s.conditionOfDeleteRace},
	}
}

// deleters are the parts for backends that can delete.
func (s *suite) deleters() []part {
	return []part{
		{"DeleteTag", s.deleteTag},
		{"DeleteManifest", s.deleteManifest},
		{"DeleteReferrer", s.deleteReferrer},
		{"DeleteBlob", s.deleteBlob},
		{"DeleteUnknown", s.deleteUnknown},
		{"DeleteMounted", s.deleteMounted},
		{"DeleteBesidePush", s.deleteBesidePush},
		{"DeleteKeepsLaterTags", s.deleteKeepsLaterTags},
		{"KnownManifest", s.knownManifest},
	}
}

// keepers are the parts for backends that keep tags.
func (s *suite) keepers() []part {
	return []part{
		{"Keep", s.keep},
		{"KeepWhole", s.keepWhole},
		{"KeepLeavesSubject", s.keepLeavesSubject},
		{"KeepBesideDelete", s.keepBesideDelete},
		{"ImmutableRace", s.immutableRace},
		{"DeleteBlobIfUnused", s.deleteBlobIfUnused},
		{"DeleteBlobIfUnusedRace", s.deleteBlobIfUnusedRace},
	}
}

// historians are the parts for backends that keep a history.
func (s *suite) historians() []part {
	parts := []part{
		{"HistoryOfTag", s.historyOfTag},
		{"RestoreTag", s.restoreTag},
		{"RestoreManifest", s.restoreManifest},
		{"RestoreBesideDelete", s.restoreBesideDelete},
	}
	if !s.NoDeleteRepository {
		parts = append(parts, part{"RestoreRepository", s.restoreRepository})
	}
	return parts
}

// repositoryDeleters are the parts for backends that can delete whole repositories.
func (s *suite) repositoryDeleters() []part {
	return []part{
		{"DeleteRepository", s.deleteRepository},
		{"DeleteRepositoryBesidePush", s.deleteRepositoryBesidePush},
	}
}

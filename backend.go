package registry

import (
	"context"
	"io"
	"iter"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry/reference"
)

// Backend is what a registry can do, apart from HTTP. Store in package storage is the standard
// Backend; others wrap a Backend or represent something remote.
//
// An implementation embeds [Unimplemented]. An operation that a later version adds to this
// interface then fails with ErrUnsupported, instead of bypassing the implementation. All methods
// must be safe for concurrent use.
//
// Names, tags and digests that arrive over HTTP are valid. Go code can pass anything, so a Backend
// checks them with [CheckName], [CheckTag], [CheckDigest] and [CheckRef].
//
// An error that a client may see is an [*Error]. Each method lists those that it returns. In
// addition, any method may return ErrNameInvalid, ErrTagInvalid, ErrDigestInvalid, ErrUnsupported,
// ErrUnavailable, ErrTooManyRequests and ErrDenied. Any other error is logged, and the client gets
// a 500 without its text.
type Backend interface {
	Reader
	Writer
	Deleter
	Lister
	Restorer
	backend()
}

// Reader is the part of [Backend] that reads one blob or manifest.
type Reader interface {
	// OpenBlob returns a blob of the repository. The caller must close its Body.
	//
	// Errors: ErrBlobUnknown.
	OpenBlob(ctx context.Context, repo string, d digest.Digest, opts *OpenOptions) (*Blob, error)

	// StatBlob returns the descriptor of a blob of the repository: digest, size, and the media type
	// application/octet-stream.
	//
	// Errors: ErrBlobUnknown.
	StatBlob(ctx context.Context, repo string, d digest.Digest, opts *StatOptions) (ocispec.Descriptor, error)

	// GetManifest returns the manifest with the tag or digest.
	//
	// Errors: ErrManifestUnknown.
	GetManifest(ctx context.Context, repo string, ref reference.Ref) (*Manifest, error)

	// StatManifest returns the descriptor of the manifest with the tag or digest: media type,
	// digest and size.
	//
	// Errors: ErrManifestUnknown.
	StatManifest(ctx context.Context, repo string, ref reference.Ref, opts *StatOptions) (ocispec.Descriptor, error)
}

// Writer is the part of [Backend] that adds to a repository.
type Writer interface {
	// CreateUpload begins the upload of a blob. See [PushBlob] for a whole blob in one call.
	CreateUpload(ctx context.Context, repo string, opts *UploadOptions) (Upload, error)

	// ResumeUpload returns the upload with the id, with what it has received so far. The repository
	// must be that of the upload, and the owner in opts must be the one that began it.
	//
	// Errors: ErrUploadUnknown, also for an upload of another owner or repository.
	ResumeUpload(ctx context.Context, repo, id string, opts *ResumeOptions) (Upload, error)

	// MountBlob adds a blob of another repository to this one, without a transfer of its bytes.
	//
	// Errors: ErrBlobUnknown if there is no blob to mount. The caller then uploads the blob.
	MountBlob(ctx context.Context, repo string, d digest.Digest, opts *MountOptions) (ocispec.Descriptor, error)

	// PutManifest stores a manifest and points tags at it. mediaType is the client's Content-Type,
	// or "". The repository must have everything that the manifest names, even if it has the
	// manifest already. Exceptions are the subject and layers of a non-distributable type.
	//
	// Content that does not state its own media type has the media type of its first push. A push
	// with a tag may change that type while no tag leads to the manifest: no tag points at it, at
	// an index that names it at any depth, or in one of these ways at its subject. Afterwards, and
	// always without a tag, another media type is refused with ErrManifestInvalid.
	//
	// Errors: ErrManifestInvalid, ErrManifestTooLarge, ErrManifestBlobUnknown, ErrDigestInvalid,
	// ErrTagExists, ErrPreconditionFailed, ErrNoSpace.
	PutManifest(ctx context.Context, repo, mediaType string, content []byte, opts *PutOptions) (PutResult, error)
}

// Deleter is the part of [Backend] that removes from a repository. Garbage collection frees the
// space later.
type Deleter interface {
	// DeleteBlob removes a blob from the repository.
	//
	// Errors: ErrBlobUnknown; ErrDenied if DeleteOptions.Keep or DeleteOptions.IfUnused forbids it;
	// ErrPreconditionFailed.
	DeleteBlob(ctx context.Context, repo string, d digest.Digest, opts *DeleteOptions) error

	// DeleteManifest removes a tag, or a manifest with all its tags.
	//
	// Errors: ErrManifestUnknown; ErrDenied if DeleteOptions.Keep or DeleteOptions.IfUnused forbids
	// it; ErrPreconditionFailed.
	DeleteManifest(ctx context.Context, repo string, ref reference.Ref, opts *DeleteOptions) error

	// DeleteRepository removes a repository and all its content.
	//
	// Errors: ErrNameUnknown; ErrDenied if DeleteOptions.Keep forbids it; ErrUnsupported if
	// DeleteOptions.If is set.
	DeleteRepository(ctx context.Context, repo string, opts *DeleteOptions) error
}

// Lister is the part of [Backend] that lists. An error ends an iteration.
type Lister interface {
	// Repositories yields the names of the repositories in ascending byte order.
	Repositories(ctx context.Context, opts *ListOptions) iter.Seq2[string, error]

	// Tags yields the tags of the repository in ascending byte order.
	//
	// Errors: ErrNameUnknown.
	Tags(ctx context.Context, repo string, opts *ListOptions) iter.Seq2[string, error]

	// Referrers yields the descriptors of the manifests in the repository whose subject has the
	// digest, in ascending order of their digests. A missing subject or repository is not an error:
	// nothing is yielded.
	Referrers(ctx context.Context, repo string, d digest.Digest, opts *ReferrersOptions) iter.Seq2[ocispec.Descriptor,
		error]
}

// Blob is the result of OpenBlob.
type Blob struct {
	// Descriptor has the digest and size of the blob.
	Descriptor ocispec.Descriptor
	// Body reads the bytes, and must be closed. It opens nothing before the first Read. It is nil if
	// URL is set.
	//
	// A Body may implement [FileSource]. It may also have a method Until(end int64): the caller then
	// announces that it reads from the current position up to end and seeks afterwards, so that a
	// storage on the network need not fetch more.
	//
	// A Body whose bytes may not have come yet may have a method Await(idle func()). It returns when
	// the next Read does not have to wait, or fails. If that takes time, it calls idle first. The
	// caller can then send what it has, and needs no buffer in the meantime.
	Body io.ReadSeekCloser
	// URL, if not "", is an address from which the client itself can fetch the bytes for a limited
	// time. It is set only if OpenOptions.AllowURL is.
	URL string
}

// FileSource is an optional interface of [Blob].Body, for bytes that come from files. A server uses
// it to send a file without copying it through the process (sendfile). A blob may consist of several
// files, one for each part.
//
// A wrapper that reads, counts or changes the bytes must not have this method, because the server
// then bypasses its Read.
type FileSource interface {
	// Source returns the reader that the next Read would use, at the current position, and the number
	// n of bytes that it has of the blob. It may have more bytes than the blob, so the caller reads at
	// most n. After it has read any, the caller moves the Body behind them with Seek, and may then ask
	// for the next part. n is 0 only at the end of the blob. The next Seek, Read or Close of the Body
	// may close the reader.
	//
	// If r is no file, the caller reads the same bytes from the Body.
	Source() (r io.Reader, n int64, err error)
}

// StatOptions are the options of [Reader].StatBlob and StatManifest.
type StatOptions struct {
	// Renew reports whether the caller may rely on existing content and skip its upload, which
	// requires push access. If it returns true, the grace period of the content is renewed, so that
	// garbage collection does not remove it soon. Default: nothing is renewed.
	//
	// Renew is a function, not a flag, so that the permission is checked only when it matters: the
	// Backend calls it only for content old enough to be at risk of collection. An [Interceptor]
	// sees each call as an operation of its own, OpRenew.
	Renew func(ctx context.Context) bool
}

// OpenOptions are the options of [Reader].OpenBlob.
type OpenOptions struct {
	// AllowURL accepts a Blob with a URL instead of a Body. Default: the Blob has a Body.
	AllowURL bool
	// Range is the only part of the blob that the caller is going to read, as far as it knows. It is
	// a hint: the Body is that of the whole blob in any case. A mirror can fetch a small part alone.
	// Default: nil, the caller may read everything.
	Range *ByteRange
}

// ByteRange is a part of a blob, as a client asks for it before the size of the blob is known. It
// corresponds to one range of RFC 9110, section 14.1.2.
type ByteRange struct {
	// First is the position of the first byte, or -1 for a suffix of Length bytes.
	First int64
	// Length is the number of bytes, or -1 for everything from First on.
	Length int64
}

// Manifest is the result of GetManifest.
type Manifest struct {
	// Descriptor has the media type, digest and size.
	Descriptor ocispec.Descriptor
	// Content is the manifest, byte for byte as it was pushed. It must not be modified.
	Content []byte
}

// UploadOptions are the options of [Writer].CreateUpload.
type UploadOptions struct {
	// Owner is the only identity that may continue the upload, by name. "" is anonymous. All
	// anonymous callers are the same owner, so among them only the secrecy of the upload's ID
	// protects it. Registry.Backend sets it to the name of its identity.
	Owner string
	// Algorithm is the algorithm of the digest under which the blob will be committed. Default:
	// sha256. Commit accepts a digest of another algorithm, at the cost of reading the blob once
	// more.
	Algorithm digest.Algorithm
	// Size is the expected size of the blob in bytes, a hint. Zero means unknown.
	Size int64
}

// ResumeOptions are the options of [Writer].ResumeUpload.
type ResumeOptions struct {
	// Owner is the identity that began the upload, see UploadOptions.Owner. Registry.Backend sets it
	// to the name of its identity if it is "", and returns ErrUploadUnknown for any other owner.
	Owner string
	// Continue states that id is the newest one that the caller received, and that Append or Commit
	// comes next. A Backend may then rely on what it remembers of the upload instead of looking it
	// up, as long as the write fails if that is outdated.
	Continue bool
}

// Upload is a blob that is being received. It holds no resources: the caller may drop it at any
// time. Until the upload expires, ResumeUpload finds it again, in this process or another one over
// the same storage.
//
// An Upload value is not safe for concurrent use. If several values for one upload append at the
// same offset, exactly one succeeds.
type Upload interface {
	// ID identifies the upload to ResumeUpload. It cannot be guessed, and has at most 255
	// characters, none of which needs escaping in a URL. Append may change the ID. Older IDs still
	// resume the upload without ResumeOptions.Continue.
	ID() string

	// Name identifies the upload to people and clients, in the header Docker-Upload-UUID. It stays
	// the same from CreateUpload to the end, also when the upload is resumed elsewhere, and is
	// unique. It has the form of an ID, but is not necessarily one.
	Name() string

	// Size is the number of bytes received so far.
	Size() int64

	// Append adds length bytes of r at offset and reads no more of r than these. A length of -1
	// means all of r. It returns the number of bytes added. If r fails or ends early, or ctx ends,
	// the bytes received so far are kept: see Size.
	//
	// Errors: ErrRangeInvalid if offset is not Size, or another caller appended first;
	// ErrUploadUnknown if the upload has been committed or cancelled; ErrSizeInvalid if r had fewer
	// than length bytes; ErrBlobTooLarge; ErrNoSpace; the error of r, wrapped.
	Append(ctx context.Context, offset, length int64, r io.Reader) (int64, error)

	// Commit ends the upload and adds the blob to the repository under d. When it returns, the blob
	// survives a loss of power.
	//
	// last, unless nil, is appended first, in the same step: if several callers commit, exactly one
	// appends and commits, and no other caller appends in between. The content must also have the
	// digests in also, which are of other algorithms than d. After ErrDigestInvalid the upload is
	// gone; after any other error the bytes received so far are kept.
	//
	// Errors: ErrDigestInvalid, ErrUploadUnknown, ErrRangeInvalid if another caller appended in the
	// meantime, ErrNoSpace; with last, those of Append.
	Commit(ctx context.Context, d digest.Digest, last *Chunk, also ...digest.Digest) (ocispec.Descriptor, error)

	// Cancel ends the upload and drops the bytes received so far.
	//
	// Errors: ErrUploadUnknown.
	Cancel(ctx context.Context) error
}

// Chunk is the part of a blob that [Upload].Commit appends.
type Chunk struct {
	// Offset is the position of the chunk: the Size of the upload.
	Offset int64
	// Length is the number of bytes. -1 means all of Body.
	Length int64
	// Body holds the bytes.
	Body io.Reader
}

// MountOptions are the options of [Writer].MountBlob.
type MountOptions struct {
	// From is the repository that has the blob. "" searches for a repository that Allow permits,
	// among a bounded number.
	From string
	// Prefixes, unless empty, limits a search for the source to repositories whose names begin with
	// one of them. "" is a prefix of every name. It makes a search faster, and has no effect if
	// From is set.
	Prefixes []string
	// Allow returns nil if the caller may pull from a repository. It is also called for From. The
	// last call that returned nil is about the repository from which the blob is mounted. Default:
	// all repositories are allowed.
	//
	// For a repository that Allow refuses, a Backend must do nothing else: no storage request may
	// depend on its content. Otherwise response times would reveal that content.
	Allow func(repo string) error
}

// PutOptions are the options of [Writer].PutManifest.
type PutOptions struct {
	// Digest is the digest that the content must have. "" stores the content under its sha256
	// digest.
	Digest digest.Digest
	// Tags are the tags to point at the manifest.
	Tags []TagPut
	// If is a condition on the manifest itself: AnyDigest in NoneMatch stores the manifest only if
	// the repository does not have it yet, under any tag. If the condition does not hold, the error
	// is ErrPreconditionFailed and nothing changes. Each of the Tags has its own condition.
	If *Condition
	// By is the name of the identity that pushes, for the history. Registry.Backend sets it.
	By string
	// AcceptWrongSizes accepts an index whose descriptors state a wrong size for a manifest. Docker
	// before 18.09 wrote such indexes, so mirrors and imports of old content need it. The sizes of
	// blobs are checked regardless. Default: such an index is refused with ErrManifestInvalid. A
	// remote Backend may refuse it anyway.
	AcceptWrongSizes bool
	// Sparse stores the manifest even if the repository lacks content that it names. A mirror uses
	// it: the content arrives when a client pulls it. What the repository has must have the size and
	// media type that the manifest states, as in every push.
	//
	// A later push of the same manifest without Sparse needs all content. To a push of an index
	// without Sparse, a child that was stored with Sparse counts as missing, even if its content has
	// arrived since. It counts as present again after it was itself pushed without Sparse.
	//
	// Default: missing content is refused with ErrManifestBlobUnknown. A remote Backend may refuse it
	// anyway.
	Sparse bool
}

// TagPut is one tag to point at a manifest.
type TagPut struct {
	// Name is the tag.
	Name string
	// IfAbsent refuses the push with ErrTagExists if the tag exists and points at another manifest.
	// The decision is part of the write. None of the tags of the push is then set.
	IfAbsent bool
	// If is a condition on the manifest that the tag points at when it is set. A tag whose manifest
	// is gone counts as absent. The decision is part of the write, a compare-and-swap: of several
	// pushes that expect the same digest, exactly one succeeds, on any number of replicas.
	//
	// If the condition does not hold, the error is ErrPreconditionFailed and none of the tags of the
	// push is set. A push that loses at the last moment may leave its manifest in the repository
	// without a tag. NoneMatch with AnyDigest is stricter than IfAbsent: it also fails if the tag
	// points at this manifest already.
	If *Condition
	// Keep marks the tag as one that deletes protect (see DeleteOptions.Keep). After the tag is
	// set, the write checks that everything the manifest reaches is still there, and a delete in
	// progress either sees the tag or fails. If something is missing, the error is
	// ErrManifestBlobUnknown.
	Keep bool
	// Time is when the tag was set, for content that is taken over from another registry. Retention
	// rules count from it. [Registry].Backend ignores it, so that a caller cannot choose it; an import
	// writes to the Store. A time in the future counts as now. A Backend may ignore it. Default: now.
	Time time.Time
}

// DeleteOptions are the options of the operations of [Deleter].
type DeleteOptions struct {
	// Keep reports whether a tag of the repository is protected. A delete returns ErrDenied if it
	// would remove a protected tag, the manifest it points at, anything that this manifest reaches
	// by way of indexes, or the repository of such a tag. Default: no tag is protected.
	//
	// The decision is part of the delete, so it also holds against concurrent pushes that set the
	// tag with TagPut.Keep. The result must depend on the name of the tag alone.
	//
	// A tag does not reach the subject of a manifest. A subject need not exist when it is named, so
	// it need not stay.
	Keep func(tag string) bool
	// IfUnused deletes a blob only if no manifest of the repository names it, and a manifest only if
	// nothing leads to it: no tag points at it, no other manifest names it, and it does not refer to a
	// manifest of the repository. Otherwise the error is ErrDenied, with a message that says what
	// uses it. The decision is part of the delete, so it also holds against concurrent pushes: a push
	// that has pointed a tag at the manifest is not undone. A manifest that only the history can bring
	// back does not count. A delete of a tag and DeleteRepository return ErrUnsupported if it is set.
	// Default: the blob or manifest is deleted, and manifests that name it are broken.
	IfUnused bool
	// NotSetAfter deletes a tag only if it was not set after this time; see TagPut.Time. It protects a
	// tag that was pushed again after somebody decided to remove it, even with the same content. With
	// IfUnused, it deletes a manifest only if it was not pushed after this time, by the clock of the
	// storage. It protects a manifest that was pushed again and that nothing names yet, such as the
	// image of an index whose push follows. A HEAD request that renews the manifest counts as a push; a
	// collection that writes its record again does not.
	//
	// Otherwise the error is ErrPreconditionFailed and nothing is deleted. The decision is part of the
	// delete. A delete of anything else returns ErrUnsupported if it is set, and so does a remote
	// Backend. Default: the zero time, which means any time.
	NotSetAfter time.Time
	// If is a condition on the target: for a tag, on the digest that it points at; for a manifest or
	// blob, on its own digest. The decision is part of the delete. If the condition does not hold,
	// the error is ErrPreconditionFailed and nothing is deleted. A missing target remains
	// ErrManifestUnknown or ErrBlobUnknown. DeleteRepository returns ErrUnsupported if it is set.
	If *Condition
	// By is the name of the identity that deletes, for the history. Registry.Backend sets it.
	By string
	// Deleted, unless nil, is called with what a delete has removed, at most once and before the
	// delete returns success. target is the blob, the manifest, or what the tag pointed at. tags is
	// the tag, or the tags that were removed with the manifest; the callee must not modify it.
	// target has an artifact type only if the Backend knows it without a further request.
	//
	// DeleteRepository does not call it. A Backend that does not know what it has deleted does not
	// call it either, such as one over HTTP. Registry.Backend uses it for the event of the delete.
	Deleted func(target ocispec.Descriptor, tags []string)
}

// PutResult is the result of PutManifest.
type PutResult struct {
	// Descriptor has the media type, digest and size of the manifest.
	Descriptor ocispec.Descriptor
	// ArtifactType is the type that the referrers API reports for the manifest: its artifactType,
	// or else the media type of its config. It is "" if there is neither.
	ArtifactType string
	// Subject is the subject that the manifest names, or nil.
	Subject *ocispec.Descriptor
	// Tags are the tags that now point at the manifest.
	Tags []string
	// Moved are those of the Tags that pointed at another manifest before. It is nil if the Backend
	// does not know, such as one over HTTP.
	Moved []TagMove
}

// TagMove is a tag that a push or restore has pointed at another manifest.
type TagMove struct {
	// Tag is the name of the tag.
	Tag string
	// Previous is the manifest that the tag pointed at before.
	Previous ocispec.Descriptor
}

// ListOptions are the options of lists of names.
type ListOptions struct {
	// After skips the names that are not greater than it. It need not exist.
	After string
	// PageHint is the number of names that the caller expects to take. Zero means unknown.
	PageHint int
}

// ReferrersOptions are the options of [Lister].Referrers.
type ReferrersOptions struct {
	// ArtifactTypes selects the referrers that have one of these artifact types. Default: all
	// referrers.
	ArtifactTypes []string
	// After skips the referrers whose digests are not greater than it.
	After digest.Digest
	// PageHint is the number of referrers that the caller expects to take. Zero means unknown.
	PageHint int
	// Scan is called for each referrer that is examined, in the order of the digests, before it is
	// read. size is the number of bytes about to be read; zero means that the referrer is skipped
	// without reading. If Scan returns false, the iteration ends before that referrer, without an
	// error. A server limits the cost of a page with it. A Backend that reads its referrers in
	// another way may ignore it. Default: no limit.
	Scan func(d digest.Digest, size int64) bool
	// Shared permits the Backend to yield descriptors that it shares with other callers, which saves
	// a copy of the annotations of each. The caller must then not change what the descriptors refer
	// to. A Backend that wraps another one and changes annotations must not pass Shared on. Default:
	// the annotations belong to the caller.
	Shared bool
}

package registry

import (
	"context"
	"io"
	"iter"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry/reference"
)

// Backend is what a registry can do, apart from HTTP.
// [github.com/registrykit/registry/storage.Store] is the standard one; others wrap it or stand for
// something remote. A Backend embeds [Unimplemented], so that an operation that comes to this
// interface later fails closed in a Backend that does not know of it.
//
// Names, tags and digests that come in by HTTP are valid; a Backend checks those that come from Go
// code (package reference). Every error that a client shall understand is an [*Error]; each method
// lists those it returns. Any other error is answered with 500 and told to the log only. Besides
// those listed, any method may return ErrNameInvalid, ErrTagInvalid, ErrDigestInvalid,
// ErrUnsupported, ErrUnavailable, ErrTooManyRequests and ErrDenied.
//
// A Backend is safe for concurrent use.
type Backend interface {
	Reader
	Writer
	Deleter
	Lister
	Restorer
	backend()
}

// Reader is the part of [Backend] that reads one thing.
type Reader interface {
	// OpenBlob returns a blob of the repository. Its Body must be closed.
	//
	// Errors: ErrBlobUnknown.
	OpenBlob(ctx context.Context, repo string, d digest.Digest, opts *OpenOptions) (*Blob, error)

	// StatBlob returns the descriptor of a blob of the repository: digest, size, and
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
	// CreateUpload begins the upload of a blob.
	CreateUpload(ctx context.Context, repo string, opts *UploadOptions) (Upload, error)

	// ResumeUpload returns the upload with the id, as far as it has come, if the owner in opts
	// began it in the repository.
	//
	// Errors: ErrUploadUnknown, also for an upload of somebody else or in another repository.
	ResumeUpload(ctx context.Context, repo, id string, opts *ResumeOptions) (Upload, error)

	// MountBlob makes a blob of another repository known in this one, without its bytes being sent.
	//
	// Errors: ErrBlobUnknown if there is nothing to mount (the caller then uploads the blob).
	MountBlob(ctx context.Context, repo string, d digest.Digest, opts *MountOptions) (ocispec.Descriptor, error)

	// PutManifest stores a manifest and points tags at it. mediaType is the Content-Type the client
	// named, "" if none. All that the manifest names, apart from its subject and layers that are
	// not distributable, must be in the repository, whether the manifest is there already or not.
	//
	// Content that does not state its media type itself has that of its first push. A push with a
	// tag may change it while no tag leads to the manifest: no tag points at it, at an index that
	// names it at any depth, or in one of these ways at its subject. After that, and always without
	// a tag, another media type is refused with ErrManifestInvalid.
	//
	// Errors: ErrManifestInvalid, ErrManifestTooLarge, ErrManifestBlobUnknown, ErrDigestInvalid,
	// ErrTagExists, ErrPreconditionFailed, ErrNoSpace.
	PutManifest(ctx context.Context, repo, mediaType string, content []byte, opts *PutOptions) (PutResult, error)
}

// Deleter is the part of [Backend] that removes from a repository.
type Deleter interface {
	// DeleteBlob removes a blob from the repository.
	//
	// Errors: ErrBlobUnknown; ErrDenied if DeleteOptions.Keep or DeleteOptions.IfUnused forbids it;
	// ErrPreconditionFailed.
	DeleteBlob(ctx context.Context, repo string, d digest.Digest, opts *DeleteOptions) error

	// DeleteManifest removes a tag, or a manifest with all its tags.
	//
	// Errors: ErrManifestUnknown; ErrDenied if DeleteOptions.Keep forbids it;
	// ErrPreconditionFailed.
	DeleteManifest(ctx context.Context, repo string, ref reference.Ref, opts *DeleteOptions) error

	// DeleteRepository removes a repository and all that is in it.
	//
	// Errors: ErrNameUnknown; ErrDenied if DeleteOptions.Keep forbids it; ErrUnsupported with
	// DeleteOptions.If.
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

	// Referrers yields the descriptors of the manifests of the repository whose subject has the
	// digest, in ascending order of their digests. That there is no such subject or repository is
	// not an error.
	Referrers(ctx context.Context, repo string, d digest.Digest, opts *ReferrersOptions) iter.Seq2[ocispec.Descriptor,
		error]
}

// Blob is what OpenBlob returns.
type Blob struct {
	// Descriptor has the digest and size of the blob.
	Descriptor ocispec.Descriptor
	// Body reads the bytes, and must be closed. It opens nothing before the first Read. It is nil if
	// URL is set.
	//
	// A Body may implement [FileSource]. It may also have a method Until(end int64): the caller then
	// announces that it reads from the current position up to end and seeks afterwards, so that a
	// storage on the network need not fetch more.
	Body io.ReadSeekCloser
	// URL, if not "", is where the client itself can fetch the bytes for a while. Only if
	// OpenOptions.AllowURL.
	URL string
}

// FileSource is an optional interface of [Blob].Body, for bytes that come from a file. A server uses
// it to send the file without copying it through the process (sendfile).
//
// A wrapper that reads, counts or changes the bytes must not have this method, because the server
// then bypasses its Read.
type FileSource interface {
	// Source returns the reader that the next Read would use, at the current position. It may reach
	// beyond the end of the blob, so the caller must limit what it reads. Closing the Body closes it.
	Source() (io.Reader, error)
}

// StatOptions are the options of [Reader].StatBlob and StatManifest.
type StatOptions struct {
	// Renew, unless nil, says whether the caller may rely on the content that is there, and leave
	// out sending it: who may push. It is only asked about content that is old and that a
	// collection may be about to take away; if it says yes, that is put off. For an Interceptor
	// this is an operation of its own, OpRenew.
	Renew func(ctx context.Context) bool
}

// OpenOptions are the options of [Reader].OpenBlob.
type OpenOptions struct {
	// AllowURL says that a URL to fetch the bytes from is as good as the bytes.
	AllowURL bool
}

// Manifest is what GetManifest returns.
type Manifest struct {
	// Descriptor has the media type, digest and size.
	Descriptor ocispec.Descriptor
	// Content is the manifest, byte for byte as it was pushed. It must not be changed.
	Content []byte
}

// UploadOptions are the options of [Writer].CreateUpload.
type UploadOptions struct {
	// Owner is who may go on with the upload: the name of the identity, "" if anonymous. All
	// anonymous callers are the same owner; then only that the id cannot be guessed keeps them
	// apart.
	Owner string
	// Algorithm is the algorithm of the digest the blob will be committed under. Default: sha256.
	// Another than the announced one is accepted at Commit, at the cost of reading the blob once
	// more.
	Algorithm digest.Algorithm
	// Size is a hint at the size of the blob in bytes; 0 means not known.
	Size int64
}

// ResumeOptions are the options of [Writer].ResumeUpload.
type ResumeOptions struct {
	// Owner is who began the upload, see UploadOptions.Owner. Registry.Backend fills in the name of
	// its identity if Owner is "", and returns ErrUploadUnknown for any other owner.
	Owner string
	// Continue says that the id is the newest that the caller was told, and that Append or Commit
	// comes next. A Backend may then go by what it knows of the upload instead of looking it up, as
	// long as the write finds out if that is not true any more.
	Continue bool
}

// Upload is a blob on its way in. It holds nothing open: it may be dropped at any time, and found
// again by ResumeUpload, in this or another process over the same storage, until it expires. An
// Upload value is not safe for concurrent use; of several values for one upload that add at the
// same offset, exactly one succeeds.
type Upload interface {
	// ID identifies the upload to ResumeUpload: unguessable, of at most 255 characters that need no
	// escape in a URL. It may change with Append; then older ones remain usable to resume the
	// upload without ResumeOptions.Continue.
	ID() string

	// Name is what clients recognise the upload by, in the header Docker-Upload-UUID: it stays the
	// same from CreateUpload to the end, also when the upload is resumed elsewhere, and no other
	// upload has it. It has the form of an ID, but need not be one.
	Name() string

	// Size is the number of bytes received so far.
	Size() int64

	// Append adds length bytes of r at offset, and reads no more than these; length -1 means up to
	// the end of r. It returns how many were added. An error of r, too few bytes and the end of ctx
	// keep what was received: Size tells how much.
	//
	// Errors: ErrRangeInvalid if offset is not Size, or somebody else was first; ErrUploadUnknown
	// if the upload was committed or cancelled meanwhile; ErrSizeInvalid if r had fewer than length
	// bytes; ErrBlobTooLarge; ErrNoSpace; the error of r, wrapped.
	Append(ctx context.Context, offset, length int64, r io.Reader) (int64, error)

	// Commit ends the upload and makes the blob known in the repository. last, unless nil, is added
	// first, in the same step: of several callers, one adds and commits, and no other adds in
	// between. When Commit returns, the blob is safe from loss of power. The content must have the
	// digests also as well, of other algorithms than d; the blob is known by d alone. After
	// ErrDigestInvalid the upload is gone; other errors keep what was received.
	//
	// Errors: ErrDigestInvalid, ErrUploadUnknown, ErrRangeInvalid if somebody else added to it
	// meanwhile, ErrNoSpace; with last, those of Append.
	Commit(ctx context.Context, d digest.Digest, last *Chunk, also ...digest.Digest) (ocispec.Descriptor, error)

	// Cancel ends the upload and drops what was received.
	//
	// Errors: ErrUploadUnknown.
	Cancel(ctx context.Context) error
}

// Chunk is a part of a blob on its way in.
type Chunk struct {
	// Offset is where it belongs: the Size of the upload.
	Offset int64
	// Length is the number of bytes; -1 means up to the end of Body.
	Length int64
	// Body holds the bytes.
	Body io.Reader
}

// MountOptions are the options of [Writer].MountBlob.
type MountOptions struct {
	// From is the repository that has the blob; "" searches for one that Allow permits, of which a
	// bounded number is looked at.
	From string
	// Prefixes, unless empty, restricts the search for a source to the repositories whose names
	// begin with one of them. "" is a prefix of every name. It only makes the search faster, and is
	// not used with From.
	Prefixes []string
	// Allow says whether the caller may pull from a repository. It is asked about From as well, and
	// last about the repository that the blob is mounted from. Repositories that it refuses must
	// cost a Backend nothing else: no request to a storage may depend on what they have. nil allows
	// all.
	Allow func(repo string) error
}

// PutOptions are the options of [Writer].PutManifest.
type PutOptions struct {
	// Digest is what the content must hash to; "" means that it is stored under its sha256.
	Digest digest.Digest
	// Tags are pointed at the manifest.
	Tags []TagPut
	// If is a condition on the manifest itself: AnyDigest in NoneMatch stores only a manifest that
	// the repository does not have yet, by whatever tags. If it does not hold, the error is
	// ErrPreconditionFailed and nothing is changed. Tags have conditions of their own.
	If *Condition
	// By is the name of the identity that pushes, for the history.
	By string
	// AcceptWrongSizes accepts an index whose descriptors state another size for a manifest than it
	// has. Docker before 18.09 wrote such indexes, so mirrors and imports of old content need it.
	// Sizes of blobs are checked all the same. Default: false, such an index is refused with
	// ErrManifestInvalid. A Backend may refuse it regardless, as a remote registry decides for
	// itself.
	AcceptWrongSizes bool
}

// TagPut is one tag to be pointed at a manifest.
type TagPut struct {
	// Name is the tag.
	Name string
	// IfAbsent refuses, with ErrTagExists, if the tag exists and points at another manifest. This
	// is decided inside the write. Then none of the tags of the push is set.
	IfAbsent bool
	// If is a condition on what the tag points at when it is set; a tag whose manifest is gone
	// counts as absent. It is decided inside the write: of any number of pushes that expect the
	// same digest, one succeeds, on any number of replicas. If it does not hold, the error is
	// ErrPreconditionFailed, and none of the tags of the push is set. A push that loses to another
	// one at the last moment may leave its manifest in the repository without a tag. NoneMatch with
	// AnyDigest is stricter than IfAbsent: it also fails if the tag points at this very manifest.
	If *Condition
	// Keep makes the tag one that deletes keep (see DeleteOptions.Keep): once it is set, it is
	// looked whether all that the manifest reaches is there, and a delete that is on its way either
	// sees the tag or loses. If something is missing, the error is ErrManifestBlobUnknown.
	Keep bool
}

// DeleteOptions are the options of the operations of [Deleter].
type DeleteOptions struct {
	// Keep, unless nil, says which tags of the repository are kept. What such a tag is, points at
	// or reaches by way of indexes is not deleted, nor a repository that has such a tag: the error
	// is ErrDenied. It is decided inside the delete, so that it holds against pushes that set the
	// tag with TagPut.Keep at the same time. Keep depends on the name of the tag alone.
	//
	// A tag does not reach the subject of a manifest: a subject need not be there when it is named,
	// so it need not stay.
	Keep func(tag string) bool
	// IfUnused deletes a blob only if no manifest of the repository names it; otherwise the error
	// is ErrDenied, and says which manifest. It is decided inside the delete, so that it holds
	// against pushes at the same time. A manifest that history can bring back does not count.
	// DeleteManifest and DeleteRepository return ErrUnsupported. Default: false, the blob is
	// deleted, and manifests that name it are broken.
	IfUnused bool
	// If is a condition on what is deleted: of a tag, on the digest that it points at; of a
	// manifest or blob, on its own digest. It is decided inside the delete. If it does not hold,
	// the error is ErrPreconditionFailed and nothing is deleted; what does not exist remains
	// ErrManifestUnknown or ErrBlobUnknown. DeleteRepository knows no condition.
	If *Condition
	// By is the name of the identity that deletes, for the history.
	By string
}

// PutResult is what PutManifest returns.
type PutResult struct {
	// Descriptor has the media type, digest and size of the manifest.
	Descriptor ocispec.Descriptor
	// Subject is the subject the manifest names; nil if none.
	Subject *ocispec.Descriptor
	// Tags are the tags that now point at the manifest.
	Tags []string
}

// ListOptions are the options of the lists of names.
type ListOptions struct {
	// After leaves out the names that are not greater than it. It need not exist.
	After string
	// PageHint is how many names the caller expects to take; 0 means that it does not know.
	PageHint int
}

// ReferrersOptions are the options of [Lister].Referrers.
type ReferrersOptions struct {
	// ArtifactTypes leaves out the referrers that have none of these artifact types. Empty: none is
	// left out.
	ArtifactTypes []string
	// After leaves out the referrers whose digests are not greater than it.
	After digest.Digest
	// PageHint is how many referrers the caller expects to take; 0 means that it does not know.
	PageHint int
	// Scan, unless nil, is called in the order of the digests for each referrer that is looked at:
	// before it is read, with the bytes to be read, or with 0 if it is left out unread. If Scan
	// returns false, the iteration ends before that referrer, without an error. A server bounds by
	// it what one page costs. A Backend that reads its referrers otherwise may ignore it.
	Scan func(d digest.Digest, size int64) bool
}

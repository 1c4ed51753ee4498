// Package replicate copies images and other artifacts between any two registries: stores, mirrors,
// and remote registries by way of package client.
//
//	res, err := replicate.Copy(ctx, dst, src, "team/app:v1", &replicate.Options{Referrers: true})
//
// A copy is complete or does not change a tag: blobs first, then manifests from the leaves to the
// root, then the tag. What the destination has is not copied again, and each byte of a blob crosses
// the line once. An interrupted copy continues where it stopped, also within a blob.
package replicate

import (
	"context"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/reference"
)

// Options are the options of [Copy], [Pin] and [Sync]. nil means the zero Options.
type Options struct {
	// To is the reference at the destination, "repository", "repository:tag" or
	// "repository@digest". Default: the reference of the source.
	To string
	// Platforms lists the platforms to copy of an index, such as "linux/amd64" or "linux/arm64/v8".
	// The index itself is copied byte for byte; the destination must accept an index of which not
	// all is there, see registry.PutOptions.Sparse. Default: all.
	Platforms []string
	// Referrers copies also the referrers of what is copied, at any depth, and the tags that cosign
	// gives to signatures, attestations and SBOMs.
	Referrers bool
	// Parallel is the maximum number of blobs that are copied at a time. Default: 3.
	Parallel int
	// MountFrom lists repositories of the destination that may have the blobs; they are mounted from
	// there. Default: the destination is asked to find a source by itself.
	MountFrom []string
	// Resume stores the state of uploads in progress, so that an interrupted copy continues within a
	// blob. Default: nil, an interrupted copy begins its current blobs again. See [FileResume].
	Resume Resume
	// Progress is called when something has changed, by one goroutine at a time. It must be quick.
	Progress func(Progress)
	// Retries is the number of attempts for one blob or manifest after a temporary failure. Each
	// attempt continues where the last one ended. Default: 3.
	Retries int
}

// Resume keeps the IDs of uploads in progress. Its methods are safe for concurrent use.
type Resume interface {
	// Load returns the ID of the upload of a blob to a repository, or "".
	Load(repo string, d digest.Digest) (id string, err error)
	// Save keeps the ID; an empty one removes it.
	Save(repo string, d digest.Digest, id string) error
}

// Progress is the state of a copy.
type Progress struct {
	// Manifests and Blobs are the numbers done, and in all as far as known.
	Manifests, ManifestsTotal int
	Blobs, BlobsTotal         int
	// Bytes are the bytes of blobs that need no further copying, BytesTotal all as far as known.
	// Copied are those that crossed the line, Mounted and Skipped those that need not.
	Bytes, BytesTotal, Copied, Mounted, Skipped int64
	// Descriptor is what has just been finished or has made progress.
	Descriptor ocispec.Descriptor
	// Done reports whether Descriptor is finished.
	Done bool
}

// Result is the result of [Copy].
type Result struct {
	// Descriptor is that of the root manifest.
	Descriptor ocispec.Descriptor
	// Progress is the last state.
	Progress Progress
}

// Copy copies what ref names, "repository:tag" or "repository@digest" (without either: the tag
// latest), from src to dst.
//
// Errors: those of both backends, with what was copied in their text; an error for an invalid ref or
// platform. A tag at the destination is set last, so after an error it is what it was.
func Copy(ctx context.Context, dst, src registry.Backend, ref string, opts *Options) (Result, error) {
	return Result{}, registry.ErrUnsupported
}

// Missing is content that [Verify] or [Pin] has not found or found damaged.
type Missing struct {
	Descriptor ocispec.Descriptor
	// Parent is the manifest that names it.
	Parent digest.Digest
	// Err is why it counts as missing.
	Err error
}

// Verify reads everything that ref names in a backend and checks the digests. It returns what is
// missing or wrong. Only Platforms, Referrers, Parallel and Progress of opts are used.
func Verify(ctx context.Context, b registry.Backend, ref string, opts *Options) ([]Missing, error) {
	return nil, registry.ErrUnsupported
}

// Pinner is a backend that keeps images: mirror.Mirror.
type Pinner interface {
	registry.Backend
	// Pin keeps an image from eviction.
	Pin(ctx context.Context, repo string, ref reference.Ref) error
}

// Pin makes an image complete and keeps it, for a network without upstreams: it pins the image, reads
// all of it through the mirror, so that the mirror fetches it, and verifies it. It returns what it
// could not get. Used of opts are Platforms, Referrers, Parallel and Progress.
func Pin(ctx context.Context, p Pinner, ref string, opts *Options) ([]Missing, error) {
	return nil, registry.ErrUnsupported
}

// Rule selects the repositories and tags of a [Sync].
type Rule struct {
	// Repositories are patterns of repositories of the source, or names.
	Repositories []string
	// Tags are patterns of tags. Default: all, unless Semver is set.
	Tags []string
	// Semver is a constraint on tags that are semantic versions, such as ">=1.2 <2". Default: none.
	Semver string
	// Newest limits the tags to this number of the highest versions, or the last in byte order if
	// they are not versions. Default: 0, no limit.
	Newest int
	// To maps the name of a repository to that at the destination. Default: the same name.
	To func(repo string) string
	// Delete removes tags at the destination, in the repositories that the rule selects, that the
	// source does not have. Only tags that the rule selects are removed. Default: false.
	Delete bool
	// DryRun reports and changes nothing.
	DryRun bool
	// Options are those of each copy. To is not used.
	Options *Options
}

// SyncResult is the result of [Sync].
type SyncResult struct {
	Copied, Unchanged, Deleted, Failed int
	// Changes are the changes, in the order of their names, at most 10,000.
	Changes []Change
	Bytes   int64
	Took    time.Duration
}

// Change is one tag that Sync has changed, or has failed to change.
type Change struct {
	Repository, Tag string
	From, To        digest.Digest
	Deleted         bool
	Err             error
}

// Sync copies everything that rules select from src to dst. A tag that points at the same digest at
// both is not copied. A failure of one tag does not end the others; the error joins the first ten.
// See package jobs for a schedule: SyncJob.
func Sync(ctx context.Context, dst, src registry.Backend, rules []Rule) (SyncResult, error) {
	return SyncResult{}, registry.ErrUnsupported
}

// Package replicate copies images and other artifacts between any two registries: stores, mirrors,
// and remote registries by way of package client.
//
//	res, err := replicate.Copy(ctx, dst, src, "team/app:v1", &replicate.Options{Referrers: true})
//
// A copy is complete or does not change a tag: blobs first, then manifests from the leaves to the
// root, then the tag. Content that the destination has is not copied again, and each byte of a blob
// crosses the line once. An interrupted copy continues where it stopped, also within a blob.
//
//   - [Copy] copies one image with everything that it names. [Sync] copies what rules select, and
//     [SyncJob] does so on a schedule.
//   - [Verify] reads an image and reports what is missing or damaged. [Pin] does so through a mirror,
//     which then has and keeps the image.
//
// # What belongs to an image
//
// Copy follows indexes at any depth, manifests, artifacts and their blobs. Layers of
// non-distributable types are not copied. A subject is not followed: an image does not lead to what
// it refers to. Referrers are copied on request, see Options.Referrers. Docker's schema 1 is refused.
//
// # Limits
//
// Indexes and referrers may be nested 16 deep, and all manifests together may have 200,000
// references. A copy holds up to 32 MiB of manifests in memory, and no blob.
package replicate

import (
	"context"
	"fmt"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry"
)

// Options are the options of [Copy], [Pin] and [Sync]. nil means the zero Options.
type Options struct {
	// To is the reference at the destination, "repository", "repository:tag" or
	// "repository@digest". Default: the reference of the source.
	To string
	// Platforms lists the platforms to copy of an index, such as "linux/amd64" or "linux/arm64/v8".
	// A platform without a variant selects all variants. The version of the operating system counts
	// only if it is stated, as in "windows(10.0.20348)/amd64", and may be a prefix up to a dot. An
	// entry without a platform is copied. It is an error if an index has no image for a platform.
	//
	// The index itself is copied byte for byte; the destination must accept an index of which not
	// all is there, see registry.PutOptions.Sparse. Default: all.
	Platforms []string
	// Referrers also copies the referrers of each copied manifest, at any depth: those that the source
	// lists, those of the referrers tag schema, and those under the tags that cosign gives to
	// signatures, attestations and SBOMs. With Platforms, the attestations that BuildKit adds to an
	// index belong to them. They are stored before the tag is set. Default: false.
	Referrers bool
	// Parallel is the maximum number of blobs that are copied at a time. Default: 3.
	Parallel int
	// MountFrom lists repositories of the destination that may have the blobs; they are mounted from
	// there. Default: the destination is asked to find a source by itself.
	MountFrom []string
	// Resume stores the state of uploads in progress, so that a later copy continues within a blob.
	// Blobs of more than 64 MiB are then uploaded in several pieces, so that a destination that is
	// killed loses one piece at most. Default: nil, uploads are cancelled when the copy fails, and a
	// later copy begins these blobs again. See [FileResume].
	Resume Resume
	// Progress is called when something has changed, by one goroutine at a time. It must be quick.
	Progress func(Progress)
	// Retries is the number of attempts for one blob or manifest after a temporary failure. Each
	// attempt continues where the last one ended. Attempts that have moved at least 1 MiB do not
	// count. A pause comes before each attempt: from 0.2 to 30 seconds, or what the registry asks
	// for with Retry-After, up to 5 minutes. A registry that asks for more ends the copy. Default:
	// 3. A negative number means no retries.
	Retries int
}

// Progress is the state of a copy.
type Progress struct {
	// Manifests and Blobs are the numbers done, and in all as far as known.
	Manifests, ManifestsTotal int
	Blobs, BlobsTotal         int
	// Bytes are the bytes of blobs that need no further copying, BytesTotal all as far as known.
	// Copied are those that were read from the source, including bytes that were read again after a
	// failure. Mounted and Skipped are those that need not be read.
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
// latest), from src to dst. With both a tag and a digest, the digest is copied under the tag. opts may
// be nil.
//
// If dst and src are the same Backend, nothing crosses the line: blobs are mounted.
//
// Errors: those of both backends, with what was copied in their text; an error for an invalid ref or
// platform, or a negative Parallel. A tag at the destination is set last, so after an error it is
// what it was.
func Copy(ctx context.Context, dst, src registry.Backend, ref string, opts *Options) (Result, error) {
	c, err := newCopier(dst, src, ref, opts)
	if err != nil {
		return Result{}, fmt.Errorf("replicate: %w", err)
	}
	desc, err := c.run(ctx)
	res := Result{Descriptor: desc, Progress: c.progress.last()}
	if err != nil {
		return res, fmt.Errorf("replicate: copying %s: %w (%s)", c.from, err, res.Progress.summary())
	}
	return res, nil
}

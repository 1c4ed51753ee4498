package storage

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/objectkey"
	"github.com/registrykit/registry/internal/options"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/internal/object"
)

const (
	// maxMountReads is the maximum number of repositories from which a mount without a source
	// reads.
	maxMountReads = 64
	// maxMountCandidates is the maximum number of repositories for which a mount without a source
	// calls MountOptions.Allow.
	maxMountCandidates = 4096
	// mountPage is the number of repositories that are listed before Allow is called for them.
	mountPage = 1000
	// maxMountTime is how long a mount without a source tries repositories.
	maxMountTime = 500 * time.Millisecond
	// maxMountPrefixes is the maximum number of prefixes that have a list of their own.
	maxMountPrefixes = 8
	// maxShareSources is the maximum number of repositories in which a commit looks for the same
	// bytes.
	maxShareSources = 4
)

// MountBlob implements [registry.Writer]. It writes a link to the bytes that the other repository
// has. A mount without MountOptions.From tries a bounded number of repositories for a bounded time,
// so it may miss a repository that has the blob.
//
// Errors: registry.ErrBlobUnknown, also if the caller may not read the source.
func (s *Store) MountBlob(ctx context.Context, repo string, d digest.Digest,
	opts *registry.MountOptions) (ocispec.Descriptor, error) {
	if err := checkBlob(repo, d); err != nil {
		return ocispec.Descriptor{}, err
	}
	o := options.Value(opts)
	if o.From != "" {
		if err := registry.CheckName(o.From); err != nil {
			return ocispec.Descriptor{}, err
		}
	}
	l, err := s.repo(repo).mount(ctx, d, &o)
	if errors.Is(err, object.ErrMissing) {
		return ocispec.Descriptor{}, registry.ErrBlobUnknown.WithCause(err)
	}
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	if err := s.objects.Driver.Sync(ctx, s.repo(repo).LinkKey(d)); err != nil {
		return ocispec.Descriptor{}, object.RegistryError(err)
	}
	return blobDescriptor(d, l.Size), nil
}

// mount makes a blob of another repository known in r, and returns the link in that repository. A
// link that r already has is enough.
//
// Errors: object.ErrMissing, also for a source that the caller may not read.
func (r repo) mount(ctx context.Context, d digest.Digest, o *registry.MountOptions) (*object.Link, error) {
	if o.From == "" {
		m := mountSearch{repo: r, digest: d, allow: o.Allow, started: time.Now()}
		return m.run(ctx, o.Prefixes)
	}
	if o.Allow != nil && o.Allow(o.From) != nil {
		return nil, object.ErrMissing
	}
	return r.shareFrom(ctx, d, o.From, object.Publishing{})
}

// mountSearch is a mount without a source: it tries the repositories that may have the blob.
type mountSearch struct {
	repo    repo
	digest  digest.Digest
	allow   func(repo string) error // nil allows all
	started time.Time
	read    int // the number of repositories that were read and do not have the blob
}

// run mounts the blob from the first repository that has it, that the caller may read, and whose
// name begins with one of prefixes. It returns the link in that repository.
//
// Except for the pages of the list, the requests to the storage do not depend on what repositories
// have that the caller may not read.
//
// Errors: object.ErrMissing.
func (m *mountSearch) run(ctx context.Context, prefixes []string) (*object.Link, error) {
	size := maxMountReads
	if m.allow != nil {
		size = mountPage // the caller may be able to read few of them
	}
	var batch []string
	n := 0
	for from, err := range m.repo.store.candidates(ctx, m.digest, prefixes, size) {
		if err != nil {
			return nil, err
		}
		if n++; n > maxMountCandidates {
			break
		}
		if batch = append(batch, from); len(batch) < size {
			continue
		}
		if l, err := m.try(ctx, batch); !errors.Is(err, object.ErrMissing) {
			return l, err
		}
		batch = batch[:0]
	}
	return m.try(ctx, batch)
}

// try mounts the blob from the first of some repositories that has it and that the caller may read.
//
// Errors: object.ErrMissing, also once the search has taken too long or has read too much.
func (m *mountSearch) try(ctx context.Context, batch []string) (*object.Link, error) {
	for _, from := range batch {
		if m.read == maxMountReads || time.Since(m.started) > maxMountTime {
			break
		}
		if m.allow != nil && m.allow(from) != nil {
			continue
		}
		if l, err := m.repo.shareFrom(ctx, m.digest, from, object.Publishing{}); !errors.Is(err, object.ErrMissing) {
			return l, err
		}
		m.read++
	}
	return nil, object.ErrMissing
}

// candidates yields repositories that may have a blob and whose names begin with one of prefixes;
// no prefixes means all repositories. A prefix that is itself the name of a repository is yielded
// first, without a request. The list asks for pages of hint elements.
func (s *Store) candidates(ctx context.Context, d digest.Digest, prefixes []string, hint int) iter.Seq2[string, error] {
	starts := prefixes
	if len(prefixes) == 0 || len(prefixes) > maxMountPrefixes {
		starts = []string{""}
	}
	return func(yield func(string, error) bool) {
		for _, start := range starts {
			if reference.CheckName(start) == nil && !yield(start, nil) {
				return
			}
			for repo, err := range s.indexed(ctx, d, start, hint) {
				below := func(prefix string) bool { return strings.HasPrefix(repo, prefix) }
				if err == nil && len(starts) < len(prefixes) && !slices.ContainsFunc(prefixes, below) {
					continue
				}
				if !yield(repo, err) || err != nil {
					return
				}
			}
		}
	}
}

// indexed yields the repositories in the index of a blob whose names begin with prefix. The index
// is a hint: a repository in it may have lost the blob.
func (s *Store) indexed(ctx context.Context, d digest.Digest, prefix string, hint int) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		opts := &driver.ListOptions{KeysOnly: true, PageHint: hint}
		if prefix != "" {
			opts.After = object.IndexPrefix(d) + objectkey.Escape(prefix)
		}
		for info, err := range s.objects.Driver.List(ctx, object.IndexPrefix(d), opts) {
			if err != nil {
				yield("", object.RegistryError(err))
				return
			}
			repo := objectkey.Unescape(object.Base(info.Key))
			// The repositories with the prefix come first in the list.
			if !strings.HasPrefix(repo, prefix) || !yield(repo, nil) {
				return
			}
		}
	}
}

// sources returns up to maxShareSources repositories that may have a blob.
func (s *Store) sources(ctx context.Context, d digest.Digest) ([]string, error) {
	var found []string
	for repo, err := range s.indexed(ctx, d, "", maxShareSources) {
		if err != nil {
			return nil, err
		}
		if len(found) == maxShareSources {
			break
		}
		found = append(found, repo)
	}
	return found, nil
}

// share makes a blob known in r that one of sources has, and returns the link in that source. A
// link that r already has is replaced if its data are lost.
//
// Errors: object.ErrMissing.
func (r repo) share(ctx context.Context, d digest.Digest, sources []string) (*object.Link, error) {
	for _, from := range sources {
		if l, err := r.shareFrom(ctx, d, from, object.Publishing{Verify: true}); !errors.Is(err, object.ErrMissing) {
			return l, err
		}
	}
	return nil, object.ErrMissing
}

// shareFrom makes a blob of the repository from known in r, and returns the link in from. It sets
// how.Absent itself.
//
// Errors: object.ErrMissing, also if a collection is about to remove the data of the blob.
func (r repo) shareFrom(ctx context.Context, d digest.Digest, from string,
	how object.Publishing) (*object.Link, error) {
	l, err := r.store.repo(from).ReadLink(ctx, d)
	if err != nil {
		return nil, err
	}
	if !l.Readable() {
		return nil, object.ErrMissing
	}
	_, written := r.Written.Get(r.LinkKey(d))
	how.Absent = from != r.Name && !written
	if _, err = r.Publish(ctx, d, l, how); errors.Is(err, object.ErrCondemned) {
		return nil, object.ErrMissing
	}
	return l, err
}

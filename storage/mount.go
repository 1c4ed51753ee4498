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
	"github.com/registrykit/registry/internal/options"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/internal/object"
)

const (
	// mountSearch is how many repositories a mount without a source reads from.
	mountSearch = 64
	// mountCandidates is how many repositories a mount without a source asks MountOptions.Allow
	// about.
	mountCandidates = 4096
	// mountPage is how many it lists before it asks about them.
	mountPage = 1000
	// mountTime is how long it asks.
	mountTime = 500 * time.Millisecond
	// mountPrefixes is how many prefixes are looked below one by one.
	mountPrefixes = 8
	// shareSearch is how many repositories a commit looks at for bytes it could share.
	shareSearch = 4
)

// MountBlob implements [registry.Writer].
func (s *Store) MountBlob(ctx context.Context, repo string, d digest.Digest,
	opts *registry.MountOptions) (ocispec.Descriptor, error) {
	if err := checkBlob(repo, d); err != nil {
		return ocispec.Descriptor{}, err
	}
	o := options.Value(opts)
	var l *object.Link
	var err error
	if o.From == "" {
		l, err = s.repo(repo).searchMount(ctx, d, &o)
	} else {
		if err := registry.CheckName(o.From); err != nil {
			return ocispec.Descriptor{}, err
		}
		l, err = s.repo(repo).shareFrom(ctx, d, o.From, o.Allow, false)
	}
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

// sources returns the repositories, at most limit, where a blob may be found.
func (s *Store) sources(ctx context.Context, d digest.Digest, limit int) ([]string, error) {
	var found []string
	for info, err := range s.objects.Driver.List(ctx, object.IndexPrefix(d), &driver.ListOptions{KeysOnly: true, PageHint: limit}) {
		if err != nil {
			return nil, object.RegistryError(err)
		}
		if len(found) == limit {
			break
		}
		found = append(found, object.Unescape(object.Base(info.Key)))
	}
	return found, nil
}

// searchMount makes a blob known in repo that some repository has which Prefixes and Allow permit,
// and returns the link of that. The requests to the storage do not depend on what the others have,
// but for the pages of the list.
//
// Errors: errMissing.
func (r repo) searchMount(ctx context.Context, d digest.Digest, o *registry.MountOptions) (*object.Link,
	error) {
	atOnce := mountSearch
	if o.Allow != nil {
		atOnce = mountPage // most may be refused
	}
	started, read := time.Now(), 0
	var some []string
	try := func() (*object.Link, error) {
		for _, from := range some {
			if read == mountSearch || time.Since(started) > mountTime {
				break
			}
			if o.Allow != nil && o.Allow(from) != nil {
				continue
			}
			if l, err := r.shareFrom(ctx, d, from, nil, false); !errors.Is(err, object.ErrMissing) {
				return l, err
			}
			read++
		}
		some = some[:0]
		return nil, object.ErrMissing
	}
	n := 0
	for from, err := range r.store.candidates(ctx, d, o.Prefixes, atOnce) {
		if err != nil {
			return nil, err
		}
		if n++; n > mountCandidates {
			break
		}
		if some = append(some, from); len(some) < atOnce {
			continue
		}
		if l, err := try(); !errors.Is(err, object.ErrMissing) {
			return l, err
		}
	}
	return try()
}

// candidates yields the repositories below prefixes where a blob may be found. A prefix that is
// itself the name of a repository is one of them without a look. No prefixes are the one that every
// name has.
func (s *Store) candidates(ctx context.Context, d digest.Digest, prefixes []string, hint int) iter.Seq2[string, error] {
	starts := prefixes
	if len(prefixes) == 0 || len(prefixes) > mountPrefixes {
		starts = []string{""}
	}
	return func(yield func(string, error) bool) {
		for _, start := range starts {
			if reference.CheckName(start) == nil && !yield(start, nil) {
				return
			}
			opts := &driver.ListOptions{KeysOnly: true, PageHint: hint}
			if start != "" {
				opts.After = object.IndexPrefix(d) + object.Escape(start)
			}
			for info, err := range s.objects.Driver.List(ctx, object.IndexPrefix(d), opts) {
				if err != nil {
					yield("", object.RegistryError(err))
					return
				}
				repo := object.Unescape(object.Base(info.Key))
				if !strings.HasPrefix(repo, start) {
					break // those with the prefix come first
				}
				below := func(p string) bool { return strings.HasPrefix(repo, p) }
				if len(starts) < len(prefixes) && !slices.ContainsFunc(prefixes, below) {
					continue
				}
				if !yield(repo, nil) {
					return
				}
			}
		}
	}
}

// share makes a blob known in repo that one of the sources has, and returns the link of that. A
// link that is there already is not enough if its data are lost.
//
// Errors: errMissing.
func (r repo) share(ctx context.Context, d digest.Digest, sources []string) (*object.Link, error) {
	for _, from := range sources {
		if l, err := r.shareFrom(ctx, d, from, nil, true); !errors.Is(err, object.ErrMissing) {
			return l, err
		}
	}
	return nil, object.ErrMissing
}

// shareFrom makes a blob of the repository from known in repo, and returns the link there. A source
// that is not allowed is like one that does not have the blob. With verify, a link that is there
// already is not enough if its data are lost.
//
// Errors: errMissing.
func (r repo) shareFrom(ctx context.Context, d digest.Digest, from string, allow func(string) error,
	verify bool) (*object.Link, error) {
	if allow != nil && allow(from) != nil {
		return nil, object.ErrMissing
	}
	l, err := r.store.repo(from).ReadLink(ctx, d)
	if err != nil {
		return nil, err
	}
	if !l.Readable() {
		return nil, object.ErrMissing
	}
	if _, err = r.Publish(ctx, d, l, object.Publishing{Verify: verify, Absent: from != r.Name}); errors.Is(err,
		object.ErrCondemned) {
		return nil, object.ErrMissing
	}
	return l, err
}

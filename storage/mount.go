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
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/storage/driver"
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
	var o registry.MountOptions
	if opts != nil {
		o = *opts
	}
	var l *link
	var err error
	if o.From == "" {
		l, err = s.searchMount(ctx, repo, d, &o)
	} else {
		if err := registry.CheckName(o.From); err != nil {
			return ocispec.Descriptor{}, err
		}
		l, err = s.shareFrom(ctx, repo, d, o.From, o.Allow, false)
	}
	if errors.Is(err, errMissing) {
		return ocispec.Descriptor{}, registry.ErrBlobUnknown.WithCause(err)
	}
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	if err := s.driver.Sync(ctx, linkKey(repo, d)); err != nil {
		return ocispec.Descriptor{}, wire(err)
	}
	return blobDescriptor(d, l.Size), nil
}

// sources returns the repositories, at most limit, where a blob may be found.
func (s *Store) sources(ctx context.Context, d digest.Digest, limit int) ([]string, error) {
	var found []string
	for info, err := range s.driver.List(ctx, indexPrefix(d), &driver.ListOptions{KeysOnly: true, PageHint: limit}) {
		if err != nil {
			return nil, wire(err)
		}
		if len(found) == limit {
			break
		}
		found = append(found, unescape(base(info.Key)))
	}
	return found, nil
}

// searchMount makes a blob known in repo that some repository has which Prefixes and Allow permit,
// and returns the link of that. The requests to the storage do not depend on what the others have,
// but for the pages of the list.
//
// Errors: errMissing.
func (s *Store) searchMount(ctx context.Context, repo string, d digest.Digest, o *registry.MountOptions) (*link,
	error) {
	atOnce := mountSearch
	if o.Allow != nil {
		atOnce = mountPage // most may be refused
	}
	started, read := time.Now(), 0
	var some []string
	try := func() (*link, error) {
		for _, from := range some {
			if read == mountSearch || time.Since(started) > mountTime {
				break
			}
			if o.Allow != nil && o.Allow(from) != nil {
				continue
			}
			if l, err := s.shareFrom(ctx, repo, d, from, nil, false); !errors.Is(err, errMissing) {
				return l, err
			}
			read++
		}
		some = some[:0]
		return nil, errMissing
	}
	n := 0
	for from, err := range s.candidates(ctx, d, o.Prefixes, atOnce) {
		if err != nil {
			return nil, err
		}
		if n++; n > mountCandidates {
			break
		}
		if some = append(some, from); len(some) < atOnce {
			continue
		}
		if l, err := try(); !errors.Is(err, errMissing) {
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
				opts.After = indexPrefix(d) + escape(start)
			}
			for info, err := range s.driver.List(ctx, indexPrefix(d), opts) {
				if err != nil {
					yield("", wire(err))
					return
				}
				repo := unescape(base(info.Key))
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
func (s *Store) share(ctx context.Context, repo string, d digest.Digest, sources []string) (*link, error) {
	for _, from := range sources {
		if l, err := s.shareFrom(ctx, repo, d, from, nil, true); !errors.Is(err, errMissing) {
			return l, err
		}
	}
	return nil, errMissing
}

// shareFrom makes a blob of the repository from known in repo, and returns the link there. A source
// that is not allowed is like one that does not have the blob. With verify, a link that is there
// already is not enough if its data are lost.
//
// Errors: errMissing.
func (s *Store) shareFrom(ctx context.Context, repo string, d digest.Digest, from string, allow func(string) error,
	verify bool) (*link, error) {
	if allow != nil && allow(from) != nil {
		return nil, errMissing
	}
	l, err := s.readLink(ctx, from, d)
	if err != nil {
		return nil, err
	}
	if !l.readable() {
		return nil, errMissing
	}
	if _, err = s.publish(ctx, repo, d, l, publishing{verify: verify, absent: from != repo}); errors.Is(err,
		errCondemned) {
		return nil, errMissing
	}
	return l, err
}

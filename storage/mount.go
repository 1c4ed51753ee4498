package storage

import (
	"context"
	"errors"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry"
)

const (
	// mountSearch is how many repositories a mount that names none looks at.
	mountSearch = 64
	// shareSearch is how many repositories a commit looks at for bytes it could share.
	shareSearch = 4
)

// MountBlob implements [registry.Writer].
func (s *Store) MountBlob(ctx context.Context, repo string, d digest.Digest, opts *registry.MountOptions) (ocispec.Descriptor, error) {
	if err := checkBlob(repo, d); err != nil {
		return ocispec.Descriptor{}, err
	}
	var o registry.MountOptions
	if opts != nil {
		o = *opts
	}
	if o.Allow == nil {
		o.Allow = func(string) error { return nil }
	}
	var l *link
	var err error
	if o.From == "" {
		var sources []string
		if sources, err = s.sources(ctx, d, mountSearch); err == nil {
			l, err = s.share(ctx, repo, d, sources, o.Allow, false)
		}
	} else {
		if err := checkName(o.From); err != nil {
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
	for info, err := range s.driver.List(ctx, indexPrefix(d), &ListOptions{KeysOnly: true, PageHint: limit}) {
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

// share makes a blob known in repo that one of the sources has, and returns the link of that. It looks only at those that allow permits; nil
// permits all. With verify, a link that is there already is not enough if its data are lost.
//
// Errors: errMissing.
func (s *Store) share(ctx context.Context, repo string, d digest.Digest, sources []string, allow func(string) error, verify bool) (*link, error) {
	for _, from := range sources {
		if l, err := s.shareFrom(ctx, repo, d, from, allow, verify); !errors.Is(err, errMissing) {
			return l, err
		}
	}
	return nil, errMissing
}

// shareFrom makes a blob of the repository from known in repo, and returns the link there. A source that is not allowed is like one that
// does not have the blob.
//
// Errors: errMissing.
func (s *Store) shareFrom(ctx context.Context, repo string, d digest.Digest, from string, allow func(string) error, verify bool) (*link, error) {
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
	if _, err = s.publish(ctx, repo, d, l, publishing{verify: verify, absent: from != repo}); errors.Is(err, errCondemned) {
		return nil, errMissing
	}
	return l, err
}

package storage

import (
	"context"
	"iter"
	"strings"
	"time"

	"github.com/registrykit/registry/internal/manifest"
	"github.com/registrykit/registry/internal/objectkey"
	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/internal/object"
)

// Visible yields the manifests and tags that clients can see and that were written at or after
// since, by the clock of the storage. since is rounded down to a second, because some storages do
// not keep more of a time. A zero since yields everything. An outbox looks here for changes whose
// event was lost in a crash.
//
// It yields each repository that has content once, in the order of the storage, also one that the
// catalog does not have yet. Within a repository, manifests come first, in ascending order of their
// digests, and then tags in ascending order. It leaves out manifests that are not served, and tags
// whose manifest is gone. An object may be yielded that was written again since it was pushed. What
// changes during the iteration may or may not be yielded. An error ends the iteration.
//
// The number of requests to the storage is three lists for each repository, one more for each
// further page of manifests and tags, one read for each manifest, and two for each tag, written at
// or after since. It holds one page and one manifest in memory.
//
// Errors: those of the storage.
func (s *Store) Visible(ctx context.Context, since time.Time) iter.Seq2[notification.Visible, error] {
	return func(yield func(notification.Visible, error) bool) {
		v := &visible{since: since.Truncate(time.Second), yield: yield}
		after := ""
		for {
			name, err := s.nextContent(ctx, after)
			if err != nil {
				yield(notification.Visible{}, err)
				return
			}
			if name == "" {
				return
			}
			if repo := objectkey.Unescape(name); reference.CheckName(repo) == nil {
				v.repo = s.repo(repo)
				if !v.manifests(ctx) || !v.tags(ctx) {
					return
				}
			}
			after = object.ContentPrefix + name + "0" // "0" follows "/"
		}
	}
}

// nextContent returns the name, as keys have it, of the repository whose content comes first after
// a key, or "" if there is none.
func (s *Store) nextContent(ctx context.Context, after string) (string, error) {
	opts := &driver.ListOptions{After: after, KeysOnly: true, PageHint: 1}
	for info, err := range s.objects.Driver.List(ctx, object.ContentPrefix, opts) {
		if err != nil {
			return "", object.RegistryError(err)
		}
		name, _, _ := strings.Cut(info.Key[len(object.ContentPrefix):], "/")
		return name, nil
	}
	return "", nil
}

// visible is one call of Visible.
type visible struct {
	repo  repo
	since time.Time
	yield func(notification.Visible, error) bool
}

// written calls f with each object below prefix that was written since. It reports whether the
// iteration goes on.
func (v *visible) written(ctx context.Context, prefix string, f func(info driver.Info) (*notification.Visible,
	error)) bool {
	for info, err := range v.repo.Driver.List(ctx, prefix, nil) {
		if err == nil && info.ModTime.Before(v.since) {
			continue
		}
		var found *notification.Visible
		if err = object.RegistryError(err); err == nil {
			found, err = f(info)
		}
		switch {
		case err != nil:
			v.yield(notification.Visible{}, err)
			return false
		case found != nil:
			found.Repository = v.repo.Name
			if !v.yield(*found, nil) {
				return false
			}
		}
	}
	return true
}

// manifests yields the manifests of the repository.
func (v *visible) manifests(ctx context.Context) bool {
	return v.written(ctx, v.repo.ManifestPrefix(), func(info driver.Info) (*notification.Visible, error) {
		d := objectkey.PathDigest(info.Key)
		if d == "" {
			return nil, nil
		}
		m, err := v.repo.ReadManifest(ctx, d)
		if err != nil || !m.Readable() {
			return nil, err
		}
		found := &notification.Visible{Target: *m.Descriptor(d), Time: m.ModTime}
		found.Target.ArtifactType = manifest.ArtifactType(m.Content)
		return found, nil
	})
}

// tags yields the tags of the repository.
func (v *visible) tags(ctx context.Context) bool {
	return v.written(ctx, v.repo.TagPrefix(), func(info driver.Info) (*notification.Visible, error) {
		tag := object.Base(info.Key)
		if reference.CheckTag(tag) != nil {
			return nil, nil
		}
		e, err := v.repo.ReadEntry(ctx, info.Key)
		if err != nil || e.Descriptor.Digest == "" {
			return nil, err
		}
		m, err := v.repo.ReadManifest(ctx, e.Descriptor.Digest)
		if err != nil || !m.Readable() {
			return nil, err
		}
		found := &notification.Visible{Tag: tag, Target: e.Descriptor, Time: e.ModTime}
		found.Target.ArtifactType = manifest.ArtifactType(m.Content)
		return found, nil
	})
}

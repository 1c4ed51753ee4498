package storage

import (
	"context"
	"iter"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/options"
	"github.com/registrykit/registry/internal/parallel"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/internal/object"
)

// The entry of a referrer holds its annotations and may have megabytes. A filter must not read all
// of them, so a second object tells the artifact type by its key. It is a hint: what the key says
// of a digest is true for ever, whether or not the referrer is there, and an entry without a hint
// is read. So the hint is written and removed beside the entry in no particular order and under no
// condition, and storages written by older versions need no migration: the collector adds hints
// that are missing, and removes those of referrers that older versions have deleted.

const (
	// referrersMemory is how many bytes of entries are read at once, if there is more than one.
	referrersMemory = 1 << 20
)

// Referrers implements [registry.Lister].
func (s *Store) Referrers(ctx context.Context, repo string, d digest.Digest,
	opts *registry.ReferrersOptions) iter.Seq2[ocispec.Descriptor, error] {
	return func(yield func(ocispec.Descriptor, error) bool) {
		l := referrerList{
			ReferrersOptions: options.Value(opts),
			ctx:              ctx, repo: s.repo(repo), subject: d, yield: yield,
		}
		err := checkBlob(repo, d)
		if err == nil && l.After != "" {
			err = checkBlob(repo, l.After)
		}
		if err == nil {
			err = l.list()
		}
		if err != nil {
			yield(ocispec.Descriptor{}, err)
		}
	}
}

// referrerList is a list of referrers on its way to yield.
type referrerList struct {
	registry.ReferrersOptions
	ctx     context.Context
	repo    repo
	subject digest.Digest
	yield   func(ocispec.Descriptor, error) bool

	found   []driver.Info // entries to be read
	size    int64         // of these, in bytes
	stopped bool          // the caller wants no more
}

func (l *referrerList) list() error {
	prefix := l.repo.ReferrerPrefix(l.subject)
	opts := &driver.ListOptions{PageHint: l.PageHint}
	if l.After != "" {
		opts.After = prefix + object.DigestPath(l.After)
	}
	hints := l.hints()
	defer hints.stop()
	for info, err := range l.repo.Driver.List(l.ctx, prefix, opts) {
		if err != nil {
			return object.RegistryError(err)
		}
		unwanted, err := hints.exclude(info.Key[len(prefix):])
		if err != nil {
			return object.RegistryError(err)
		}
		if unwanted {
			info.Size = 0
		}
		if l.Scan != nil && !l.Scan(object.PathDigest(info.Key), info.Size) {
			break
		}
		if unwanted {
			continue
		}
		if len(l.found) == object.ReferrersAtOnce || l.size+info.Size > referrersMemory {
			if err := l.flush(); err != nil || l.stopped {
				return err
			}
		}
		l.found, l.size = append(l.found, info), l.size+info.Size
	}
	return l.flush()
}

// flush reads the entries that were found, and yields those that are wanted.
func (l *referrerList) flush() error {
	entries := make([]*object.Entry, len(l.found))
	err := parallel.Each(object.Parallelism, len(l.found), func(i int) (err error) {
		entries[i], err = l.repo.ListedEntry(l.ctx, l.found[i])
		return err
	})
	l.found, l.size = l.found[:0], 0
	if err != nil {
		return err
	}
	for i, e := range entries {
		entries[i] = nil // the caller may take its time
		if e.Descriptor.Digest == "" || len(l.ArtifactTypes) > 0 &&
			!slices.Contains(l.ArtifactTypes, e.Descriptor.ArtifactType) {
			continue
		}
		if l.stopped = !l.yield(e.Descriptor, nil); l.stopped {
			return nil
		}
	}
	return nil
}

// typeHints goes through the hints of a subject beside the entries.
type typeHints struct {
	wanted map[string]bool // by typeID
	prefix string
	next   func() (driver.Info, error, bool)
	stop   func()
	at     driver.Info // the hint that was read last
	ok     bool        // there is one
	begun  bool
}

// hints are the hints that a filter needs. Without a filter, nothing is listed.
func (l *referrerList) hints() *typeHints {
	h := &typeHints{prefix: l.repo.TypePrefix(l.subject), stop: func() {}}
	if len(l.ArtifactTypes) == 0 {
		return h
	}
	h.wanted = map[string]bool{}
	for _, t := range l.ArtifactTypes {
		h.wanted[object.TypeID(t)] = true
	}
	opts := &driver.ListOptions{KeysOnly: true, PageHint: l.PageHint}
	if l.After != "" {
		opts.After = h.prefix + object.DigestPath(l.After)
	}
	h.next, h.stop = iter.Pull2(l.repo.Driver.List(l.ctx, h.prefix, opts))
	return h
}

// exclude reports whether the filter leaves out a referrer, given by the end of the key of its
// entry. It is called with one referrer after the other, in the order of their keys.
func (h *typeHints) exclude(referrer string) (bool, error) {
	if h.wanted == nil {
		return false, nil
	}
	hinted := false
	for {
		of, id, _ := strings.Cut(strings.TrimPrefix(h.at.Key, h.prefix), ".")
		switch {
		case of > referrer || h.begun && !h.ok:
			return hinted, nil
		case of < referrer:
		case h.wanted[id]:
			return false, nil
		default:
			hinted = true
		}
		var err error
		if h.at, err, h.ok = h.next(); err != nil {
			return false, err
		}
		h.begun = true
	}
}

package storage

import (
	"context"
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/objectkey"
	"github.com/registrykit/registry/internal/options"
	"github.com/registrykit/registry/internal/parallel"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/internal/object"
)

// The entry of a referrer holds its annotations, so it may have megabytes. A list that is filtered
// by artifact type must not read all entries. So a second object, a hint, has the artifact type of
// the referrer in its key.
//
// What the key of a hint says about a digest is true for ever, whether or not the referrer exists.
// An entry without a hint is read. Therefore a hint is written and removed beside its entry in any
// order and without a condition. A storage that was written by an older version needs no migration:
// a collection adds missing hints, and removes the hints of referrers that older versions have
// deleted.

// referrersMemory is the maximum size of the entries that are read at the same time, in bytes. A
// single entry may be larger.
const referrersMemory = 1 << 20

// Referrers implements [registry.Lister]. With a filter by artifact type, it reads only entries
// that may match.
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

// referrerList is one call of Referrers.
type referrerList struct {
	registry.ReferrersOptions
	ctx     context.Context
	repo    repo
	subject digest.Digest
	yield   func(ocispec.Descriptor, error) bool

	found   []referrer // what flush yields next
	size    int64      // the size of the entries in found, in bytes
	stopped bool       // yield has returned false
}

// list lists the entries of the subject, and yields the referrers that the filter accepts.
func (l *referrerList) list() error {
	prefix := l.repo.ReferrerPrefix(l.subject)
	opts := &driver.ListOptions{PageHint: l.PageHint}
	if l.After != "" {
		opts.After = prefix + objectkey.DigestPath(l.After)
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
		r := referrer{info: info}
		if !unwanted {
			r.desc = l.repo.CachedDescriptor(info)
			r.cached = r.desc != nil
		}
		if l.Scan != nil && !l.Scan(r.digest(), info.Size) {
			break
		}
		if unwanted {
			continue
		}
		if err := l.add(&r); err != nil || l.stopped {
			return err
		}
	}
	return l.flush()
}

// referrer is an entry that a list has found.
type referrer struct {
	info   driver.Info
	desc   *ocispec.Descriptor // in the entry; nil until the entry is read
	cached bool                // desc belongs to the cache
}

// digest returns the digest of the referrer, or "" if the key of the entry does not end in one.
func (r *referrer) digest() digest.Digest {
	if r.cached && objectkey.EndsIn(r.info.Key, r.desc.Digest) {
		return r.desc.Digest
	}
	return objectkey.PathDigest(r.info.Key)
}

// add takes an entry into found, or yields its referrer at once if no entry must be read before.
func (l *referrerList) add(r *referrer) error {
	if r.cached && len(l.found) == 0 {
		l.offer(r)
		return nil
	}
	if len(l.found) == object.ReferrersAtOnce || l.size+r.info.Size > referrersMemory {
		if err := l.flush(); err != nil || l.stopped {
			return err
		}
	}
	l.found, l.size = append(l.found, *r), l.size+r.info.Size
	return nil
}

// flush reads the entries in found, and yields the referrers that the filter accepts.
func (l *referrerList) flush() error {
	var unread []*referrer
	for i := range l.found {
		if l.found[i].desc == nil {
			unread = append(unread, &l.found[i])
		}
	}
	err := parallel.Each(object.Parallelism, len(unread), func(i int) error {
		e, err := l.repo.ListedEntry(l.ctx, unread[i].info)
		if err == nil {
			unread[i].desc = &e.Descriptor
		}
		return err
	})
	if err != nil {
		return err
	}
	for i := range l.found {
		r := l.found[i]
		l.found[i] = referrer{} // frees the memory, as the caller may take a long time with each referrer
		if l.offer(&r); l.stopped {
			return nil
		}
	}
	l.found, l.size = l.found[:0], 0
	return nil
}

// offer yields a referrer if the filter accepts it.
func (l *referrerList) offer(r *referrer) {
	desc := *r.desc // without a digest, there is no whole entry
	if desc.Digest == "" || len(l.ArtifactTypes) > 0 && !slices.Contains(l.ArtifactTypes, desc.ArtifactType) {
		return
	}
	if r.cached && !l.Shared {
		desc.Annotations = maps.Clone(desc.Annotations)
	}
	l.stopped = !l.yield(desc, nil)
}

// typeHints reads the list of the hints of a subject in step with the list of the entries.
type typeHints struct {
	wanted map[string]bool // the artifact types that the filter accepts, by object.TypeID; nil accepts all
	prefix string          // of the keys of the hints
	next   func() (driver.Info, error, bool)
	stop   func()
	at     driver.Info // the hint that was read last
	ok     bool        // at is a hint; false after the last one
	begun  bool        // next has been called
}

// hints returns the hints that the filter of the list needs. Without a filter, it lists nothing.
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
		opts.After = h.prefix + objectkey.DigestPath(l.After)
	}
	h.next, h.stop = iter.Pull2(l.repo.Driver.List(l.ctx, h.prefix, opts))
	return h
}

// exclude reports whether the hints show that the filter does not accept a referrer. The referrer
// is given by the end of the key of its entry. The calls must come in the order of these keys.
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
		case of < referrer: // a hint of an earlier referrer, or no hint has been read yet
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

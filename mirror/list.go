package mirror

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
	"github.com/registrykit/registry/internal/lru"
	"github.com/registrykit/registry/internal/options"
	"github.com/registrykit/registry/reference"
)

const (
	// maxListed is the maximum number of tags that the mirror reads from an upstream.
	maxListed = 100_000
	// listPage is the number of tags to request at a time.
	listPage = 1000
	// maxLists is the maximum size of the lists that the mirror remembers, in bytes.
	maxLists = 32 << 20
)

// lists remembers the lists of upstreams for the TTL of tags, so that the pages of one list, and
// the lists of many clients, cost one list at the upstream. It is memory of one process.
type lists struct {
	known        *lru.Cache[string, list] // by pull.key("") for tags, or the digest for referrers
	askTags      flights[[]string]
	askReferrers flights[[]ocispec.Descriptor]
}

type list struct {
	tags      []string
	referrers []ocispec.Descriptor
	until     time.Time
}

func newLists() *lists { return &lists{known: lru.New[string, list](maxLists)} }

// get returns a list that is not older than the TTL of tags.
func (l *lists) get(key string) (list, bool) {
	found, ok := l.known.Get(key)
	return found, ok && time.Now().Before(found.until)
}

// forget forgets the tags of a repository, for a ref of "", or the referrers of a digest.
func (l *lists) forget(p *pull, ref string) { l.known.Remove(p.key("list " + ref)) }

// listed returns the list that f returns for a repository. f gets nil for one of the store.
func listed[T any](ctx context.Context, m *Mirror, repo string,
	f func(p *pull) (iter.Seq2[T, error], error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		p, err := m.route(ctx, repo)
		var all iter.Seq2[T, error]
		if err == nil {
			all, err = f(p)
		}
		if err != nil {
			var zero T
			yield(zero, err)
			return
		}
		all(yield)
	}
}

// permitRepository returns an error unless the rules allow something in a repository and the caller
// may pull from it.
func (m *Mirror) permitRepository(ctx context.Context, p *pull) error {
	if err := p.origin.rules.permit(p.name, ""); err != nil {
		return err
	}
	return m.prove(ctx, p, reference.Ref{}, false)
}

// Repositories implements [registry.Lister]. It lists the repositories that the store has: those of
// the store itself, and mirrored ones from which something was pulled. It leaves out those that the
// rules do not allow, and those of an upstream with PassThrough from which the caller has not
// proved the right to pull within Upstream.Proof.
func (m *Mirror) Repositories(ctx context.Context, opts *registry.ListOptions) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for repo, err := range m.store.Repositories(ctx, opts) {
			if err == nil && !m.shows(ctx, repo) {
				continue
			}
			if !yield(repo, err) || err != nil {
				return
			}
		}
	}
}

// shows reports whether a repository may be in the catalog. One of an upstream with PassThrough may
// be seen only by a caller with a proof.
func (m *Mirror) shows(ctx context.Context, repo string) bool {
	o, name := m.names.mirrored(repo)
	switch {
	case o == nil:
		return true
	case o.PassThrough && !m.proofs.holds(&pull{repo: repo, caller: m.callerOf(ctx, o)}):
		return false
	}
	return o.rules.permit(name, "") == nil
}

// Tags implements [registry.Lister]. The tags of a mirrored repository are those that the upstream
// lists, up to 100,000 of them, as of at most Upstream.TagTTL ago. With Upstream.KeepDeleted, the
// tags in the store are among them. If the upstream fails, they are those in the store.
//
// Errors: registry.ErrNameUnknown; those of GetManifest.
func (m *Mirror) Tags(ctx context.Context, repo string, opts *registry.ListOptions) iter.Seq2[string, error] {
	return listed(ctx, m, repo, func(p *pull) (iter.Seq2[string, error], error) {
		if p == nil {
			return m.store.Tags(ctx, repo, opts), nil
		}
		if err := m.permitRepository(ctx, p); err != nil {
			return nil, err
		}
		tags, err := m.allTags(ctx, p)
		if err != nil {
			return nil, err
		}
		after := options.Value(opts).After
		return func(yield func(string, error) bool) {
			from, _ := slices.BinarySearch(tags, after)
			for _, tag := range tags[from:] {
				if tag == after || p.origin.rules.permit(p.name, tag) != nil {
					continue
				}
				if !yield(tag, nil) {
					return
				}
			}
		}, nil
	})
}

// allTags returns the tags of a mirrored repository in order.
func (m *Mirror) allTags(ctx context.Context, p *pull) ([]string, error) {
	tags, err := m.upstreamTags(ctx, p)
	if err == nil && !p.origin.KeepDeleted {
		return tags, nil
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	stored, serr := m.storedTags(ctx, p)
	if serr != nil {
		return nil, serr
	}
	if err == nil {
		stored = append(stored, tags...)
		slices.Sort(stored)
		return slices.Compact(stored), nil
	}
	q := &question{cached: len(stored) > 0, unknown: registry.ErrNameUnknown, caller: p.caller}
	if a := p.origin.failure(q, err); !a.stale {
		return nil, a.err
	}
	m.warnStale(ctx, p.origin)
	return stored, nil
}

// upstreamTags returns the tags that the upstream lists, in order.
//
// Errors: those of the upstream; registry.ErrNameUnknown if it must not be asked.
func (m *Mirror) upstreamTags(ctx context.Context, p *pull) ([]string, error) {
	if err := m.mayAsk(ctx, p, registry.ErrNameUnknown); err != nil {
		return nil, errNotAsked
	}
	key := p.key("list ")
	if l, ok := m.lists.get(key); ok {
		return l.tags, nil
	}
	if m.missing.has(p, tagsRef) {
		return nil, registry.ErrNameUnknown
	}
	return m.lists.askTags.do(ctx, p.flight(""), 0, func(func()) ([]string, error) {
		if l, ok := m.lists.get(key); ok {
			return l.tags, nil // another flight has landed in between
		}
		ctx, cancel := detached()
		defer cancel()
		tags, err := m.readTags(ctx, p)
		if err != nil {
			m.report(p.origin, p.repo, err)
			if isMissing(err) { // after another failure, the tags in the store are listed
				m.missing.add(p, tagsRef, err)
			}
			return nil, err
		}
		weight := 64
		for _, tag := range tags {
			weight += len(tag) + 16
		}
		m.lists.known.Add(key, list{tags: tags, until: m.fresh(p, "")}, weight)
		return tags, nil
	})
}

// errNotAsked stands for an upstream that must not be asked.
var errNotAsked = errors.New("mirror: the upstream must not be asked")

// readTags reads the list of tags of an upstream, and sorts it, because not every registry does.
func (m *Mirror) readTags(ctx context.Context, p *pull) ([]string, error) {
	var tags []string
	for after := ""; ; {
		page, more, err := p.remote().Tags(ctx, p.name, after, listPage)
		if err != nil {
			return nil, err
		}
		for _, tag := range page {
			if reference.CheckTag(tag) == nil {
				tags = append(tags, strings.Clone(tag))
			}
		}
		if !more || len(page) == 0 || len(tags) >= maxListed || page[len(page)-1] == after {
			break
		}
		after = page[len(page)-1]
	}
	slices.Sort(tags)
	return slices.Compact(tags), nil
}

// storedTags returns the tags that the store has.
func (m *Mirror) storedTags(ctx context.Context, p *pull) ([]string, error) {
	var tags []string
	for tag, err := range m.store.Tags(ctx, p.repo, nil) {
		if errors.Is(err, registry.ErrNameUnknown) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		if tags = append(tags, tag); len(tags) >= maxListed {
			break
		}
	}
	return tags, nil
}

// Referrers implements [registry.Lister]. The referrers in a mirrored repository are those that the
// upstream lists, as of at most Upstream.TagTTL ago, and those in the store. If the upstream fails,
// they are those in the store.
func (m *Mirror) Referrers(ctx context.Context, repo string, d digest.Digest,
	opts *registry.ReferrersOptions) iter.Seq2[ocispec.Descriptor, error] {
	return listed(ctx, m, repo, func(p *pull) (iter.Seq2[ocispec.Descriptor, error], error) {
		if p == nil {
			return m.store.Referrers(ctx, repo, d, opts), nil
		}
		if err := registry.CheckDigest(d); err != nil {
			return nil, err
		}
		if err := m.permitRepository(ctx, p); err != nil {
			return nil, err
		}
		found, err := m.upstreamReferrers(ctx, p, d)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil && !isMissing(err) {
			q := &question{cached: true, unknown: registry.ErrManifestUnknown, caller: p.caller}
			if a := p.origin.failure(q, err); !a.stale {
				return nil, a.err
			}
			m.warnStale(ctx, p.origin)
		}
		return mergeReferrers(m.store.Referrers(ctx, repo, d, opts), found, options.Value(opts)), nil
	})
}

// mergeReferrers yields the descriptors of a sorted list, and those of the store, in order. It copies
// nothing, because all clients share the list, which may be long.
func mergeReferrers(stored iter.Seq2[ocispec.Descriptor, error], found []ocispec.Descriptor,
	o registry.ReferrersOptions) iter.Seq2[ocispec.Descriptor, error] {
	from, _ := slices.BinarySearchFunc(found, o.After, func(desc ocispec.Descriptor, d digest.Digest) int {
		return strings.Compare(string(desc.Digest), string(d))
	})
	return func(yield func(ocispec.Descriptor, error) bool) {
		rest := found[from:]
		// before yields those before a digest, or all if it is "".
		before := func(d digest.Digest) bool {
			for ; len(rest) > 0 && (d == "" || rest[0].Digest < d); rest = rest[1:] {
				if isListed(&rest[0], &o) && !yield(rest[0], nil) {
					return false
				}
			}
			return true
		}
		for desc, err := range stored {
			if err != nil {
				yield(desc, err)
				return
			}
			if !before(desc.Digest) || !yield(desc, nil) {
				return
			}
			if len(rest) > 0 && rest[0].Digest == desc.Digest {
				rest = rest[1:]
			}
		}
		before("")
	}
}

// isListed reports whether a list with these options has a referrer.
func isListed(desc *ocispec.Descriptor, o *registry.ReferrersOptions) bool {
	return desc.Digest != o.After && (len(o.ArtifactTypes) == 0 || slices.Contains(o.ArtifactTypes, desc.ArtifactType))
}

// upstreamReferrers returns the referrers that the upstream lists, sorted by digest.
//
// Errors: those of the upstream; errNotAsked.
func (m *Mirror) upstreamReferrers(ctx context.Context, p *pull, d digest.Digest) ([]ocispec.Descriptor, error) {
	if m.mayAsk(ctx, p, registry.ErrManifestUnknown) != nil {
		return nil, errNotAsked
	}
	key := p.key("list " + string(d))
	if l, ok := m.lists.get(key); ok {
		return l.referrers, nil
	}
	return m.lists.askReferrers.do(ctx, p.flight(string(d)), 0, func(func()) ([]ocispec.Descriptor, error) {
		if l, ok := m.lists.get(key); ok {
			return l.referrers, nil // another flight has landed in between
		}
		ctx, cancel := detached()
		defer cancel()
		found, err := p.remote().Referrers(ctx, p.name, d)
		if err != nil && !isMissing(err) {
			m.report(p.origin, p.repo, err)
			return nil, err
		}
		found = slices.DeleteFunc(slices.Clone(found), func(desc ocispec.Descriptor) bool {
			return reference.CheckDigest(string(desc.Digest)) != nil
		})
		slices.SortFunc(found, func(a, b ocispec.Descriptor) int {
			return strings.Compare(string(a.Digest), string(b.Digest))
		})
		found = slices.CompactFunc(found, func(a, b ocispec.Descriptor) bool { return a.Digest == b.Digest })
		m.lists.known.Add(key, list{referrers: found, until: m.fresh(p, "")}, 64+weightOf(found))
		return found, nil
	})
}

// weightOf returns about how many bytes descriptors take in memory.
func weightOf(descs []ocispec.Descriptor) int {
	n := 0
	for _, desc := range descs {
		n += 256 + len(desc.Digest) + len(desc.MediaType) + len(desc.ArtifactType) + len(desc.Data)
		for k, v := range desc.Annotations {
			n += 64 + len(k) + len(v)
		}
		for _, u := range desc.URLs {
			n += 16 + len(u)
		}
		if p := desc.Platform; p != nil {
			n += 128 + len(p.OS) + len(p.Architecture) + len(p.Variant) + len(p.OSVersion)
			for _, feature := range p.OSFeatures {
				n += 16 + len(feature)
			}
		}
	}
	return n
}

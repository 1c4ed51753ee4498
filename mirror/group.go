package mirror

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/glob"
	"github.com/registrykit/registry/internal/options"
	"github.com/registrykit/registry/reference"
)

// Member is a Backend of a [Group]. Name and Backend are required.
type Member struct {
	// Name identifies the member in GroupOptions.Write, and in the causes of errors.
	Name string
	// Backend has the content: a store, a mirror, a client of another registry.
	Backend registry.Backend
	// Repositories lists patterns of the repositories that are read from this member, such as
	// "docker.io/**". A pattern that starts with "!" is an exception. Default: the repositories that
	// no other member selects.
	Repositories []string
}

// GroupOptions are the options of [NewGroup]. nil means the zero GroupOptions.
type GroupOptions struct {
	// Write is the name of the member that receives pushes, deletes and restores. Default: none,
	// these are refused with registry.ErrDenied.
	Write string
	// Mixed lists patterns of repositories that are read from several members: from all that select
	// them, and from all without patterns. Callers with push access to one member then decide what
	// others pull, if an earlier member does not have it. Default: none, each repository is that of
	// one member, and the others are never asked for it.
	Mixed []string
	// SkipFailing continues with the next member if a member fails, also for tags and lists.
	// Another image may then be served under a tag while a member is unavailable. Default: false, a
	// failure ends a read by tag and a list.
	SkipFailing bool
}

// Group is a [registry.Backend] over several Backends. It reads from them in their order, and
// writes to one of them. It is safe for concurrent use.
//
// # Reads
//
// Each repository belongs to one member: the first whose patterns select it, or else the first
// without patterns. A repository of GroupOptions.Mixed belongs to several, and the first that has a
// blob, manifest or tag serves it. Only "unknown" leads to the next member:
// registry.ErrBlobUnknown, ErrManifestUnknown and ErrNameUnknown.
//
// If a member fails otherwise, a read by digest continues, because any member can only have the
// same content. If no other member has it, the error is that of the failure, so that a client does
// not take content for missing that is only unavailable. A read by tag ends with the error. A
// member that refuses with registry.ErrDenied or ErrUnauthorized ends each read: the refusal may be
// about the content.
//
// Tags and repositories are the sorted union of those of the members, and referrers those of all
// members, each once. Lists are merged while they are read, so memory does not grow with them.
//
// # Writes
//
// Pushes, mounts, deletes and restores go to the member GroupOptions.Write, for repositories that
// are read from it, too. Others are refused with registry.ErrDenied. A mount finds only what that
// member has.
//
// In a mixed repository, a client that may push learns from StatBlob only whether the member for
// writes has the blob. Otherwise it would leave out the upload of a blob that only another member
// has, and its manifest would be refused.
type Group struct {
	registry.Unimplemented
	members     []*member
	write       *member
	mixed       glob.List
	mixes       bool
	skipFailing bool
}

// member is a Member.
type member struct {
	registry.Backend
	name     string
	patterns glob.List
	rest     bool // it has no patterns
}

// NewGroup returns a Group of members, which are read in this order. opts may be nil.
//
// Errors: an error if there is no member, for a member without a name or Backend, for a name that
// two members have, for an unknown GroupOptions.Write, for an invalid pattern, and for two members
// without patterns if no repository is mixed.
func NewGroup(members []Member, opts *GroupOptions) (*Group, error) {
	o := options.Value(opts)
	g := &Group{mixes: len(o.Mixed) > 0, skipFailing: o.SkipFailing}
	var err error
	if g.mixed, _, err = glob.NewRepositories(o.Mixed); err != nil {
		return nil, fmt.Errorf("mirror: GroupOptions.Mixed: %w", err)
	}
	rest := ""
	for _, m := range members {
		switch {
		case m.Name == "" || m.Backend == nil:
			return nil, errors.New("mirror: a member of a group has no name or no Backend")
		case g.member(m.Name) != nil:
			return nil, fmt.Errorf("mirror: two members of a group are named %q", m.Name)
		case len(m.Repositories) == 0 && rest != "" && !g.mixes:
			return nil, fmt.Errorf("mirror: the members %q and %q of a group have no patterns, and nothing is mixed",
				rest, m.Name)
		}
		added := &member{Backend: m.Backend, name: m.Name, rest: len(m.Repositories) == 0}
		if added.patterns, _, err = glob.NewRepositories(m.Repositories); err != nil {
			return nil, fmt.Errorf("mirror: the member %q of a group: %w", m.Name, err)
		}
		if added.rest {
			rest = m.Name
		}
		g.members = append(g.members, added)
	}
	if len(members) == 0 {
		return nil, errors.New("mirror: a group without members")
	}
	if g.write = g.member(o.Write); g.write == nil && o.Write != "" {
		return nil, fmt.Errorf("mirror: GroupOptions.Write is %q, and no member has that name", o.Write)
	}
	return g, nil
}

// member returns the member with a name, or nil.
func (g *Group) member(name string) *member {
	i := slices.IndexFunc(g.members, func(m *member) bool { return m.name == name })
	if i < 0 {
		return nil
	}
	return g.members[i]
}

// of returns the members that a repository is read from, in their order.
func (g *Group) of(repo string) []*member {
	if g.mixes && g.mixed.Selects(repo) {
		var all []*member
		for _, m := range g.members {
			if m.rest || m.patterns.Selects(repo) {
				all = append(all, m)
			}
		}
		return all
	}
	for _, rest := range []bool{false, true} {
		for i, m := range g.members {
			if m.rest == rest && m.patterns.Selects(repo) {
				return g.members[i : i+1]
			}
		}
	}
	return nil
}

// isUnknown reports whether an error says that a member does not have something.
func isUnknown(err error) bool {
	return errors.Is(err, registry.ErrBlobUnknown) || errors.Is(err, registry.ErrManifestUnknown) ||
		errors.Is(err, registry.ErrNameUnknown)
}

// isRefusal reports whether an error is a decision, and not a failure.
func isRefusal(err error) bool {
	return errors.Is(err, registry.ErrDenied) || errors.Is(err, registry.ErrUnauthorized)
}

// from adds the name of the member to an error that is not for clients anyway.
func (m *member) from(err error) error {
	return fmt.Errorf("mirror: the member %s of a group: %w", m.name, err)
}

// readFrom calls f for the members of a repository until one has what is read. safe says that every
// member could only have the same. unknown is the error if no member has it.
func readFrom[T any](ctx context.Context, g *Group, repo string, safe bool, unknown error,
	f func(m *member) (T, error)) (T, error) {
	var zero T
	if err := registry.CheckName(repo); err != nil {
		return zero, err
	}
	var failed error
	for _, m := range g.of(repo) {
		v, err := f(m)
		switch {
		case err == nil:
			return v, nil
		case isUnknown(err):
			unknown = err
			continue
		case ctx.Err() != nil || isRefusal(err) || !safe && !g.skipFailing:
			return zero, m.from(err)
		case failed == nil:
			failed = m.from(err)
		}
	}
	if failed != nil {
		return zero, failed
	}
	return zero, unknown
}

// OpenBlob implements [registry.Reader].
func (g *Group) OpenBlob(ctx context.Context, repo string, d digest.Digest, opts *registry.OpenOptions) (*registry.Blob,
	error) {
	return readFrom(ctx, g, repo, true, registry.ErrBlobUnknown, func(m *member) (*registry.Blob, error) {
		return m.OpenBlob(ctx, repo, d, opts)
	})
}

// StatBlob implements [registry.Reader]. For a caller who may push, only the member for writes
// counts, see [Group].
func (g *Group) StatBlob(ctx context.Context, repo string, d digest.Digest,
	opts *registry.StatOptions) (ocispec.Descriptor, error) {
	renew := options.Value(opts).Renew
	return readFrom(ctx, g, repo, true, registry.ErrBlobUnknown, func(m *member) (ocispec.Descriptor, error) {
		if m == g.write {
			return m.StatBlob(ctx, repo, d, opts)
		}
		desc, err := m.StatBlob(ctx, repo, d, nil) // nothing is pushed to it
		if err == nil && g.writable(repo) && renew != nil && renew(ctx) {
			return g.write.StatBlob(ctx, repo, d, opts)
		}
		return desc, err
	})
}

// GetManifest implements [registry.Reader].
func (g *Group) GetManifest(ctx context.Context, repo string, ref reference.Ref) (*registry.Manifest, error) {
	return readFrom(ctx, g, repo, ref.Tag == "", registry.ErrManifestUnknown, func(m *member) (*registry.Manifest, error) {
		return m.GetManifest(ctx, repo, ref)
	})
}

// StatManifest implements [registry.Reader].
func (g *Group) StatManifest(ctx context.Context, repo string, ref reference.Ref,
	opts *registry.StatOptions) (ocispec.Descriptor, error) {
	return readFrom(ctx, g, repo, ref.Tag == "", registry.ErrManifestUnknown,
		func(m *member) (ocispec.Descriptor, error) {
			if m != g.write {
				return m.StatManifest(ctx, repo, ref, nil) // nothing is pushed to it
			}
			return m.StatManifest(ctx, repo, ref, opts)
		})
}

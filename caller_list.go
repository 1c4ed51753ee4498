package registry

import (
	"context"
	"iter"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/internal/options"
	"github.com/registrykit/registry/reference"
)

// ScanOptions are the options of [Caller.ScanRepositories] and [Caller.ScanTags]. nil means the
// zero ScanOptions.
type ScanOptions struct {
	// After skips the names that are not greater than it. It need not exist. Default: no name is
	// skipped.
	After string
	// Prefix skips the names that do not begin with it. The names before the first such name cost
	// nothing. Default: "".
	Prefix string
	// PageHint is the number of names that the handler expects to take. Zero means unknown.
	PageHint int
	// Unasked leaves Scanned.Visible false for every tag, and asks the Authorizer about none, so that a
	// long list costs little. The handler asks [Caller.Allows] about each tag that it shows.
	// ScanRepositories ignores it.
	Unasked bool
}

// Scanned is an element of a list that was examined.
type Scanned struct {
	Name string
	// Visible reports whether the sender may see the element. A response must not contain a name
	// that is not visible, except as the position in a cursor; see [Caller.SealCursor].
	Visible bool
}

// ScanRepositories yields the repositories in ascending order, and whether the sender may pull from
// each. It skips those about which the Authorizer knows beforehand that the sender may not; see
// [auth.Prefixer]. A handler that serves a list counts what was examined, ends the page in time,
// and continues with After.
//
// The sender needs access to the catalog, which makes an audit record. The elements make none.
//
// Errors: those of Lister.Repositories.
func (c *Caller) ScanRepositories(ctx context.Context, opts *ScanOptions) iter.Seq2[Scanned, error] {
	if err := c.guard.authorize(ctx, &Op{Kind: OpRepositories}); err != nil {
		return failed[Scanned](err)
	}
	return scanFrom(repositoryNames, opts, func(o *ListOptions) iter.Seq2[scanned, error] {
		return c.guard.scan(c.carry(ctx), o)
	})
}

// ScanTags yields the tags of a repository in ascending order, and whether the sender may pull
// each. It is otherwise like [Caller.ScanRepositories].
//
// Errors: those of Lister.Tags.
func (c *Caller) ScanTags(ctx context.Context, repo string, opts *ScanOptions) iter.Seq2[Scanned, error] {
	if err := c.guard.authorize(ctx, &Op{Kind: OpTags, Repository: repo}); err != nil {
		return failed[Scanned](err)
	}
	unasked := options.Value(opts).Unasked
	return scanFrom(tagNames, opts, func(o *ListOptions) iter.Seq2[scanned, error] {
		if unasked {
			return unseen(c.guard.r.backend.Tags(c.carry(ctx), repo, o))
		}
		return c.guard.scanTags(c.carry(ctx), repo, o)
	})
}

// unseen yields names as not visible.
func unseen(names iter.Seq2[string, error]) iter.Seq2[scanned, error] {
	return func(yield func(scanned, error) bool) {
		for name, err := range names {
			if !yield(scanned{name: name}, err) {
				return
			}
		}
	}
}

// StatListed returns the descriptor of a tag that [Caller.ScanTags] has listed. Unlike StatManifest
// of the Backend, it makes no audit record.
//
// Errors: those of Reader.StatManifest; ErrDenied if the sender may not pull the tag.
func (c *Caller) StatListed(ctx context.Context, repo, tag string) (ocispec.Descriptor, error) {
	op := &Op{Kind: OpStatManifest, Repository: repo, Ref: reference.Ref{Tag: tag}}
	if err := op.check(); err != nil {
		return ocispec.Descriptor{}, err
	}
	switch ok, err := c.guard.sees(ctx, op); {
	case err != nil:
		return ocispec.Descriptor{}, err
	case !ok:
		return ocispec.Descriptor{}, ErrDenied
	}
	return c.guard.r.backend.StatManifest(c.carry(ctx), repo, op.Ref, nil)
}

// ListedHistory yields the history of a repository, for a list over several repositories. Unlike
// History of the Backend, it makes no audit record.
//
// Errors: those of Restorer.History; ErrDenied if the sender may not pull from the repository.
func (c *Caller) ListedHistory(ctx context.Context, repo string, opts *HistoryOptions) iter.Seq2[HistoryEntry, error] {
	op := historyOp(repo, opts)
	if err := op.check(); err != nil {
		return failed[HistoryEntry](err)
	}
	push := auth.Access{Type: auth.TypeRepository, Name: repo, Action: auth.Push, Tag: op.Ref.Tag}
	seen, err := c.guard.sees(ctx, op)
	switch {
	case err != nil:
		return failed[HistoryEntry](err)
	case !seen:
		return failed[HistoryEntry](ErrDenied)
	}
	names, err := c.guard.allowed(ctx, []auth.Access{push})
	if err != nil {
		return failed[HistoryEntry](err)
	}
	return c.guard.history(c.carry(ctx), repo, opts, names)
}

// carry returns ctx with the identity of the sender, for the Backend and interceptors.
func (c *Caller) carry(ctx context.Context) context.Context {
	return withIdentity(ctx, c.guard.identity)
}

// scanFrom yields the elements of a list that begin with a prefix.
func scanFrom(kind *nameKind, opts *ScanOptions,
	list func(*ListOptions) iter.Seq2[scanned, error]) iter.Seq2[Scanned, error] {
	o := options.Value(opts)
	return func(yield func(Scanned, error) bool) {
		from := &ListOptions{PageHint: o.PageHint}
		if o.After != "" {
			from.After = kind.after(o.After)
		}
		if o.Prefix != "" {
			from.After = max(from.After, kind.below(o.Prefix))
		}
		for s, err := range list(from) {
			within := strings.HasPrefix(s.name, o.Prefix)
			switch {
			case err != nil:
				yield(Scanned{}, err)
				return
			case !within && s.name > o.Prefix:
				return
			case within && !yield(Scanned{Name: s.name, Visible: s.visible}, nil):
				return
			}
		}
	}
}

// SealCursor returns a cursor for a position in a list, such as the last name that a page has
// examined. It is encrypted by Options.PageKey, so that it reveals nothing of a position with at
// most 255 bytes. list identifies the list, for example by its path. Only [Caller.OpenCursor]
// returns the position, for the same sender and list.
func (c *Caller) SealCursor(list, position string) string {
	return c.guard.r.cursors.seal(position, c.cursorOf(list))
}

// OpenCursor returns the position in a cursor of [Caller.SealCursor]. The text comes from the
// client.
//
// Errors: an error for any other text, and for a cursor of another sender, list or key.
func (c *Caller) OpenCursor(list, cursor string) (position string, err error) {
	return c.guard.r.cursors.open(cursor, c.cursorOf(list))
}

// cursorOf returns what a cursor belongs to. The path of a list of the registry begins with a
// slash, so no cursor of one is a cursor of the other.
func (c *Caller) cursorOf(list string) string { return c.guard.identity.Name + "\x00caller " + list }

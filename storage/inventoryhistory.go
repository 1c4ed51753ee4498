package storage

import (
	"context"
	"iter"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry/internal/objectkey"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/internal/object"
)

// HistoriesOptions are the options of [Inventory.Histories]. nil means the zero HistoriesOptions.
type HistoriesOptions struct {
	// Prefix selects the repositories whose names begin with it. Default: "", all repositories.
	Prefix string
	// After is a repository that the list has yielded; the list continues behind it. The repository
	// need not exist. Default: "", the list begins with the first repository.
	After string
}

// Histories yields the names of the repositories that have a history, also of those that were
// deleted completely. The order is that of the storage: it stays the same, and is not that of the names.
// It makes one request for each repository.
//
// A repository whose last event is too old to be restored is among them until
// [Store.ExpireHistory] removes the event.
func (v Inventory) Histories(ctx context.Context, opts *HistoriesOptions) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		start, after := object.HistoryPrefix, ""
		if opts != nil {
			start += objectkey.Escape(opts.Prefix)
			if opts.After != "" {
				after = behind(opts.After)
			}
		}
		for after = max(after, start); ; {
			name := ""
			list := &driver.ListOptions{After: after, KeysOnly: true, PageHint: 1}
			for info, err := range v.store.objects.Driver.List(ctx, object.HistoryPrefix, list) {
				if err != nil {
					yield("", object.RegistryError(err))
					return
				}
				if strings.HasPrefix(info.Key, start) {
					name, _, _ = strings.Cut(info.Key[len(object.HistoryPrefix):], "/")
				}
				break
			}
			if name == "" {
				return
			}
			repo := objectkey.Unescape(name)
			if reference.CheckName(repo) == nil && !yield(repo, nil) {
				return
			}
			after = behind(repo)
		}
	}
}

// behind returns a key behind all events of a repository, and before those of the next one.
func behind(repo string) string {
	return object.HistoryPrefix + objectkey.Escape(repo) + "0" // "0" follows "/"
}

// HistoryKept returns how long the history is kept: Options.History.
func (v Inventory) HistoryKept() time.Duration { return v.store.opts.History }

// TagsOf yields the tags that point at a manifest, in ascending byte order. It makes one request for
// each of them, and one for each thousand.
func (v Inventory) TagsOf(ctx context.Context, repo string, d digest.Digest) iter.Seq2[StoredTag, error] {
	return func(yield func(StoredTag, error) bool) {
		if err := checkRef(repo, reference.Ref{Digest: d}); err != nil {
			yield(StoredTag{}, err)
			return
		}
		r := v.store.repo(repo)
		for tag, err := range r.TagEntriesOf(ctx, d) {
			if err != nil {
				yield(StoredTag{}, err)
				return
			}
			if !yield(storedTag(tag.Name, tag.Entry), nil) {
				return
			}
		}
	}
}

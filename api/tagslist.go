package api

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/internal/glob"
	"github.com/registrykit/registry/internal/parallel"
	"github.com/registrykit/registry/internal/tagorder"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/storage"
)

const (
	// maxSorted is the maximum number of tags of a repository that a request sorts.
	maxSorted = 1_000_000
	// sortsAtOnce is the number of requests that sort at the same time.
	sortsAtOnce = 4
	// maxDetailed is the maximum length of a page with details.
	maxDetailed = 100
)

// inventory is what Options.Tags can do beside TagTimes. storage.Inventory implements it.
type inventory interface {
	TagTimes
	View() storage.View
	TagNames(ctx context.Context, repo string, d digest.Digest, opts *registry.ListOptions) iter.Seq2[string, error]
	TagRecords(ctx context.Context, repo string) iter.Seq2[storage.TagRecord, error]
	ManifestsAfter(ctx context.Context, repo string, after digest.Digest, hint int) iter.Seq2[storage.StoredManifest,
		error]
	Record(ctx context.Context, repo string, d digest.Digest) (storage.StoredRecord, error)
	Children(ctx context.Context, repo string, m storage.StoredManifest) ([]digest.Digest, error)
	SetBy(ctx context.Context, repo string, t storage.StoredTag) (string, error)
}

// inventory returns Options.Tags if it knows the content of the storage, or nil.
func (a *API) inventory() inventory {
	v, _ := a.opts.Tags.(inventory)
	return v
}

// tagQuery are the parameters of a list of tags.
type tagQuery struct {
	repo, after string
	limit       int
	digest      digest.Digest
	matches     func(tag string) bool
	// compare is the order. nil means by name.
	compare func(x, y *storage.TagRecord) int
	timed   bool // by time
	details bool
}

// tagQuery reads the parameters of a list of tags.
//
// Errors: 400 for a malformed parameter; 501 for an order that the host does not support.
func (q *request) tagQuery() (t tagQuery, err error) {
	if err := q.only("q", "digest", "sort", "details", "limit", "after"); err != nil {
		return t, err
	}
	if err := q.filled("digest", "sort", "details"); err != nil {
		return t, err
	}
	t.repo = q.param("repository")
	if t.after, t.limit, err = q.page(); err != nil {
		return t, err
	}
	if t.details, err = q.boolean("details"); err != nil {
		return t, err
	}
	if t.details {
		t.limit = min(t.limit, maxDetailed)
	}
	text, err := q.text("q", reference.MaxTagLength)
	if err != nil {
		return t, err
	}
	if t.matches, err = tagFilter(text); err != nil {
		return t, err
	}
	if t.digest = digest.Digest(q.query.Get("digest")); t.digest != "" {
		if err := registry.CheckDigest(t.digest); err != nil {
			return t, err
		}
		if q.api.inventory() == nil {
			return t, errNoOrder
		}
	}
	return t, q.tagOrder(&t)
}

var errNoOrder = registry.ErrUnsupported.WithMessage("the registry cannot list tags in this way")

// tagOrder sets the order of a list.
func (q *request) tagOrder(t *tagQuery) error {
	byName := func(x, y *storage.TagRecord) int { return strings.Compare(x.Name, y.Name) }
	order := q.query.Get("sort")
	switch name := strings.TrimPrefix(order, "-"); {
	case order == "" || order == "name":
		return nil
	case name == "name":
		t.compare = byName
	case name == "version": // Compare has the newest first
		t.compare = func(x, y *storage.TagRecord) int { return tagorder.Compare(y.Name, x.Name) }
	case name == "set" && q.api.inventory() != nil:
		t.timed = true
		t.compare = func(x, y *storage.TagRecord) int { return cmp.Or(x.Time.Compare(y.Time), byName(x, y)) }
	case name == "set":
		return errNoOrder
	default:
		return errInvalid.WithMessage("sort must be name, version or set, or one of these after \"-\"")
	}
	if order[0] == '-' {
		ascending := t.compare
		t.compare = func(x, y *storage.TagRecord) int { return ascending(y, x) }
	}
	return nil
}

// tagFilter returns a function that reports whether a tag contains a text, or matches it if it is a
// pattern.
//
// Errors: 400 for a malformed pattern.
func tagFilter(text string) (func(string) bool, error) {
	if !strings.ContainsAny(text, "*?[{") {
		return func(tag string) bool { return strings.Contains(tag, text) }, nil
	}
	if err := glob.Check(text); err != nil {
		return nil, errInvalid.WithMessage("q is no pattern of tags: " + err.Error())
	}
	return func(tag string) bool { return glob.Match(text, tag) }, nil
}

func (a *API) listTags(q *request) (*response, error) {
	t, err := q.tagQuery()
	if err != nil {
		return nil, err
	}
	var names []string
	var next string
	switch {
	case t.digest != "":
		names, next, err = a.tagsOf(q, &t)
	case t.compare != nil:
		names, next, err = a.sortedTags(q, &t)
	default:
		opts := &registry.ScanOptions{After: t.after, PageHint: t.limit + 1}
		names, next, err = a.collect(matching(q.caller.ScanTags(q.Context(), t.repo, opts), t.matches), "", t.limit)
	}
	if err != nil {
		return nil, err
	}
	items, err := a.listedTags(q, &t, names)
	return &response{body: types.TagList{Items: items}, next: next}, err
}

// listedTags returns the tags of a page.
func (a *API) listedTags(q *request, t *tagQuery, names []string) ([]types.Tag, error) {
	items := make([]types.Tag, len(names))
	err := parallel.Each(atOnce, len(names), func(i int) (err error) {
		items[i], err = a.listedTag(q, names[i])
		if errors.Is(err, registry.ErrManifestUnknown) {
			err = nil // it was deleted since
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	items = slices.DeleteFunc(items, func(tag types.Tag) bool {
		return tag.Name == "" || t.digest != "" && tag.Digest != string(t.digest) // it has moved since
	})
	pulls, err := a.pullTimes(q.Context(), t.repo)
	if err != nil {
		return nil, err
	}
	for i := range items {
		items[i].Pulled = lastPullOf(pulls, &items[i])
	}
	if t.details {
		err = a.addDetails(q, t.repo, items)
	}
	return items, err
}

// tagsOf returns the names of a page of the tags that may point at a manifest, and the position of the
// next page.
func (a *API) tagsOf(q *request, t *tagQuery) (names []string, next string, err error) {
	opts := &registry.ListOptions{After: t.after, PageHint: t.limit + 1}
	list := a.inventory().TagNames(q.Context(), t.repo, t.digest, opts)
	candidates := func(yield func(registry.Scanned, error) bool) {
		for name, err := range list {
			s := registry.Scanned{Name: name}
			if err == nil {
				s.Visible, err = q.seesTag(t.repo, name)
			}
			if !yield(s, err) || err != nil {
				return
			}
		}
	}
	return a.collect(matching(candidates, t.matches), "", t.limit)
}

// matching yields the elements of a list. Those that do not match count as not visible.
func matching(list iter.Seq2[registry.Scanned, error], matches func(string) bool) iter.Seq2[registry.Scanned, error] {
	return func(yield func(registry.Scanned, error) bool) {
		for s, err := range list {
			s.Visible = s.Visible && matches(s.Name)
			if !yield(s, err) {
				return
			}
		}
	}
}

// seesTag reports whether the caller may pull a tag. It makes no audit record.
func (q *request) seesTag(repo, tag string) (bool, error) {
	return q.caller.Allows(q.Context(), auth.Access{Type: auth.TypeRepository, Name: repo, Action: auth.Pull, Tag: tag})
}

// sortedTags returns the names of a page in the order of the query, and the position of the next page.
// It goes through all names once.
//
// Errors: 422 for a repository with too many tags.
func (a *API) sortedTags(q *request, t *tagQuery) (names []string, next string, err error) {
	select {
	case a.sorting <- struct{}{}:
		defer func() { <-a.sorting }()
	case <-q.Context().Done():
		return nil, "", q.Context().Err()
	}
	after, err := t.position()
	if err != nil {
		return nil, "", err
	}
	page, err := a.firstTags(q, t, after, nil)
	if err != nil {
		return nil, "", err
	}
	seen := func(tag *storage.TagRecord) (bool, error) { return q.seesTag(t.repo, tag.Name) }
	for _, tag := range page {
		ok, err := seen(tag)
		if err != nil {
			return nil, "", err
		}
		if !ok { // rules hide some tags: ask about each
			if page, err = a.firstTags(q, t, after, seen); err != nil {
				return nil, "", err
			}
			break
		}
	}
	if len(page) > t.limit {
		page = page[:t.limit]
		next = t.cursor(page[t.limit-1])
	}
	for _, tag := range page {
		names = append(names, tag.Name)
	}
	return names, next, nil
}

// firstTags returns the first tags after a position, one more than the page has. seen reports whether the
// caller may pull a tag. It is nil for a first attempt: most callers may pull all tags, and to ask about
// each of a hundred thousand takes longer than to sort them.
func (a *API) firstTags(q *request, t *tagQuery, after storage.TagRecord,
	seen func(*storage.TagRecord) (bool, error)) ([]*storage.TagRecord, error) {
	var all tagorder.Scattered[storage.TagRecord]
	examined := 0
	for tag, err := range a.allTags(q, t) {
		if err != nil {
			return nil, err
		}
		if examined++; examined > maxSorted {
			return nil, errTooManyTags
		}
		if t.matches(tag.Name) {
			all.Add(tag)
		}
	}
	best := tagorder.NewFirsts(t.limit+1, t.compare)
	for tag := range all.All() {
		if !best.Wants(tag) || after.Name != "" && t.compare(tag, &after) <= 0 {
			continue
		}
		if seen != nil {
			ok, err := seen(tag)
			if err != nil {
				return nil, err
			}
			if !ok {
				continue
			}
		}
		best.Add(tag)
	}
	return best.Sorted(), nil
}

var errTooManyTags = registry.NewError("TOO_MANY_TAGS", 422, fmt.Sprintf(
	"the repository has more than %d tags: they can only be listed by name", maxSorted))

// allTags yields the tags of a repository, also those that the caller may not pull.
func (a *API) allTags(q *request, t *tagQuery) iter.Seq2[storage.TagRecord, error] {
	if t.timed {
		return a.inventory().TagRecords(q.Context(), t.repo)
	}
	return func(yield func(storage.TagRecord, error) bool) {
		for s, err := range q.caller.ScanTags(q.Context(), t.repo, &registry.ScanOptions{Unasked: true}) {
			if !yield(storage.TagRecord{Name: s.Name}, err) {
				return
			}
		}
	}
}

// position returns the tag after which the page begins.
//
// Errors: 400 for a cursor of a list in another order.
func (t *tagQuery) position() (storage.TagRecord, error) {
	if !t.timed || t.after == "" {
		return storage.TagRecord{Name: t.after}, nil
	}
	at, name, ok := strings.Cut(t.after, " ")
	nanoseconds, err := strconv.ParseInt(at, 10, 64)
	if !ok || err != nil || name == "" {
		return storage.TagRecord{}, errInvalid.WithMessage("after must be a cursor of the list in this order").WithCause(err)
	}
	return storage.TagRecord{Name: name, Time: time.Unix(0, nanoseconds)}, nil
}

// cursor returns the position of a tag.
func (t *tagQuery) cursor(tag *storage.TagRecord) string {
	if !t.timed {
		return tag.Name
	}
	return fmt.Sprint(tag.Time.UnixNano(), " ", tag.Name)
}

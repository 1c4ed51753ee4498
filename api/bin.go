package api

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/internal/objectkey"
	"github.com/registrykit/registry/internal/parallel"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/storage"
)

// maxBinTime is how long a page of the bin looks for deletes. The next page continues there.
const maxBinTime = 80 * time.Millisecond

// Histories lists the repositories that have a history, and says what is there now. storage.Inventory implements it.
type Histories interface {
	// Histories yields the repositories with a history.
	Histories(ctx context.Context, opts *storage.HistoriesOptions) iter.Seq2[string, error]
	// HistoryKept returns how long a history is kept.
	HistoryKept() time.Duration
	// Tag returns a tag of a repository.
	//
	// Errors: registry.ErrManifestUnknown.
	Tag(ctx context.Context, repo, tag string) (storage.StoredTag, error)
	// Manifest returns a manifest of a repository.
	//
	// Errors: registry.ErrManifestUnknown.
	Manifest(ctx context.Context, repo string, d digest.Digest) (m *registry.Manifest, deleting bool, err error)
	// Manifests yields the manifests of a repository.
	Manifests(ctx context.Context, repo string) iter.Seq2[storage.StoredManifest, error]
}

// binRoutes are the routes of the part bin.
func (a *API) binRoutes() []route {
	return []route{{method: "GET", path: "/v1/bin", access: all(signedIn, readCatalog), handle: a.listBin}}
}

// deletes are the changes that the bin lists.
var deletes = []registry.Change{registry.ChangeUntag, registry.ChangeDelete, registry.ChangeDeleteRepository}

// ended is the position behind all deletes of a repository. IDs of history entries are smaller.
const ended = "~"

// binScan is a search for deletes.
type binScan struct {
	q         *request
	namespace string // "" for all
	text      string // in the name of the repository
	by        string // "" for everybody
	since     time.Time
	limit     int

	repo, id string // the position: what was examined last
	examined int
	began    time.Time
	moved    bool // the position is behind that of the page before
	full     bool // the page has ended before the list
	items    []types.Deleted
}

func (a *API) listBin(q *request) (*response, error) {
	if err := q.only("namespace", "q", "by", "since", "limit", "after"); err != nil {
		return nil, err
	}
	s, err := newBinScan(q)
	if err != nil {
		return nil, err
	}
	for repo, err := range s.repositories() {
		if err == nil {
			err = s.look(repo)
		}
		if err != nil {
			return nil, err
		}
		if s.full {
			break
		}
	}
	err = parallel.Each(atOnce, len(s.items), func(i int) error { return a.present(q, &s.items[i]) })
	if err != nil {
		return nil, err
	}
	r := &response{body: types.DeletedList{Items: s.items}}
	if s.full {
		r.next = s.repo + "\n" + s.id
	}
	return r, nil
}

// newBinScan reads the parameters of the bin.
//
// Errors: 400.
func newBinScan(q *request) (*binScan, error) {
	s := &binScan{q: q, namespace: q.query.Get("namespace"), began: time.Now(), items: []types.Deleted{}}
	after, limit, err := q.page()
	if err != nil {
		return nil, err
	}
	s.limit = limit
	s.repo, s.id, _ = strings.Cut(after, "\n")
	if s.namespace != "" {
		if err := registry.CheckName(s.namespace); err != nil {
			return nil, err
		}
	}
	if s.text, err = q.text("q", reference.MaxNameLength); err != nil {
		return nil, err
	}
	if s.by, err = q.text("by", maxReason); err != nil {
		return nil, err
	}
	if since := q.query.Get("since"); since != "" {
		if s.since, err = time.Parse(time.RFC3339, since); err != nil {
			return nil, errInvalid.WithMessage("since must be a time such as 2026-01-02T15:04:05Z").WithCause(err)
		}
	}
	return s, q.filled("since")
}

// repositories yields the repositories from the position on that the caller could see.
func (s *binScan) repositories() iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		begin := s.repo
		if begin != "" && s.id != ended && !yield(begin, nil) {
			return
		}
		if begin == "" && s.namespace != "" && !yield(s.namespace, nil) {
			return
		}
		if begin == s.namespace { // it comes before those below it
			begin = ""
		}
		for _, prefix := range s.prefixes() {
			opts := &storage.HistoriesOptions{Prefix: prefix, After: begin}
			for repo, err := range s.q.api.opts.Bin.Histories(s.q.Context(), opts) {
				if !yield(repo, err) || err != nil {
					return
				}
			}
		}
	}
}

// maxPrefixes is the maximum number of prefixes that are listed one by one.
const maxPrefixes = 64

// prefixes returns the prefixes outside of which the caller sees nothing, in the order of the list. None is within
// another.
func (s *binScan) prefixes() []string {
	if s.namespace != "" {
		return []string{s.namespace + "/"}
	}
	all := auth.Prefixes(s.q.Context(), s.q.api.registry.Authorizer(), s.q.caller.Identity())
	all = slices.SortedFunc(slices.Values(all), func(a, b string) int {
		return strings.Compare(objectkey.Escape(a), objectkey.Escape(b))
	})
	var kept []string
	for _, p := range all {
		if n := len(kept); n == 0 || !strings.HasPrefix(p, kept[n-1]) {
			kept = append(kept, p)
		}
	}
	if len(kept) > maxPrefixes {
		return []string{""}
	}
	return kept
}

// spent reports whether the page has examined enough. Each page examines something.
func (s *binScan) spent() bool {
	s.examined++
	s.full = s.full || s.moved && (s.examined > s.q.api.scanned || s.examined%16 == 0 && time.Since(s.began) > maxBinTime)
	return s.full
}

// move sets the position.
func (s *binScan) move(repo, id string) { s.repo, s.id, s.moved = repo, id, true }

// look adds the deletes of one repository to the page.
func (s *binScan) look(repo string) error {
	after := ""
	if repo == s.repo {
		after = s.id
	}
	if s.spent() {
		return nil
	}
	pull := auth.Access{Type: auth.TypeRepository, Name: repo, Action: auth.Pull}
	ok, err := strings.Contains(repo, s.text), error(nil)
	if ok {
		ok, err = s.q.caller.Allows(s.q.Context(), pull)
	}
	if err != nil || !ok {
		s.move(repo, ended)
		return err
	}
	opts := &registry.HistoryOptions{Changes: deletes, After: after, PageHint: s.limit}
	opts.Scan = func(id string) bool {
		if s.spent() {
			return false
		}
		s.move(repo, id)
		return true
	}
	before := after // the entry before e
	for e, err := range s.q.caller.ListedHistory(s.q.Context(), repo, opts) {
		if err != nil {
			return err
		}
		if e.Time.Before(s.since) {
			s.full = false
			break
		}
		wanted := slices.Contains(deletes, e.Change) && e.Of == "" && (s.by == "" || s.by == e.By)
		if wanted && len(s.items) == s.limit {
			s.full = true
			s.move(repo, before)
			return nil
		}
		if wanted {
			s.items = append(s.items, s.deleted(repo, &e))
		}
		before = e.ID
	}
	if !s.full {
		s.move(repo, ended)
	}
	return nil
}

// deleted returns an entry of a history as the bin shows it.
func (s *binScan) deleted(repo string, e *registry.HistoryEntry) types.Deleted {
	return types.Deleted{Repository: repo, Time: e.Time.UTC(), Change: string(e.Change), By: e.By, Tag: e.Tag,
		Tags: e.Tags, Manifest: optionalDescriptor(e.Before), Until: e.Time.Add(s.q.api.opts.Bin.HistoryKept()).UTC(),
		Unconfirmed: e.Unconfirmed}
}

// present adds to a delete what is there now, and whether the caller may restore it.
func (a *API) present(q *request, d *types.Deleted) (err error) {
	push := auth.Access{Type: auth.TypeRepository, Name: d.Repository, Action: auth.Push}
	accesses := []auth.Access{push}
	if push.Tag = d.Tag; d.Tag != "" {
		accesses = append(accesses, push)
	}
	if d.Restorable, err = q.caller.Allows(q.Context(), accesses...); err != nil {
		return err
	}
	switch registry.Change(d.Change) {
	case registry.ChangeUntag:
		var t storage.StoredTag
		if t, err = a.opts.Bin.Tag(q.Context(), d.Repository, d.Tag); err == nil {
			d.Exists, d.Now = true, t.Descriptor.Digest.String()
		}
	case registry.ChangeDelete:
		if d.Manifest == nil {
			return nil
		}
		_, _, err = a.opts.Bin.Manifest(q.Context(), d.Repository, digest.Digest(d.Manifest.Digest))
		d.Exists = err == nil
	case registry.ChangeDeleteRepository:
		for _, err := range a.opts.Bin.Manifests(q.Context(), d.Repository) {
			d.Exists = err == nil
			return err
		}
	}
	if errors.Is(err, registry.ErrManifestUnknown) {
		err = nil
	}
	return err
}

package api

import (
	"context"
	"errors"
	"iter"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/image"
	"github.com/registrykit/registry/internal/parallel"
	"github.com/registrykit/registry/reference"
)

// Limits of a preview of a delete.
const (
	maxDeletion     = 200    // tags and digests
	shownTags       = 100    // of a manifest
	examinedTags    = 1000   // of a manifest
	shownChildren   = 100    // of an index
	shownReferrers  = 20     // of a manifest
	shownUsers      = 20     // indexes that name a manifest
	maxCompared     = 500    // manifests of the repository, for the bytes that are freed
	maxNamed        = 50_000 // what they name
	maxCountedTags  = 10_000 // of a repository
	maxReferrerScan = 4 << 20
)

// deletionRoutes are the routes of the part deletion.
func (a *API) deletionRoutes() []route {
	return []route{{method: "POST", path: "/v1/repositories/{repository}/deletion-preview",
		access: onRepository(auth.Pull), handle: a.previewDeletion}}
}

// deletion is a preview of a delete.
type deletion struct {
	q        *request
	repo     string
	may      bool // the caller may delete manifests and the repository
	protects func(tag string) bool
	p        types.DeletionPreview
}

// previewDeletion shows what a delete would remove. It changes nothing, so it needs only pull access; the answer says
// what the caller may not delete.
func (a *API) previewDeletion(q *request) (*response, error) {
	if err := q.only(); err != nil {
		return nil, err
	}
	var what types.Deletion
	if err := q.decode(&what); err != nil {
		return nil, err
	}
	q.unchanged = true
	d, err := newDeletion(q, &what)
	if err != nil {
		return nil, err
	}
	if len(what.Tags) == 0 && len(what.Digests) == 0 {
		err = d.everything()
		return &response{body: &d.p}, err
	}
	d.p.Tags = make([]types.TagDeletion, len(what.Tags))
	err = parallel.Each(atOnce, len(what.Tags), func(i int) error {
		d.p.Tags[i].Name = what.Tags[i]
		return d.tag(&d.p.Tags[i])
	})
	if err != nil {
		return nil, err
	}
	d.p.Manifests = make([]types.ManifestDeletion, len(what.Digests))
	err = parallel.Each(atOnce, len(what.Digests), func(i int) error {
		d.p.Manifests[i].Digest = what.Digests[i]
		return d.manifest(&d.p.Manifests[i])
	})
	if err == nil && len(what.Digests) > 0 && a.opts.Tags != nil {
		err = d.compare()
	}
	return &response{body: &d.p}, err
}

// newDeletion checks what is to be deleted.
//
// Errors: 400 for too many elements, repeated ones, and malformed ones.
func newDeletion(q *request, what *types.Deletion) (*deletion, error) {
	if len(what.Tags)+len(what.Digests) > maxDeletion {
		return nil, errInvalid.WithMessage("a delete has at most 200 tags and digests")
	}
	seen := map[string]bool{}
	for _, name := range slices.Concat(what.Tags, what.Digests) {
		if seen[name] {
			return nil, errInvalid.WithMessage("a tag or digest is repeated")
		}
		seen[name] = true
	}
	for _, tag := range what.Tags {
		if err := registry.CheckTag(tag); err != nil {
			return nil, err
		}
	}
	for _, d := range what.Digests {
		if err := registry.CheckDigest(digest.Digest(d)); err != nil {
			return nil, err
		}
	}
	d := &deletion{q: q, repo: q.param("repository"), protects: func(string) bool { return false }}
	if q.api.opts.Protects != nil {
		if protects := q.api.opts.Protects(d.repo); protects != nil {
			d.protects = protects
		}
	}
	var err error
	d.may, err = d.allows(auth.Delete, "")
	if bin := q.api.opts.Bin; bin != nil && bin.HistoryKept() > 0 {
		d.p.Until = time.Now().Add(bin.HistoryKept()).UTC().Truncate(time.Second)
	}
	return d, err
}

// allows reports whether the caller may do something in the repository.
func (d *deletion) allows(action auth.Action, tag string) (bool, error) {
	return d.q.caller.Allows(d.q.Context(),
		auth.Access{Type: auth.TypeRepository, Name: d.repo, Action: action, Tag: tag})
}

// tag shows a tag that would go.
func (d *deletion) tag(t *types.TagDeletion) error {
	found, err := d.q.caller.StatListed(d.q.Context(), d.repo, t.Name)
	if errors.Is(err, registry.ErrManifestUnknown) || errors.Is(err, registry.ErrDenied) {
		t.Missing = true
		return nil
	}
	if err != nil {
		return err
	}
	t.Digest, t.MediaType, t.Size = found.Digest.String(), found.MediaType, found.Size
	may, err := d.allows(auth.Delete, t.Name)
	switch {
	case err != nil:
		return err
	case !may:
		t.Refused = types.RefusedAccess
	case d.protects(t.Name):
		t.Refused = types.RefusedImmutable
	}
	t.OtherTags, t.MoreTags, _, err = d.tagsOf(found.Digest, t.Name)
	return err
}

// tagsOf returns the tags of a manifest that the caller may see, except for one, whether there are
// more, and whether one of all is immutable.
func (d *deletion) tagsOf(of digest.Digest, except string) (names []string, more, immutable bool, err error) {
	examined := 0
	for name, err := range d.tagNamesOf(of) {
		if err != nil {
			return nil, false, false, err
		}
		if examined++; examined > examinedTags {
			return names, true, immutable, nil
		}
		immutable = immutable || d.protects(name)
		if name == except {
			continue
		}
		seen, err := d.allows(auth.Pull, name)
		switch {
		case err != nil:
			return nil, false, false, err
		case !seen || len(names) == shownTags:
			more = true
		default:
			names = append(names, name)
		}
		if more && (immutable || d.q.api.opts.Protects == nil) {
			break // no further tag changes what is shown
		}
	}
	return names, more, immutable, nil
}

// tagNamesOf yields the tags of a manifest, as far as they are known.
func (d *deletion) tagNamesOf(of digest.Digest) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		if d.q.api.opts.Tags == nil {
			return
		}
		for t, err := range d.q.api.opts.Tags.TagsOf(d.q.Context(), d.repo, of) {
			if !yield(t.Name, err) || err != nil {
				return
			}
		}
	}
}

// read returns a manifest, without the event of a pull if the storage is known.
//
// Errors: registry.ErrManifestUnknown.
func (d *deletion) read(ctx context.Context, of digest.Digest) (*registry.Manifest, error) {
	if stored := d.q.api.opts.Tags; stored != nil {
		m, _, err := stored.Manifest(ctx, d.repo, of)
		return m, err
	}
	return d.q.caller.Backend().GetManifest(ctx, d.repo, reference.Ref{Digest: of})
}

// manifest shows a manifest that would go.
func (d *deletion) manifest(m *types.ManifestDeletion) error {
	ctx, of := d.q.Context(), digest.Digest(m.Digest)
	content, err := d.read(ctx, of)
	if errors.Is(err, registry.ErrManifestUnknown) {
		m.Missing = true
		return nil
	}
	if err != nil {
		return err
	}
	facts, _, err := image.ParseManifest(content)
	if err != nil {
		return err
	}
	m.MediaType, m.Kind, m.ArtifactType = facts.Descriptor.MediaType, string(facts.Kind), facts.ArtifactType
	m.TotalSize = facts.Size
	m.MoreChildren = len(facts.Manifests) > shownChildren
	for _, child := range facts.Manifests[:min(len(facts.Manifests), shownChildren)] {
		child.Annotations = nil
		m.Children = append(m.Children, descriptorOf(child))
	}
	immutable := false
	if m.Tags, m.MoreTags, immutable, err = d.tagsOf(of, ""); err != nil {
		return err
	}
	switch {
	case !d.may:
		m.Refused = types.RefusedAccess
	case immutable:
		m.Refused = types.RefusedImmutable
	}
	return d.referrers(m)
}

// referrers shows what refers to a manifest.
func (d *deletion) referrers(m *types.ManifestDeletion) error {
	size := int64(0)
	opts := &registry.ReferrersOptions{PageHint: shownReferrers + 1, Scan: func(_ digest.Digest, n int64) bool {
		size += n
		m.MoreReferrers = size > maxReferrerScan
		return !m.MoreReferrers
	}}
	for r, err := range d.q.caller.Backend().Referrers(d.q.Context(), d.repo, digest.Digest(m.Digest), opts) {
		if err != nil {
			return err
		}
		if len(m.Referrers) == shownReferrers {
			m.MoreReferrers = true
			break
		}
		r.Annotations = nil
		m.Referrers = append(m.Referrers, descriptorOf(r))
	}
	return nil
}

// everything shows what a delete of the repository would remove.
func (d *deletion) everything() error {
	r := &types.RepositoryDeletion{}
	d.p.Everything = r
	if !d.may {
		r.Refused = types.RefusedAccess
	}
	opts := &registry.ScanOptions{PageHint: maxCountedTags + 1}
	for t, err := range d.q.caller.ScanTags(d.q.Context(), d.repo, opts) {
		if errors.Is(err, registry.ErrNameUnknown) {
			r.Missing = true
			return nil
		}
		if err != nil {
			return err
		}
		if r.Tags == maxCountedTags {
			r.MoreTags = true
			break
		}
		r.Tags++
		if r.Refused == "" && d.protects(t.Name) {
			r.Refused = types.RefusedImmutable
		}
	}
	if d.q.api.opts.Tags == nil {
		return nil
	}
	n := 0
	r.Manifests = &n
	for _, err := range d.q.api.opts.Tags.Manifests(d.q.Context(), d.repo) {
		if err != nil {
			return err
		}
		if n == maxCountedTags {
			r.MoreManifests = true
			break
		}
		n++
	}
	return nil
}

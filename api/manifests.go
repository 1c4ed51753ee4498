package api

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"slices"
	"sync"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/image"
	"github.com/registrykit/registry/internal/parallel"
	"github.com/registrykit/registry/pulltime"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/storage"
)

// manifestRoutes are the routes of the part manifests.
func (a *API) manifestRoutes() []route {
	return []route{{method: "GET", path: "/v1/repositories/{repository}/manifests", access: onRepository(auth.Pull),
		handle: a.listManifests}}
}

// Limits of the work for a page of manifests.
const (
	maxManifests    = 500     // manifests that are examined
	manifestsAtOnce = 16      // of them at the same time
	maxFamily       = 2000    // manifests of a repository in which those of indexes are told apart
	maxListedTags   = 10      // tags of a manifest
	maxFamilyNamed  = 100_000 // what the indexes of a repository name
)

// manifestQuery are the parameters of a list of manifests.
type manifestQuery struct {
	repo  string
	after digest.Digest
	limit int
	kind  string // "", "untagged" or "artifact"
	// named are the manifests that an index names, for "untagged".
	named map[digest.Digest]bool
	pulls *pulltime.Times
}

// manifestQuery reads the parameters of a list of manifests.
//
// Errors: 400 for a malformed parameter.
func (q *request) manifestQuery() (m manifestQuery, err error) {
	if err := q.only("kind", "limit", "after"); err != nil {
		return m, err
	}
	if err := q.filled("kind"); err != nil {
		return m, err
	}
	m.repo, m.kind = q.param("repository"), q.query.Get("kind")
	if m.kind != "" && m.kind != "untagged" && m.kind != "artifact" {
		return m, errInvalid.WithMessage("kind must be untagged or artifact")
	}
	after, limit, err := q.page()
	m.after, m.limit = digest.Digest(after), limit
	if err == nil && after != "" {
		err = registry.CheckDigest(m.after)
	}
	return m, err
}

func (a *API) listManifests(q *request) (*response, error) {
	m, err := q.manifestQuery()
	if err != nil {
		return nil, err
	}
	if ok, err := exists(q, m.repo); err != nil || !ok {
		return nil, cmp.Or(err, error(registry.ErrNameUnknown))
	}
	if m.pulls, err = a.pullTimes(q.Context(), m.repo); err != nil {
		return nil, err
	}
	if m.kind == "untagged" {
		if m.named, err = a.namedByIndexes(q.Context(), m.repo); err != nil {
			return nil, err
		}
	}
	list, next, examined := types.ManifestList{Items: []types.ManifestSummary{}}, "", 0
	for batch, err := range batches(a.inventory().ManifestsAfter(q.Context(), m.repo, m.after, maxManifests+1)) {
		if err != nil {
			return nil, err
		}
		if examined >= maxManifests {
			next = m.after.String()
			break
		}
		examined += len(batch)
		found, err := a.summaries(q, &m, batch)
		if err != nil {
			return nil, err
		}
		for i := range found {
			if len(list.Items) == m.limit {
				return &response{body: list, next: list.Items[m.limit-1].Digest}, nil
			}
			list.Items = append(list.Items, found[i])
		}
		m.after = batch[len(batch)-1].Digest
	}
	return &response{body: list, next: next}, nil
}

// batches yields the elements of a list, several at a time.
func batches(list iter.Seq2[storage.StoredManifest, error]) iter.Seq2[[]storage.StoredManifest, error] {
	return func(yield func([]storage.StoredManifest, error) bool) {
		var batch []storage.StoredManifest
		for m, err := range list {
			if err != nil {
				yield(nil, err)
				return
			}
			if batch = append(batch, m); len(batch) == manifestsAtOnce {
				if !yield(batch, nil) {
					return
				}
				batch = nil
			}
		}
		if len(batch) > 0 {
			yield(batch, nil)
		}
	}
}

// summaries returns those of the manifests that the list is about.
func (a *API) summaries(q *request, m *manifestQuery, batch []storage.StoredManifest) ([]types.ManifestSummary, error) {
	all := make([]types.ManifestSummary, len(batch))
	err := parallel.Each(manifestsAtOnce, len(batch), func(i int) (err error) {
		all[i], err = a.manifestSummary(q, m, batch[i].Digest)
		return err
	})
	return slices.DeleteFunc(all, func(s types.ManifestSummary) bool { return s.Digest == "" }), err
}

// manifestSummary returns a manifest as an element of a list. It is zero if the list is not about it.
func (a *API) manifestSummary(q *request, m *manifestQuery, d digest.Digest) (s types.ManifestSummary, err error) {
	if m.named[d] {
		return s, nil
	}
	record, err := a.inventory().Record(q.Context(), m.repo, d)
	if err != nil || record.Manifest == nil || !served(record.State) {
		return s, err
	}
	f, _, err := image.ParseManifest(record.Manifest)
	if err != nil {
		return s, nil // it is damaged, and scrubs report it
	}
	if m.kind == "artifact" && f.Kind != image.KindArtifact && f.Subject == nil {
		return s, nil
	}
	if m.kind == "untagged" && f.Subject != nil {
		return s, nil
	}
	tags, tagged, err := a.someTags(q, m.repo, d)
	if err != nil || m.kind == "untagged" && tagged {
		return s, err
	}
	s = types.ManifestSummary{
		Digest: d.String(), MediaType: f.Descriptor.MediaType, Size: f.Descriptor.Size, Kind: string(f.Kind),
		ArtifactType: f.ArtifactType, TotalSize: f.Size, Platforms: platformsOf(f.Manifests),
		Pushed: instant(record.Pushed), Tags: tags,
	}
	if f.Subject != nil {
		s.Subject = f.Subject.Digest.String()
	}
	if at, ok := m.pulls.Digest(d); ok {
		s.Pulled = at.UTC()
	}
	if f.Kind == image.KindImage {
		s.Platforms, err = a.platform(q.Context(), m.repo, d)
	}
	return s, err
}

// platform returns the platform of an image, or nothing if its configuration cannot be read.
func (a *API) platform(ctx context.Context, repo string, d digest.Digest) ([]types.Platform, error) {
	f, err := a.opts.Images.Read(ctx, a.inventory().View(), repo, reference.Ref{Digest: d}, nil)
	if errors.Is(err, image.ErrConfig) || errors.Is(err, registry.ErrManifestUnknown) {
		return nil, nil
	}
	if err != nil || f.Config == nil || f.Config.Platform.OS+f.Config.Platform.Architecture == "" {
		return nil, err
	}
	return []types.Platform{platformOf(f.Config.Platform)}, nil
}

// served reports whether the registry serves a manifest.
func served(state storage.ManifestState) bool {
	return state == storage.ManifestVisible || state == storage.ManifestDeleting
}

// someTags returns some tags that point at a manifest and that the caller may pull. tagged reports
// whether any tag points at it.
func (a *API) someTags(q *request, repo string, d digest.Digest) (tags []string, tagged bool, err error) {
	examined := 0
	opts := &registry.ListOptions{PageHint: maxListedTags}
	for name, err := range a.inventory().TagNames(q.Context(), repo, d, opts) {
		if err != nil {
			return nil, false, err
		}
		if examined++; examined > 2*maxListedTags || len(tags) == maxListedTags {
			break
		}
		t, err := a.inventory().Tag(q.Context(), repo, name)
		if errors.Is(err, registry.ErrManifestUnknown) || err == nil && t.Descriptor.Digest != d {
			continue // it has moved
		}
		if err != nil {
			return nil, false, err
		}
		tagged = true
		ok, err := q.seesTag(repo, name)
		if err != nil {
			return nil, false, err
		}
		if ok {
			tags = append(tags, name)
		}
	}
	return tags, tagged, nil
}

// namedByIndexes returns the manifests of a repository that another one names. It is nil for a
// repository with too many manifests, or with indexes that name too many.
func (a *API) namedByIndexes(ctx context.Context, repo string) (map[digest.Digest]bool, error) {
	var all []storage.StoredManifest
	for m, err := range a.inventory().ManifestsAfter(ctx, repo, "", maxFamily+1) {
		if err != nil {
			return nil, err
		}
		if all = append(all, m); len(all) > maxFamily {
			return nil, nil
		}
	}
	var mu sync.Mutex
	set := map[digest.Digest]bool{}
	err := parallel.Each(manifestsAtOnce, len(all), func(i int) error {
		mu.Lock()
		full := len(set) > maxFamilyNamed
		mu.Unlock()
		if full {
			return nil
		}
		children, err := a.inventory().Children(ctx, repo, all[i])
		mu.Lock()
		defer mu.Unlock()
		for _, d := range children {
			set[d] = true
		}
		return err
	})
	if err != nil || len(set) > maxFamilyNamed {
		return nil, err
	}
	return set, nil
}

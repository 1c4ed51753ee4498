package api

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/image"
	"github.com/registrykit/registry/internal/parallel"
	"github.com/registrykit/registry/internal/subjecttag"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/storage"
)

// Limits of the details of a page of tags.
const (
	detailsAtOnce    = 16      // tags that are looked at, at the same time
	maxPlatforms     = 32      // images of an index that are read
	maxImages        = 400     // images of all indexes of a page that are read
	maxAttached      = 20      // artifacts that refer to an image
	maxAttachedBytes = 1 << 20 // size of the records of these
	factsMemory      = 4 << 20 // bytes of API.tagFacts
)

// The artifact types of what cosign before version 3 attaches to an image by a tag.
var cosignTypes = map[string]string{
	".sig":  "application/vnd.dev.cosign.artifact.sig.v1+json",
	".att":  "application/vnd.dsse.envelope.v1+json",
	".sbom": "application/vnd.dev.cosign.artifact.sbom.v1+json",
}

// Images of an index with this annotation are attestations of BuildKit about another image.
const (
	buildKitType        = "vnd.docker.reference.type"
	buildKitAttestation = "attestation-manifest"
	attestationType     = "application/vnd.in-toto+json"
)

// factsKey identifies the facts of the images of a tag.
type factsKey struct {
	repo, mediaType string
	digest          digest.Digest
}

// addDetails adds the details to the tags of a page. Tags of the same manifest share the work. Nothing
// is asked of an upstream, and nothing counts as a pull. The caller may pull from the repository.
func (a *API) addDetails(q *request, repo string, tags []types.Tag) error {
	inv := a.inventory()
	if inv == nil {
		return nil
	}
	byDigest, order := map[string]*types.TagDetails{}, []*types.Tag(nil)
	for i := range tags {
		if t := &tags[i]; byDigest[t.Digest] == nil {
			byDigest[t.Digest] = &types.TagDetails{}
			order = append(order, t)
		}
	}
	images := atomic.Int64{}
	images.Store(maxImages)
	err := parallel.Each(detailsAtOnce, len(order), func(i int) error {
		d, err := a.imageFacts(q.Context(), inv.View(), factsKey{repo, order[i].MediaType, digest.Digest(order[i].Digest)},
			&images)
		if err == nil {
			err = q.addAttached(inv.View(), repo, digest.Digest(order[i].Digest), &d)
		}
		*byDigest[order[i].Digest] = d
		return err
	})
	if err != nil {
		return err
	}
	var protected func(tag string) bool
	if a.opts.Protects != nil {
		protected = a.opts.Protects(repo)
	}
	for i := range tags {
		own := *byDigest[tags[i].Digest]
		own.Immutable = protected != nil && protected(tags[i].Name)
		tags[i].Details = &own
	}
	return a.addPushFacts(q, inv, repo, tags)
}

// addPushFacts adds what depends on the push access of the caller: who has set each tag, and whether
// the caller could move it.
func (a *API) addPushFacts(q *request, inv inventory, repo string, tags []types.Tag) error {
	access := auth.Access{Type: auth.TypeRepository, Name: repo, Action: auth.Push}
	pushes, err := q.caller.Allows(q.Context(), access)
	if err != nil || !pushes {
		return err
	}
	return parallel.Each(detailsAtOnce, len(tags), func(i int) (err error) {
		t := &tags[i]
		push, overwrite := access, access
		push.Tag, overwrite.Tag, overwrite.Action = t.Name, t.Name, auth.Overwrite
		pushes, err := q.caller.Allows(q.Context(), push)
		if err != nil || !pushes {
			return err
		}
		moves, err := q.caller.Allows(q.Context(), overwrite)
		if err != nil {
			return err
		}
		t.Details.Immutable = t.Details.Immutable || !moves
		t.Details.By, err = inv.SetBy(q.Context(), repo, storage.StoredTag{Name: t.Name, Set: t.Set,
			Descriptor: ocispec.Descriptor{Digest: digest.Digest(t.Digest)}})
		return err
	})
}

// imageFacts returns the facts of the image or index that a tag points at. images is the number of
// images that the page may still read. A manifest that is gone has no kind.
func (a *API) imageFacts(ctx context.Context, view storage.View, key factsKey, images *atomic.Int64) (types.TagDetails,
	error) {
	if d, ok := a.tagFacts.Get(key); ok {
		return d, nil
	}
	f, err := a.opts.Images.Read(ctx, view, key.repo, reference.Ref{Digest: key.digest}, nil)
	switch {
	case errors.Is(err, registry.ErrManifestUnknown):
		return types.TagDetails{}, nil
	case err != nil && !errors.Is(err, image.ErrConfig):
		return types.TagDetails{}, err
	}
	d := types.TagDetails{Kind: string(f.Kind), ArtifactType: f.ArtifactType, TotalSize: f.Size}
	if f.Config != nil && f.Config.Platform.OS+f.Config.Platform.Architecture != "" {
		d.Platforms = []types.Platform{platformOf(f.Config.Platform)}
	}
	if f.Kind == image.KindIndex {
		err = a.addImages(ctx, view, key.repo, f, &d, images)
	}
	if err == nil && !d.Partial {
		const overhead, perPlatform = 400, 150 // bytes
		a.tagFacts.Add(key, d, overhead+perPlatform*len(d.Platforms))
	}
	if errors.Is(err, image.ErrConfig) {
		err = nil
	}
	return d, err
}

// addImages adds the platforms and sizes of the images of an index.
func (a *API) addImages(ctx context.Context, view storage.View, repo string, index *image.Facts,
	d *types.TagDetails, images *atomic.Int64) error {
	sizes, read := map[digest.Digest]int64{index.Descriptor.Digest: index.Descriptor.Size}, 0
	d.Platforms = platformsOf(index.Manifests)
	for i := range index.Manifests {
		m := &index.Manifests[i]
		if _, again := sizes[m.Digest]; again {
			continue
		}
		if read++; read > maxPlatforms || images.Add(-1) < 0 {
			d.Partial = true
			break
		}
		f, err := a.opts.Images.Read(ctx, view, repo, reference.Ref{Digest: m.Digest}, &image.Options{NoConfig: true})
		if errors.Is(err, registry.ErrManifestUnknown) {
			d.Partial = true
			continue
		}
		if err != nil {
			return err
		}
		own := f.Size // without the layers
		for _, l := range uniqueBlobs(f.Layers) {
			own -= l.Size
			sizes[l.Digest] = l.Size
		}
		sizes[m.Digest] = max(own, 0)
		d.Partial = d.Partial || f.Kind == image.KindIndex
		if f.Kind == image.KindImage && !isAttestation(m) {
			if d.Smallest == 0 || f.Size < d.Smallest {
				d.Smallest = f.Size
			}
			d.Largest = max(d.Largest, f.Size)
		}
	}
	d.TotalSize = 0
	for _, size := range sizes {
		if d.TotalSize += size; d.TotalSize < 0 { // sizes are what clients have stated
			d.TotalSize = 1<<63 - 1
			break
		}
	}
	return nil
}

// uniqueBlobs returns the descriptors of different blobs.
func uniqueBlobs(list []ocispec.Descriptor) []ocispec.Descriptor {
	sorted := slices.SortedFunc(slices.Values(list), func(x, y ocispec.Descriptor) int {
		return cmp.Compare(x.Digest, y.Digest)
	})
	return slices.CompactFunc(sorted, func(x, y ocispec.Descriptor) bool { return x.Digest == y.Digest })
}

// isAttestation reports whether an element of an index is an attestation of BuildKit.
func isAttestation(m *ocispec.Descriptor) bool {
	return m.Annotations[buildKitType] == buildKitAttestation
}

// platformsOf returns the platforms of the elements of an index.
func platformsOf(manifests []ocispec.Descriptor) []types.Platform {
	var all []types.Platform
	for i := range manifests {
		p := manifests[i].Platform
		if p == nil || isAttestation(&manifests[i]) || len(all) == maxPlatforms {
			continue
		}
		all = append(all, platformOf(*p))
	}
	return all
}

// addAttached adds what refers to an image, also by the tags of earlier versions of cosign, as far as
// the caller may pull these.
func (q *request) addAttached(view storage.View, repo string, d digest.Digest, to *types.TagDetails) error {
	counts, size, examined := map[string]int{}, int64(0), 0
	opts := &registry.ReferrersOptions{PageHint: maxAttached, Scan: func(_ digest.Digest, n int64) bool {
		examined++
		size += n
		return examined <= maxAttached && (examined == 1 || size <= maxAttachedBytes)
	}}
	for r, err := range view.Referrers(q.Context(), repo, d, opts) {
		if err != nil {
			return err
		}
		counts[r.ArtifactType]++
	}
	prefix := subjecttag.Of(d) + "."
	few := &registry.ListOptions{After: prefix, PageHint: len(cosignTypes) + 1}
	for tag, err := range view.Tags(q.Context(), repo, few) {
		if err != nil && !errors.Is(err, registry.ErrNameUnknown) {
			return err
		}
		suffix, ok := strings.CutPrefix(tag, prefix[:len(prefix)-1])
		if err != nil || !ok || examined > 2*maxAttached {
			break
		}
		examined++
		if cosignTypes[suffix] == "" {
			continue
		}
		if ok, err = q.seesTag(repo, tag); err != nil {
			return err
		}
		if ok {
			counts[cosignTypes[suffix]]++
		}
	}
	for kind, n := range counts {
		to.Attached = append(to.Attached, types.Attached{ArtifactType: kind, Count: n})
	}
	slices.SortFunc(to.Attached, func(x, y types.Attached) int { return cmp.Compare(x.ArtifactType, y.ArtifactType) })
	return nil
}

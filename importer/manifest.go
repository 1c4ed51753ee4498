package importer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/manifest"
	"github.com/registrykit/registry/reference"
)

const (
	// maxDepth is the maximum depth of nested indexes.
	maxDepth = 16
	// maxAttempts is the maximum number of attempts to store an image while collections of the
	// destination remove what was just imported.
	maxAttempts = 3
)

// image is a manifest of the repository with what it names.
type image struct {
	mu sync.Mutex // held while the manifest is prepared
	facts
}

// facts are what is known of an image.
type facts struct {
	prepared bool  // what the manifest names is at the destination
	stored   bool  // the manifest is, too
	err      error // why it cannot be imported: a *Problem
	known    bool  // the destination had it before; the other fields are then unknown
	subject  digest.Digest
	children []digest.Digest
	blobs    []digest.Digest
}

// isOpen reports whether a manifest is neither stored nor known to be damaged. The receiver may be nil.
func (img *image) isOpen() bool {
	f := img.now()
	return !f.stored && f.err == nil
}

// now returns what is known of an image. The receiver may be nil.
func (img *image) now() facts {
	if img == nil {
		return facts{}
	}
	img.mu.Lock()
	defer img.mu.Unlock()
	return img.facts
}

// stateOf returns what is known of a manifest, or nil.
func (r *repository) stateOf(d digest.Digest) *image {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.manifests[d]
}

// imageOf returns the state of a manifest, and creates it if necessary.
func (r *repository) imageOf(d digest.Digest) *image {
	r.mu.Lock()
	defer r.mu.Unlock()
	img := r.manifests[d]
	if img == nil {
		img = &image{}
		r.manifests[d] = img
	}
	return img
}

// importManifest imports a manifest with everything that it names.
//
// Errors: *Problem; those of the destination and of ctx.
func (r *repository) importManifest(ctx context.Context, d digest.Digest, depth int) error {
	img, err := r.prepare(ctx, d, depth)
	if err != nil || img.now().stored {
		return err
	}
	return r.put(ctx, d)
}

// prepare imports everything that a manifest names. Nested indexes lead down only, so no two
// goroutines wait for each other.
func (r *repository) prepare(ctx context.Context, d digest.Digest, depth int) (*image, error) {
	img := r.imageOf(d)
	img.mu.Lock()
	defer img.mu.Unlock()
	if img.prepared || img.err != nil {
		return img, img.err
	}
	err := r.fill(ctx, img, d, depth)
	var p *Problem
	if errors.As(err, &p) {
		img.err = p
	}
	img.prepared = err == nil
	return img, err
}

// fill does the work of prepare.
func (r *repository) fill(ctx context.Context, img *image, d digest.Digest, depth int) error {
	if depth > maxDepth {
		return &Problem{Kind: ProblemManifest, Path: blobPath(d), Message: "indexes are nested too deeply"}
	}
	if there, err := r.isPresent(ctx, d); err != nil || there {
		img.known, img.stored = there, there
		return err
	}
	m, _, err := r.readManifest(ctx, d)
	if err != nil {
		return err
	}
	if m.Subject != nil {
		img.subject = m.Subject.Digest
	}
	for _, ref := range m.References {
		isManifest := ref.Kind == manifest.KindManifest
		if ref.Kind == manifest.KindAny {
			if _, _, err := readLink(ctx, r.src, revisionPath(r.name, ref.Digest)); err == nil {
				isManifest = true
			}
		}
		if isManifest {
			err = r.importManifest(ctx, ref.Digest, depth+1)
			img.children = append(img.children, ref.Digest)
		} else {
			err = r.blob(ctx, ref)
			img.blobs = append(img.blobs, ref.Digest)
		}
		if r.mayLack(ref, isManifest, err) {
			err = nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// mayLack reports whether a manifest is whole although the import of ref has ended with err.
func (r *repository) mayLack(ref manifest.Reference, isManifest bool, err error) bool {
	var p *Problem
	if !errors.As(err, &p) || p.Kind != ProblemMissing {
		return false
	}
	return isManifest && r.opts.Sparse || !isManifest && ref.NonDistributable
}

// put stores a manifest that was prepared, with tags.
//
// Errors: *Problem; registry.ErrPreconditionFailed if the condition of a tag does not hold; those of the
// destination and of ctx.
func (r *repository) put(ctx context.Context, d digest.Digest, tags ...registry.TagPut) error {
	img := r.imageOf(d)
	if r.opts.DryRun {
		r.finish(d)
		return nil
	}
	for attempt := 1; ; attempt++ {
		m, content, err := r.readManifest(ctx, d)
		if err != nil {
			return err
		}
		_, err = r.store.PutManifest(ctx, r.name, m.MediaType, content, &registry.PutOptions{
			Digest: d, Tags: tags, By: importing, AcceptWrongSizes: true, Sparse: r.opts.Sparse,
		})
		switch {
		case errors.Is(err, registry.ErrManifestBlobUnknown) && attempt < maxAttempts:
			// A collection of the destination has removed something that was not named yet.
			if err := r.again(ctx, img, d); err != nil {
				return err
			}
			continue
		case errors.Is(err, registry.ErrManifestBlobUnknown), errors.Is(err, registry.ErrManifestInvalid),
			errors.Is(err, registry.ErrManifestTooLarge):
			err = &Problem{Kind: ProblemManifest, Path: blobPath(d), Message: "refused: " + err.Error()}
			r.fail(img, err)
			return err
		case err != nil:
			return err
		}
		r.finish(d)
		return nil
	}
}

// errSkipped is the state of a manifest that was reported before it was prepared.
var errSkipped = errors.New("skipped")

func (r *repository) fail(img *image, err error) {
	img.mu.Lock()
	defer img.mu.Unlock()
	img.err = err
}

// again forgets that what a manifest names is at the destination, and prepares the manifest once more.
func (r *repository) again(ctx context.Context, img *image, d digest.Digest) error {
	img.mu.Lock()
	img.prepared = false
	img.known = false
	r.mu.Lock()
	delete(r.present, d)
	for _, b := range img.blobs {
		delete(r.blobs, b)
	}
	for _, c := range img.children {
		delete(r.manifests, c)
		delete(r.present, c)
	}
	r.mu.Unlock()
	img.children, img.blobs = nil, nil
	img.mu.Unlock()
	_, err := r.prepare(ctx, d, 0)
	return err
}

// finish notes that a manifest is stored.
func (r *repository) finish(d digest.Digest) {
	img := r.imageOf(d)
	img.mu.Lock()
	first := !img.stored
	img.stored = true
	refers := img.subject != ""
	img.mu.Unlock()
	if !first {
		return
	}
	r.record.addManifest(d)
	r.report.count(func(rep *Report) {
		rep.Manifests++
		if refers {
			rep.Referrers++
		}
	})
}

// refersToImported reports whether a manifest has a subject that was imported.
func (r *repository) refersToImported(ctx context.Context, d digest.Digest) (bool, error) {
	m, _, err := r.readManifest(ctx, d)
	if err != nil {
		if err = r.skip(err, Problem{Digest: d}); err == nil {
			r.fail(r.imageOf(d), errSkipped)
		}
		return false, err
	}
	if m.Subject == nil {
		return false, nil
	}
	return r.stateOf(m.Subject.Digest).now().stored || r.record.hasManifest(m.Subject.Digest), nil
}

// readManifest reads a manifest of the repository, and verifies its digest.
//
// Errors: *Problem; the error of ctx.
func (r *repository) readManifest(ctx context.Context, d digest.Digest) (*manifest.Manifest, []byte, error) {
	at := revisionPath(r.name, d)
	target, _, err := readLink(ctx, r.src, at)
	if err != nil {
		return nil, nil, err
	}
	path := blobPath(target)
	content, _, err := r.src.ReadFile(ctx, path, registry.DefaultMaxManifestSize)
	if err != nil {
		return nil, nil, sourceError(ctx, path, err)
	}
	if d.Algorithm().FromBytes(content) != d {
		p := &Problem{Kind: ProblemDigest, Path: path, Message: fmt.Sprintf("the manifest does not have the digest %s", d)}
		if target != d {
			p.Path, p.Kind = at, ProblemLink
		}
		return nil, nil, p
	}
	mediaType, schema1 := typeOf(content)
	if schema1 {
		return nil, nil, &Problem{Kind: ProblemSchema1, Path: path, Message: "a manifest of Docker's schema 1"}
	}
	m, err := manifest.Parse(mediaType, content)
	if err != nil {
		return nil, nil, &Problem{Kind: ProblemManifest, Path: path, Message: err.Error()}
	}
	return m, content, nil
}

// typeOf returns the media type of a manifest, of which the old registry keeps no record: the one that
// the manifest states, or else that of its shape. schema1 reports a manifest of Docker's schema 1.
func typeOf(content []byte) (mediaType string, schema1 bool) {
	var m struct {
		SchemaVersion int             `json:"schemaVersion"`
		MediaType     string          `json:"mediaType"`
		Manifests     json.RawMessage `json:"manifests"`
	}
	if err := json.Unmarshal(content, &m); err != nil {
		return ocispec.MediaTypeImageManifest, false // Parse says what is wrong
	}
	switch {
	case m.SchemaVersion == 1:
		return "", true
	case m.MediaType != "":
		return m.MediaType, false
	case m.Manifests != nil:
		return ocispec.MediaTypeImageIndex, false
	}
	return ocispec.MediaTypeImageManifest, false
}

// isPresent reports whether the destination has had a manifest since before this Run.
func (r *repository) isPresent(ctx context.Context, d digest.Digest) (bool, error) {
	if err := r.loadPresent(ctx); err != nil {
		return false, err
	}
	r.mu.Lock()
	_, ok := r.present[d]
	r.mu.Unlock()
	if !ok {
		return false, nil
	}
	// The list also has manifests whose push has not ended.
	_, err := r.store.StatManifest(ctx, r.name, reference.Ref{Digest: d}, nil)
	if errors.Is(err, registry.ErrManifestUnknown) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	r.record.addManifest(d)
	return true, nil
}

// loadPresent lists the manifests of the destination, once.
func (r *repository) loadPresent(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.present != nil {
		return nil
	}
	present := map[digest.Digest]struct{}{}
	for m, err := range r.store.Inventory().Manifests(ctx, r.name) {
		if err != nil {
			return err
		}
		present[m.Digest] = struct{}{}
	}
	r.present = present
	return nil
}

package layout

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/manifest"
	"github.com/registrykit/registry/internal/options"
)

// MountBlob implements [registry.Backend]. All repositories share their content, so there is
// nothing to do for a blob that the layout has.
//
// Errors: registry.ErrBlobUnknown; ErrUnsupported for a Layout of Open.
func (l *Layout) MountBlob(ctx context.Context, repo string, d digest.Digest,
	opts *registry.MountOptions) (ocispec.Descriptor, error) {
	if err := check(ctx, repo, d); err != nil {
		return ocispec.Descriptor{}, err
	}
	if err := l.checkWrite(ctx, repo); err != nil {
		return ocispec.Descriptor{}, err
	}
	o := options.Value(opts)
	from := o.From
	if from != "" {
		if err := registry.CheckName(from); err != nil {
			return ocispec.Descriptor{}, err
		}
	} else {
		from = repo
	}
	if o.Allow != nil && o.Allow(from) != nil {
		return ocispec.Descriptor{}, registry.ErrBlobUnknown
	}
	return l.StatBlob(ctx, repo, d, nil)
}

// putting is one push of a manifest.
type putting struct {
	l        *Layout
	repo     string
	opts     registry.PutOptions
	manifest *manifest.Manifest
	desc     ocispec.Descriptor
	content  []byte
	moved    []registry.TagMove
}

// PutManifest implements [registry.Backend]. The manifest becomes an entry of index.json for each
// tag, or without a name if there is no tag. An entry without a name is removed when an index that
// names its manifest is pushed to the same Layout. TagPut.Keep and TagPut.Time have no effect.
//
// Errors: those of the interface; registry.ErrUnsupported for a Layout of Open; ErrUnavailable if
// another program has changed index.json meanwhile without a lock.
func (l *Layout) PutManifest(ctx context.Context, repo, mediaType string, content []byte,
	opts *registry.PutOptions) (registry.PutResult, error) {
	p := &putting{l: l, repo: repo, opts: options.Value(opts), content: content}
	if err := p.prepare(ctx, mediaType); err != nil {
		return registry.PutResult{}, err
	}
	if err := l.change(p.apply); err != nil {
		return registry.PutResult{}, err
	}
	res := registry.PutResult{Descriptor: p.desc, ArtifactType: p.manifest.ArtifactType, Subject: p.manifest.Subject,
		Moved: p.moved}
	for _, t := range p.opts.Tags {
		res.Tags = append(res.Tags, t.Name)
	}
	return res, nil
}

// prepare checks everything that does not depend on index.json.
func (p *putting) prepare(ctx context.Context, mediaType string) error {
	if err := p.l.checkWrite(ctx, p.repo); err != nil {
		return err
	}
	for _, t := range p.opts.Tags {
		if err := registry.CheckTag(t.Name); err != nil {
			return err
		}
	}
	d := digest.FromBytes(p.content)
	if want := p.opts.Digest; want != "" {
		if err := registry.CheckDigest(want); err != nil {
			return err
		}
		if d = want.Algorithm().FromBytes(p.content); d != want {
			return registry.ErrDigestInvalid
		}
	}
	if int64(len(p.content)) > p.l.opts.MaxManifestSize {
		return registry.ErrManifestTooLarge
	}
	var err error
	if p.manifest, err = manifest.Parse(mediaType, p.content); err != nil {
		return registry.ErrManifestInvalid.WithMessage("manifest invalid: " + err.Error())
	}
	p.desc = ocispec.Descriptor{MediaType: p.manifest.MediaType, Digest: d, Size: int64(len(p.content))}
	return p.checkParts()
}

// checkParts requires that the layout has what the manifest names.
//
// Errors: registry.ErrManifestBlobUnknown, ErrManifestInvalid.
func (p *putting) checkParts() error {
	var missing []digest.Digest
	_, err := p.l.pool.stat(p.desc.Digest)
	wrongSizes := p.opts.AcceptWrongSizes || err == nil // those of a manifest that the layout has were accepted before
	for _, ref := range p.manifest.References {
		size, err := p.l.pool.stat(ref.Digest)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			if !p.opts.Sparse && !ref.NonDistributable {
				missing = append(missing, ref.Digest)
			}
		case err != nil:
			return err
		case size != ref.Size && !(wrongSizes && ref.Kind >= manifest.KindManifest):
			return registry.ErrManifestInvalid.WithMessage(fmt.Sprintf("manifest invalid: %s has %d bytes, not %d",
				ref.Digest, size, ref.Size))
		}
	}
	if missing != nil {
		return registry.ErrManifestBlobUnknown.WithDetail(missing)
	}
	return nil
}

// apply stores the manifest and changes index.json.
func (p *putting) apply(x *index) (bool, error) {
	if err := p.checkConditions(x); err != nil {
		return false, err
	}
	if len(x.entries)+max(1, len(p.opts.Tags)) > p.l.opts.MaxManifests {
		return false, errIndexFull
	}
	had, err := p.store()
	if err != nil {
		return false, err
	}
	if had && len(p.opts.Tags) == 0 && len(x.digests[p.desc.Digest]) == 0 {
		// An index may have it: it was pushed again.
		if had, err = p.l.reaches(x, p.desc.Digest); err != nil {
			return false, err
		}
	}
	changed := false
	for _, t := range p.opts.Tags {
		changed = p.tag(x, name{p.repo, t.Name}) || changed
	}
	if len(p.opts.Tags) > 0 {
		changed = p.removePlain(x, p.desc.Digest) || changed
	} else if !had && len(x.digests[p.desc.Digest]) == 0 {
		e := newEntry(p.desc, name{}, nil)
		// Without the entry, the media type would be that of the content.
		e.plain = p.manifest.Subject == nil && typeOf(p.content) == p.desc.MediaType
		x.insert(e)
		changed = true
	}
	for _, ref := range p.manifest.References {
		if ref.Kind >= manifest.KindManifest {
			changed = p.removePlain(x, ref.Digest) || changed
		}
	}
	p.l.graph.forget(p.desc.Digest)
	return changed, nil
}

// checkConditions checks the conditions of the push.
//
// Errors: registry.ErrPreconditionFailed, ErrTagExists, ErrManifestInvalid.
func (p *putting) checkConditions(x *index) error {
	if !p.opts.If.IsZero() {
		current := digest.Digest("")
		if _, err := p.l.pool.stat(p.desc.Digest); err == nil {
			current = p.desc.Digest
		}
		if !p.opts.If.Holds(current) {
			return registry.ErrPreconditionFailed
		}
	}
	for _, e := range x.digests[p.desc.Digest] {
		if e.desc.MediaType != p.desc.MediaType {
			return registry.ErrManifestInvalid.WithMessage("the layout has the manifest with the media type " +
				e.desc.MediaType)
		}
	}
	for _, t := range p.opts.Tags {
		if t.If.IsZero() && !t.IfAbsent {
			continue
		}
		e, err := x.find(name{p.repo, t.Name})
		if err != nil {
			return err
		}
		current := digest.Digest("")
		if e != nil {
			current = e.desc.Digest
		}
		if !t.If.Holds(current) {
			return registry.ErrPreconditionFailed
		}
		if t.IfAbsent && current != "" && current != p.desc.Digest {
			return registry.ErrTagExists
		}
	}
	return nil
}

// store writes the content. It reports whether the layout has it already, undamaged.
func (p *putting) store() (bool, error) {
	if _, err := readAll(p.l.pool, p.desc.Digest, p.l.opts.MaxManifestSize); err == nil {
		return true, nil
	}
	to := blobName(p.desc.Digest)
	w := p.l.writer
	if err := w.dir.root.MkdirAll(path.Dir(to), dirMode); err != nil {
		return false, full(err)
	}
	return false, w.write(to, p.content)
}

// tag gives a tag to the manifest. It reports whether that has changed anything.
func (p *putting) tag(x *index, n name) bool {
	old := append([]*entry(nil), x.tags[n]...)
	if len(old) == 1 && old[0].desc.Digest == p.desc.Digest && old[0].desc.MediaType == p.desc.MediaType {
		return false
	}
	for _, e := range old {
		x.remove(e)
	}
	if len(old) > 0 && old[0].desc.Digest != p.desc.Digest {
		previous := old[0].desc
		previous.Annotations = nil
		p.moved = append(p.moved, registry.TagMove{Tag: n.tag, Previous: previous})
	}
	main := p.l.opts.Repository
	options.Default(&main, x.bare)
	if main == "" && len(x.tags) == 0 {
		main = p.repo
	}
	x.insert(newEntry(p.desc, n, annotate(n, main, p.l.opts.Repository)))
	return true
}

// removePlain removes the entry without a name of a manifest that can be found in another way.
func (p *putting) removePlain(x *index, d digest.Digest) bool {
	for _, e := range x.digests[d] {
		if e.plain {
			x.remove(e)
			return true
		}
	}
	return false
}

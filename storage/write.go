package storage

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/manifest"
	"github.com/registrykit/registry/internal/options"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/internal/object"
)

// PutManifest implements [registry.Writer].
//
// The steps, each of which may be the last before the process dies:
//
// 1. The manifest is written as Pending. Collectors treat it as a root; readers do not see it.
// 2. Everything that it names is checked, and marks of deletes and collectors on it are removed.
// 3. The manifest becomes Visible. From now on it is in the repository.
// 4. The tags and the entry with its subject are written.
// 5. Everything is made durable.
//
// For a manifest that is visible already, step 2 is skipped unless something was deleted since it
// was last checked; see epoch.go.
func (s *Store) PutManifest(ctx context.Context, repo, mediaType string, content []byte,
	opts *registry.PutOptions) (registry.PutResult, error) {
	p, err := s.newManifestPut(repo, mediaType, content, opts)
	if err != nil {
		return registry.PutResult{}, err
	}
	// A client that hangs up must not leave half of the steps behind.
	return p.put(context.WithoutCancel(ctx))
}

// put repeats the steps until no other writer interferes.
func (p *manifestPut) put(ctx context.Context) (registry.PutResult, error) {
	if err := p.foresee(ctx); err != nil {
		return registry.PutResult{}, err
	}
	var err error
	for range object.Attempts(ctx, &err) {
		done, err := p.attempt(ctx)
		if refusesTags(err) {
			err = p.refusal(ctx, err)
		}
		if err != nil {
			return registry.PutResult{}, errors.Join(err, p.removePointers(ctx))
		}
		if !done {
			continue
		}
		if err := p.repo.Driver.Sync(ctx, p.keys()...); err != nil {
			return registry.PutResult{}, object.RegistryError(err)
		}
		return p.result(), nil
	}
	return registry.PutResult{}, errors.Join(err, p.removePointers(ctx))
}

// refusal removes the tags that a failing push has created, and returns the error for the caller.
// For a push with conditions, that is errUnknown if others have changed one of these tags, or if a
// tag was moved: an error that says that nothing was changed would be wrong.
func (p *manifestPut) refusal(ctx context.Context, err error) error {
	uerr := p.removeCreated(ctx)
	if p.conditional() && (p.decided || p.unclean) {
		err = errUnknown
	}
	return errors.Join(err, uerr)
}

// refusesTags reports whether a push that fails with err must remove the tags that it has created.
func refusesTags(err error) bool {
	return errors.Is(err, registry.ErrTagExists) || errors.Is(err, registry.ErrPreconditionFailed) ||
		errors.Is(err, registry.ErrManifestBlobUnknown) || errors.Is(err, errTyped)
}

// manifestPut is one push of a manifest.
type manifestPut struct {
	repo    repo
	content []byte
	digest  digest.Digest
	parsed  *manifest.Manifest
	tags    []registry.TagPut
	cond    *registry.Condition // on the manifest
	by      string
	unhide  bool // accept links that a delete of the repository has hidden, and make them live
	anySize bool // see registry.PutOptions.AcceptWrongSizes
	sparse  bool // see registry.PutOptions.Sparse

	// What the manifest names, as the last check has found it.
	parts    []part
	found    []string // keys of parts
	accepted bool     // the manifest has been accepted before, whatever media types it states
	mistyped bool     // see object.Manifest.Mistyped
	lacks    bool     // something is missing, see object.Manifest.Sparse

	// The repository.
	repository *object.Repository // its record, read when the manifest was visible already; or nil
	epochs     object.Epochs      // see object.Manifest.Epochs
	spared     bool               // the push has ended a delete of the repository

	// The manifest.
	asked      bool             // it has been read, or reading it was not worthwhile
	known      *object.Manifest // as a write that lost to another writer has found it; or nil
	ownPending bool             // this push has written the pending record
	shown      bool             // this push has made the manifest visible

	// Tags with a condition, see condition.go and lead.go.
	nonce    string                   // names the push in Entry.Moved
	settings map[string]*setting      // by tag
	foreseen map[string]*object.Entry // as they were before the first attempt, by tag
	leadTag  string                   // the tag that was moved first
	decided  bool                     // a tag has been moved, so the others must be moved, too
	unclean  bool                     // others have changed a tag that the push created and should have removed

	mu       sync.Mutex
	pointed  []driver.Info                 // pointers to the manifest that the push has written
	created  []driver.Info                 // those that are tags which were absent before
	moves    []*tagMove                    // pending moves
	previous map[string]ocispec.Descriptor // where tags pointed before the push moved them
}

// newManifestPut checks the arguments of PutManifest.
//
// Errors: registry.ErrNameInvalid, ErrTagInvalid, ErrDigestInvalid, ErrManifestInvalid.
func (s *Store) newManifestPut(repo, mediaType string, content []byte, opts *registry.PutOptions) (*manifestPut,
	error) {
	o := options.Value(opts)
	if o.Digest == "" {
		o.Digest = digest.FromBytes(content)
	}
	if err := checkBlob(repo, o.Digest); err != nil {
		return nil, err
	}
	for _, t := range o.Tags {
		if err := registry.CheckTag(t.Name); err != nil {
			return nil, err
		}
	}
	if o.Digest.Algorithm().FromBytes(content) != o.Digest {
		return nil, registry.ErrDigestInvalid.WithDetail(map[string]string{"digest": string(o.Digest)})
	}
	parsed, err := manifest.Parse(mediaType, content)
	if err != nil {
		return nil, registry.ErrManifestInvalid.WithMessage("manifest invalid: " + err.Error())
	}
	p := &manifestPut{
		repo: s.repo(repo), content: content, digest: o.Digest, parsed: parsed, tags: o.Tags, cond: o.If, by: o.By,
		anySize: o.AcceptWrongSizes || s.opts.AcceptWrongSizes, sparse: o.Sparse || s.opts.Sparse,
	}
	if p.conditional() {
		p.nonce, p.settings = object.NewNonce(), map[string]*setting{}
		for _, t := range p.tags {
			p.settings[t.Name] = &setting{}
		}
	}
	return p, nil
}

// attempt goes once through the steps. done is false if another writer interfered, so that the push
// must start again.
func (p *manifestPut) attempt(ctx context.Context) (done bool, err error) {
	m, err := p.current(ctx)
	if err != nil {
		return false, err
	}
	if err := p.meetsManifest(m); err != nil {
		return false, err
	}
	if m.Readable() && m.MediaType != p.parsed.MediaType {
		if m, err = p.retype(ctx, m); p.isConflict(err) {
			return false, nil
		} else if err != nil {
			return false, err
		}
	}
	expect := object.ExpectAbsent // back references are written before a new manifest is visible
	if m.Readable() {
		expect = object.ExpectPresent
	}
	if m.State == object.Visible {
		if m, err = p.confirm(ctx, m); p.isConflict(err) {
			return false, nil
		} else if err != nil {
			return false, err
		}
	} else {
		p.repository = nil // its record counts only if it was read after the manifest was there
		if m, err = p.show(ctx, m); p.isConflict(err) {
			return false, nil
		} else if err != nil {
			return false, err
		}
		p.shown = true
	}
	if err := p.writePointers(ctx, expect); err != nil {
		return false, err
	}
	p.repo.Written.Add(p.repo.ManifestKey(p.digest), struct{}{}, 1)
	if err := p.keepReached(ctx); err != nil {
		return false, err
	}
	if len(p.tags) == 0 && p.parsed.Subject == nil && !p.spared {
		return true, nil
	}
	// A delete that began before the tags and entries were written may have missed them: then they
	// lead nowhere, and the manifest is gone. Or it found them, and another push kept it from
	// finishing: then the manifest has another version. The same holds for a delete of the
	// repository that began before this push ended it.
	info, err := p.repo.Driver.Stat(ctx, p.repo.ManifestKey(p.digest))
	if errors.Is(err, driver.ErrNotExist) {
		return false, nil
	}
	if err != nil || info.Version != m.Version {
		return false, object.RegistryError(err)
	}
	return p.completeMoves(ctx)
}

// current returns the manifest as it is now. A manifest that is probably new is not read, because
// the first write finds out if it exists. It is probably new if this process has not written it,
// and if the push has no tag or the manifest names a blob that this process has just added to the
// repository.
func (p *manifestPut) current(ctx context.Context) (*object.Manifest, error) {
	p.repository, p.epochs = nil, object.FirstEpochs()
	if m := p.known; m != nil {
		p.known = nil
		return m, nil
	}
	_, seen := p.repo.Written.Get(p.repo.ManifestKey(p.digest))
	if !p.asked {
		p.asked = true
		if !seen && p.cond.IsZero() && (len(p.tags) == 0 || slices.ContainsFunc(p.parsed.References,
			func(r manifest.Reference) bool {
				_, fresh := p.repo.Written.Get(p.repo.LinkKey(r.Digest))
				return fresh
			})) {
			return &object.Manifest{}, nil
		}
	}
	if !seen {
		return p.repo.ReadManifest(ctx, p.digest)
	}
	// The manifest most likely exists, so both records are needed.
	var m *object.Manifest
	err := p.repo.Each(2, func(i int) (err error) {
		if i == 0 {
			m, err = p.repo.ReadManifest(ctx, p.digest)
		} else {
			p.repository, err = p.repo.ReadRepository(ctx)
		}
		return err
	})
	return m, err
}

// isConflict reports whether err says that the manifest has changed. It keeps the manifest as it is
// now for the next attempt.
func (p *manifestPut) isConflict(err error) bool {
	if !driver.IsConflict(err) {
		return false
	}
	var o *object.Conflict
	if errors.As(err, &o) && o.Info.Version != "" {
		p.known = object.DecodeManifest(o.Content, o.Info)
	}
	return true
}

// show makes the manifest, known as m, visible and returns it as it is then.
//
// Errors: driver.ErrExist or driver.ErrChanged if another writer has changed it;
// registry.ErrManifestBlobUnknown, ErrManifestInvalid.
func (p *manifestPut) show(ctx context.Context, m *object.Manifest) (*object.Manifest, error) {
	if m.State == object.Awaited {
		if err := p.repo.ReleaseReferrers(ctx, p.digest); err != nil {
			return nil, err
		}
	}
	// A record that another push has written serves too, if it is pending with the same type. A
	// manifest that is being deleted is a root as it is.
	var err error
	p.ownPending = m.State != object.Deleting && (m.State != object.Pending || m.MediaType != p.parsed.MediaType)
	if p.ownPending {
		if m, err = p.setState(ctx, m, object.Pending); err != nil {
			return nil, object.RegistryError(err)
		}
	}
	// The back references lead to nothing yet. A delete that is about to finish could remove them,
	// but there is not one of a manifest that is pending.
	early := p.tags
	if m.State == object.Deleting {
		early = nil
	}
	err = p.repo.Each(1+len(early), func(i int) error {
		if i == 0 {
			return p.check(ctx)
		}
		return p.backref(ctx, early[i-1].Name)
	})
	if err != nil {
		if m.State == object.Pending {
			err = p.refuse(ctx, m, err)
		}
		return nil, err
	}
	m, err = p.setState(ctx, m, object.Visible)
	return m, object.RegistryError(err)
}

// setState writes the manifest, known as m, in state to.
//
// Errors: driver.ErrExist or driver.ErrChanged if another writer has changed it.
func (p *manifestPut) setState(ctx context.Context, m *object.Manifest, to object.State) (*object.Manifest, error) {
	n := &object.Manifest{
		State: to, Nonce: object.NewNonce(), MediaType: p.parsed.MediaType, Size: int64(len(p.content)),
		Sum:   object.Checksum(p.content),
		Again: m.State == object.Refused || m.Again, Mistyped: m.Mistyped || p.mistyped,
		Sparse: p.lacks, Epochs: p.epochs,
	}
	if n.Sparse {
		n.Epochs = object.Epochs{}
	}
	if p.parsed.Subject != nil {
		n.Subject = p.parsed.Subject.Digest
	}
	content := p.content
	if to == object.Refused {
		p.asRefused(n)
		content = nil
	}
	var err error
	durability := driver.Deferred
	if !m.Readable() {
		durability = driver.Relaxed // nobody relies on what is replaced
	}
	n.Version, err = p.repo.Put(ctx, p.repo.ManifestKey(p.digest), m.Version, n, content, durability)
	return n, err
}

func (p *manifestPut) descriptor() ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: p.parsed.MediaType, Digest: p.digest, Size: int64(len(p.content))}
}

// result returns what PutManifest returns for a push that has succeeded.
func (p *manifestPut) result() registry.PutResult {
	r := registry.PutResult{
		Descriptor: p.descriptor(), ArtifactType: p.parsed.ArtifactType, Subject: p.parsed.Subject,
	}
	for _, t := range p.tags {
		r.Tags = append(r.Tags, t.Name)
		if before, ok := p.previous[t.Name]; ok {
			r.Moved = append(r.Moved, registry.TagMove{Tag: t.Name, Previous: before})
			delete(p.previous, t.Name) // a tag may occur twice
		}
	}
	return r
}

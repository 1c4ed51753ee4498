package storage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/manifest"
	"github.com/registrykit/registry/internal/objectkey"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/internal/object"
)

// corruptContent is a manifest whose content is damaged.
type corruptContent struct {
	mediaType string
	found     string               // for people
	tags      []string             // the tags that point at it
	sets      map[string]time.Time // when each of the tags was set
	right     []byte               // the content, if it has the digest after all: then the record is wrong
}

// checkManifest checks the content of a manifest, and the blobs that it names.
func (k *repoCheck) checkManifest(ctx context.Context, info driver.Info) error {
	d := objectkey.PathDigest(info.Key)
	if d == "" {
		return nil
	}
	m, parsed, found, err := k.readManifest(ctx, d)
	for range maxLooks {
		if err != nil || found == "" {
			break
		}
		again, p, f, err := k.readManifest(ctx, d)
		if err != nil {
			return err
		}
		same := again.Version == m.Version
		m, parsed, found = again, p, f
		if same {
			break
		}
	}
	if err != nil {
		return err
	}
	if found != "" {
		return k.damagedManifest(ctx, d, m, found)
	}
	if !m.Readable() {
		return nil
	}
	k.opts.Counted(CheckCounts{Manifests: 1, Content: 1, Bytes: m.Size})
	facts := manifestFacts{version: m.Version, size: m.Size, subject: m.Subject, artifactType: parsed.ArtifactType,
		deleting: m.State == object.Deleting, time: m.ModTime}
	if parsed.Subject != nil {
		facts.subject = parsed.Subject.Digest
	}
	k.mu.Lock()
	k.manifests[d] = facts
	k.mu.Unlock()
	if m.State == object.Visible && !m.Sparse {
		return k.checkReferences(ctx, d, parsed)
	}
	return nil
}

// manifestStates are the states of the records of manifests.
var manifestStates = []object.State{object.Gone, object.Pending, object.Refused, object.Visible, object.Deleting,
	object.Awaited}

// readManifest reads a manifest. found is what is wrong with it, or "".
func (k *repoCheck) readManifest(ctx context.Context, d digest.Digest) (m *object.Manifest, parsed *manifest.Manifest,
	found string, err error) {
	if m, err = k.repo.ReadManifest(ctx, d); err != nil {
		return nil, nil, "", err
	}
	switch {
	case m.State == object.Gone && m.Version != "":
		return m, nil, "a record that cannot be read", nil
	case !slices.Contains(manifestStates, m.State):
		return m, nil, fmt.Sprintf("a record in the unknown state %q", m.State), nil
	case !m.Readable():
		return m, nil, "", nil
	}
	if got := d.Algorithm().FromBytes(m.Content); got != d {
		return m, nil, string(got), nil
	}
	if parsed, err = manifest.ParseStored(m.MediaType, m.Content); err != nil || !manifest.IsMediaType(m.MediaType) {
		if err == nil {
			err = errors.New("it is not a media type")
		}
		return m, nil, fmt.Sprintf("the media type %q, and the content does not match it: %s", m.MediaType, err), nil
	}
	return m, parsed, "", nil
}

// damagedManifest handles a manifest with damage, read as m. If its record has the right content, it is
// pushed again. Otherwise it is quarantined, once its tags are known.
func (k *repoCheck) damagedManifest(ctx context.Context, d digest.Digest, m *object.Manifest, found string) error {
	raw, err := k.repo.RawManifest(ctx, d)
	if err != nil || raw.Version != m.Version {
		return err // it has changed; the next check looks again
	}
	mediaType := raw.MediaType
	if !manifest.IsMediaType(mediaType) {
		mediaType = ""
	}
	right := d.Algorithm().FromBytes(raw.Content) == d
	pushed := raw.State != object.Pending && raw.State != object.Refused && raw.State != object.Awaited
	if right && pushed && !m.Readable() {
		damage := Damage{Kind: WrongSize, Digest: d, Found: found,
			Expected: fmt.Sprintf("the record of a manifest of %d bytes", len(raw.Content))}
		if !k.opts.Repair {
			k.markMissing(d)
			k.report(damage)
			return nil
		}
		rewritten, err := k.rewriteManifest(ctx, d, mediaType, raw.Content)
		if err != nil {
			return err
		}
		if rewritten {
			damage.Repair = Repaired
			k.report(damage)
			return k.checkManifest(ctx, driver.Info{Key: k.repo.ManifestKey(d)})
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	c := corruptContent{mediaType: mediaType, found: found, sets: map[string]time.Time{}}
	if right {
		c.right = raw.Content
	}
	k.corrupt[d] = c
	return nil
}

// rewriteManifest pushes a manifest whose record is damaged again, from the content in the record. It
// reports whether the push was accepted. If blobs are missing, too, the manifest is stored as sparse,
// so that at least its content is served.
func (k *repoCheck) rewriteManifest(ctx context.Context, d digest.Digest, mediaType string, content []byte) (bool,
	error) {
	if mediaType == "" {
		mediaType = StatedMediaType(content)
	}
	opts := &registry.PutOptions{Digest: d, AcceptWrongSizes: true}
	_, err := k.store.PutManifest(ctx, k.repo.Name, mediaType, content, opts)
	if errors.Is(err, registry.ErrManifestBlobUnknown) {
		opts.Sparse = true
		_, err = k.store.PutManifest(ctx, k.repo.Name, mediaType, content, opts)
	}
	switch {
	case errors.Is(err, registry.ErrManifestInvalid) || errors.Is(err, registry.ErrDigestInvalid):
		return false, nil
	case err != nil:
		return false, err
	}
	return true, nil
}

// settleManifests quarantines the manifests that are damaged.
func (k *repoCheck) settleManifests(ctx context.Context) error {
	for d, c := range k.corrupt {
		k.markMissing(d)
		damage := Damage{Kind: CorruptManifest, Digest: d, Expected: string(d), Found: c.found}
		loss := Loss{Repository: k.repo.Name, Digest: d, Manifest: true, MediaType: c.mediaType, Tags: c.tags,
			Sets: c.sets, Reason: CorruptManifest}
		if _, err := k.opts.Lost(ctx, loss); err != nil {
			return err
		}
		if k.opts.Repair {
			if err := k.removeManifest(ctx, d, c); err != nil {
				return err
			}
			damage.Repair = Quarantined
			if c.right != nil {
				if rewritten, err := k.rewriteManifest(ctx, d, "", c.right); err != nil {
					return err
				} else if rewritten {
					damage.Repair = Repaired
				}
			}
		}
		k.report(damage)
		for _, tag := range c.tags {
			damage := Damage{Kind: DanglingTag, Digest: d, Tag: tag, Expected: "a manifest", Found: "a damaged manifest"}
			if k.opts.Repair {
				damage.Repair = Removed
			}
			k.report(damage)
		}
	}
	return nil
}

// errRepaired is returned by a delete of damaged content that was pushed again in the meantime.
var errRepaired = errors.New("storage: the content is whole by now")

// removeManifest takes a damaged manifest out of the repository, so that a push writes it again. A
// manifest that is served is deleted like any other, but without an event in the history: a collection
// could not read the content of the event. A record that readers take for absent is removed after what
// leads to it, as collections do.
func (k *repoCheck) removeManifest(ctx context.Context, d digest.Digest, c corruptContent) error {
	m, _, found, err := k.readManifest(ctx, d)
	if err != nil || found == "" {
		return err
	}
	r := k.repo
	r.Repo.Store = r.WithoutHistory()
	if m.Readable() {
		del := newDeletion(nil)
		del.damaged = func(content []byte) bool { return d.Algorithm().FromBytes(content) != d }
		if _, _, found, err = k.readManifest(ctx, d); err != nil || found == "" {
			return err
		}
		if d.Algorithm().FromBytes(m.Content) == d {
			del.damaged = nil // the media type is wrong
		}
		err := r.deleteManifest(ctx, d, del)
		if errors.Is(err, registry.ErrManifestUnknown) || errors.Is(err, errRepaired) {
			err = nil
		}
		return err
	}
	return c.removeRecord(ctx, r, d, m)
}

// removeRecord removes the damaged record m of a manifest that readers take for absent, and its tags. As
// in a collection, the last look at the manifest comes after the versions of the tags were read.
func (c corruptContent) removeRecord(ctx context.Context, r repo, d digest.Digest, m *object.Manifest) error {
	pointers, err := r.FindPointers(ctx, d, m)
	if err != nil {
		return err
	}
	if err := r.EndEpoch(ctx, d, object.ManifestDeleted, nil); err != nil {
		return err
	}
	keys := []string{r.ManifestKey(d)}
	for _, t := range pointers.Tags {
		keys = append(keys, t.Key)
	}
	for _, name := range c.tags {
		t, err := r.ReadEntry(ctx, r.TagKey(name))
		if err != nil {
			return err
		}
		if t.Descriptor.Digest == d {
			pointers.Tags = append(pointers.Tags, driver.Info{Key: r.TagKey(name), Version: t.Version})
			keys = append(keys, r.TagKey(name))
		}
	}
	if now, err := r.ReadManifest(ctx, d); err != nil || now.Version != m.Version {
		return err
	}
	for _, t := range pointers.Tags {
		if err := r.RemoveIfUnchanged(ctx, t.Key, t.Version); err != nil {
			return err
		}
	}
	if err := r.RemoveIfUnchanged(ctx, r.ManifestKey(d), m.Version); err != nil {
		return err
	}
	return object.RegistryError(r.Driver.Sync(ctx, keys...))
}

// StatedMediaType returns the media type that a manifest itself states, or that of an OCI manifest of its
// shape, or "" if it is not JSON.
func StatedMediaType(content []byte) string {
	var stated struct {
		MediaType string            `json:"mediaType"`
		Manifests []json.RawMessage `json:"manifests"`
	}
	switch {
	case json.Unmarshal(content, &stated) != nil:
		return ""
	case stated.MediaType != "":
		return stated.MediaType
	case stated.Manifests != nil:
		return ocispec.MediaTypeImageIndex
	}
	return ocispec.MediaTypeImageManifest
}

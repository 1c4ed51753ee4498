package web

import (
	"strings"
	"time"

	"github.com/registrykit/registry/api/client"
	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/auth"
)

// related is what belongs to an image beside its content.
type related struct {
	// Tags are other tags of the image. MoreTags is set if there are more than are shown.
	Tags     []string
	MoreTags bool
	// Tag is the tag in the path, or nil for a digest.
	Tag *types.Tag
	// By is who set the tag, or "". Changes are the last changes of the tag, and History is the URL of all.
	By      string
	Changes []tagChange
	History string
	// Referrers are a page of the manifests that refer to the image. Next is the URL of the following page, or "".
	Referrers []referrer
	Next      string
	// Cosign are what earlier versions of cosign have pushed about the image, with a tag.
	Cosign []referrer
	// Attached are commands that show and check them.
	Attached []string
	// Sharing are images with the same lowest layers.
	Sharing     []sharing
	MoreSharing bool
	// Elsewhere is the number of other repositories that have a layer, by digest.
	Elsewhere map[string]int64
}

// referrer is a manifest that refers to an image, such as a signature.
type referrer struct {
	Kind kind
	// Type is the artifact type, and Predicate the type of the statement, or "".
	Type, Predicate string
	Digest          string
	Tag             string
	Size            int64
	// Created is when it says that it was made, or zero.
	Created time.Time
}

// tagChange is a change of a tag.
type tagChange struct {
	types.Change
	// Current is set if the tag points at the result now. Restore is the form that brings the result back, or nil.
	Current bool
	Restore *form
}

// sharing is an image with the same lowest layers.
type sharing struct {
	types.SharedImage
	URL, Title string
	// Size is the size of the common layers.
	Size int64
	// All is set if all layers of the image are in the other one.
	All bool
}

// readOtherTags reads the other tags of the image.
func (q *request) readOtherTags(v *imageView) error {
	if !q.page.api.Has("tags") {
		return nil
	}
	page := &client.Page{Limit: maxTags + 2}
	list, err := collect(q.visitor.OnPage(page).Tags(q.Context(), v.Repo, &client.TagsOptions{Digest: v.Image.Digest}))
	if absent(err) {
		return nil
	}
	for _, t := range list {
		if t.Name == v.Tag || t.Digest != v.Image.Digest {
			continue
		}
		if len(v.Related.Tags) == maxTags {
			v.Related.MoreTags = true
			break
		}
		v.Related.Tags = append(v.Related.Tags, t.Name)
	}
	v.Related.MoreTags = v.Related.MoreTags || page.Next != ""
	return err
}

// readTag reads when the tag was set and pulled.
func (q *request) readTag(v *imageView) error {
	if v.Tag == "" {
		return nil
	}
	t, _, err := q.visitor.Tag(q.Context(), v.Repo, v.Tag)
	if absent(err) {
		return nil
	}
	v.Related.Tag = &t
	return err
}

// readHistory reads the last changes of the tag.
func (q *request) readHistory(v *imageView) error {
	if v.Tag == "" {
		return nil
	}
	list, err := collect(q.visitor.OnPage(&client.Page{Limit: maxChanges}).History(q.Context(), v.Repo, v.Tag))
	if absent(err) {
		return nil
	}
	r := &v.Related
	if q.has("history") && len(list) == maxChanges {
		r.History = withParams(q.page.repo(v.Repo, "history"), "tag", v.Tag)
	}
	restores := q.has("restore") && q.mayRepository(v.Repo, auth.Push)
	offered := map[string]bool{v.Image.Digest: true}
	for _, c := range list {
		one := tagChange{Change: c}
		if c.After != nil {
			one.Current = c.After.Digest == v.Image.Digest && r.By == "" && len(r.Changes) == 0
			if one.Current {
				r.By = c.By
			}
			if restores && !offered[c.After.Digest] {
				offered[c.After.Digest], one.Restore = true, q.restoreForm(v, c.After.Digest)
			}
		}
		r.Changes = append(r.Changes, one)
	}
	return err
}

// restoreForm returns the form that points the tag at an earlier image again.
func (q *request) restoreForm(v *imageView, digest string) *form {
	return &form{URL: q.page.repo(v.Repo, "restore"), Fields: []field{
		{"tag", v.Tag}, {"to", digest}, {"version", `"` + v.Image.Digest + `"`}, {"back", q.page.image(v.Repo, v.Tag)},
	}}
}

// readReferrers reads a page of the manifests that refer to the image.
func (q *request) readReferrers(v *imageView) error {
	page := &client.Page{After: q.values.Get("after"), Limit: maxReferrers}
	list, err := collect(q.visitor.OnPage(page).ReferrersWithSizes(q.Context(), v.Repo, v.Image.Digest, ""))
	if absent(err) {
		return nil
	}
	for i := range list {
		d := &list[i]
		one := referrer{Type: clip(d.ArtifactType, maxName), Digest: d.Digest, Size: max(d.TotalSize, d.Size)}
		one.Created, _ = time.Parse(time.RFC3339, d.Annotations["org.opencontainers.image.created"])
		one.Kind, one.Predicate = kindOfReferrer(&d.Descriptor)
		one.Predicate = clip(one.Predicate, maxName)
		v.Related.Referrers = append(v.Related.Referrers, one)
	}
	if v.Related.Next = q.next(page); v.Related.Next != "" {
		v.Related.Next += "#referrers"
	}
	return err
}

// readCosign reads what versions of cosign before 3 push about an image: manifests whose tags are made of its digest.
func (q *request) readCosign(v *imageView) error {
	if q.values.Get("after") != "" {
		return nil
	}
	base := strings.Replace(v.Image.Digest, ":", "-", 1)
	for _, row := range []struct {
		suffix string
		kind   kind
	}{{".sig", kindSignature}, {".att", kindAttestation}, {".sbom", kindSBOM}} {
		t, _, err := q.visitor.Tag(q.Context(), v.Repo, base+row.suffix)
		if absent(err) {
			continue
		}
		if err != nil {
			return err
		}
		v.Related.Cosign = append(v.Related.Cosign, referrer{Kind: row.kind, Type: t.MediaType, Digest: t.Digest,
			Tag: t.Name, Size: t.Size})
	}
	return nil
}

// readSharing reads which images have the same lowest layers as the shown one.
func (q *request) readSharing(v *imageView) error {
	if !q.page.api.Has("search") || len(v.Shown.Layers) == 0 || v.Shown.Kind != "image" {
		return nil
	}
	found, err := q.visitor.SharedLayers(q.Context(), v.Repo, v.Shown.Digest, maxSharing)
	if absent(err) {
		return nil
	}
	r := &v.Related
	r.Elsewhere, r.MoreSharing = map[string]int64{}, found.More
	for _, l := range found.Layers {
		r.Elsewhere[l.Digest] = l.Repositories
	}
	for _, s := range found.Items {
		if s.Layers <= 0 {
			continue
		}
		ref, title := s.Tag, s.Repository+":"+s.Tag
		if s.Tag == "" {
			ref, title = s.Digest, s.Repository+"@"+shortDigest(s.Digest)
		}
		one := sharing{SharedImage: s, URL: q.page.image(s.Repository, ref), Title: title,
			All: s.Layers >= int64(len(v.Shown.Layers))}
		for _, l := range v.Shown.Layers[:min(s.Layers, int64(len(v.Shown.Layers)))] {
			one.Size = addSizes(one.Size, l.Size)
		}
		r.Sharing = append(r.Sharing, one)
	}
	return err
}

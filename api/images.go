package api

import (
	"errors"
	"net/http"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/image"
	"github.com/registrykit/registry/reference"
)

// maxReferrerBytes is the size of the referrers that a page reads, in bytes.
const maxReferrerBytes = 16 << 20

// imageRoutes are the routes of the part images.
func (a *API) imageRoutes() []route {
	const manifest = "/v1/repositories/{repository}/manifests/{reference}"
	return []route{
		{method: "GET", path: manifest, access: onReference, handle: a.getImage},
		{method: "DELETE", path: manifest, access: onRepository(auth.Delete), conditional: true, handle: a.deleteImage},
		{method: "GET", path: manifest + "/content", access: onReference, handle: a.getContent},
		{method: "GET", path: manifest + "/referrers", access: onReference, handle: a.listReferrers},
	}
}

// onReference is the access to read the tag or digest in the path. With a tag, the manifest is also
// read by its digest.
func onReference(q *request) ([]auth.Access, error) {
	accesses, err := onRepository(auth.Pull)(q)
	if err != nil {
		return nil, err
	}
	ref, err := q.reference()
	if ref.Tag != "" {
		tag := accesses[0]
		tag.Tag = ref.Tag
		accesses = append(accesses, tag)
	}
	return accesses, err
}

// reference returns the tag or digest in the path.
//
// Errors: 400 for any other text.
func (q *request) reference() (reference.Ref, error) {
	return parseReference(q.param("reference"))
}

// parseReference returns a tag, or a digest if the text has a colon.
//
// Errors: 400 for any other text.
func parseReference(text string) (reference.Ref, error) {
	ref := reference.Ref{Tag: text}
	if strings.Contains(text, ":") {
		ref = reference.Ref{Digest: digest.Digest(text)}
	}
	return ref, registry.CheckRef(ref)
}

func (a *API) getImage(q *request) (*response, error) {
	if err := q.only(); err != nil {
		return nil, err
	}
	ref, err := q.reference()
	if err != nil {
		return nil, err
	}
	facts, err := a.opts.Images.Read(q.Context(), q.caller.Backend(), q.param("repository"), ref, nil)
	if err != nil && !errors.Is(err, image.ErrConfig) {
		return nil, err
	}
	i := imageOf(facts)
	if err != nil {
		i.ConfigError = strings.TrimPrefix(err.Error(), "image: ")
	}
	return &response{body: i, tagged: true, version: facts.Descriptor.Digest}, nil
}

func (a *API) getContent(q *request) (*response, error) {
	if err := q.only(); err != nil {
		return nil, err
	}
	ref, err := q.reference()
	if err != nil {
		return nil, err
	}
	m, err := q.caller.Backend().GetManifest(q.Context(), q.param("repository"), ref)
	if err != nil {
		return nil, err
	}
	return &response{contentType: jsonType, tagged: true, version: m.Descriptor.Digest,
		stream: func(w http.ResponseWriter) error {
			_, err := w.Write(m.Content)
			return err
		}}, nil
}

func (a *API) deleteImage(q *request) (*response, error) {
	if err := q.only("unused"); err != nil {
		return nil, err
	}
	d := digest.Digest(q.param("reference"))
	if err := registry.CheckDigest(d); err != nil {
		return nil, err
	}
	cond, err := q.condition()
	if err != nil {
		return nil, err
	}
	opts := &registry.DeleteOptions{If: cond}
	if opts.IfUnused, err = q.boolean("unused"); err != nil {
		return nil, err
	}
	err = q.caller.Backend().DeleteManifest(q.Context(), q.param("repository"), reference.Ref{Digest: d}, opts)
	return done(), err
}

func (a *API) listReferrers(q *request) (*response, error) {
	if err := q.only("artifactType", "limit", "after"); err != nil {
		return nil, err
	}
	after, limit, err := q.page()
	if err != nil {
		return nil, err
	}
	artifactType, err := q.text("artifactType", 255)
	if err != nil {
		return nil, err
	}
	ref, err := q.reference()
	if err != nil {
		return nil, err
	}
	ctx, repo, b := q.Context(), q.param("repository"), q.caller.Backend()
	if ref.Tag != "" {
		d, err := b.StatManifest(ctx, repo, ref, nil)
		if err != nil {
			return nil, err
		}
		ref = reference.Ref{Digest: d.Digest}
	}
	examined, size, last, next := 0, int64(0), digest.Digest(""), ""
	opts := &registry.ReferrersOptions{After: digest.Digest(after), PageHint: limit + 1}
	opts.Scan = func(d digest.Digest, n int64) bool {
		size += n
		examined++
		if examined > 1 && (size > maxReferrerBytes || examined > a.scanned) {
			next = last.String()
			return false
		}
		last = d
		return true
	}
	if artifactType != "" {
		opts.ArtifactTypes = []string{artifactType}
	}
	list := types.DescriptorList{Items: []types.Descriptor{}}
	for d, err := range b.Referrers(ctx, repo, ref.Digest, opts) {
		if err != nil {
			return nil, err
		}
		if len(list.Items) == limit {
			next = list.Items[limit-1].Digest
			break
		}
		list.Items = append(list.Items, descriptorOf(d))
	}
	return &response{body: list, next: next}, nil
}

// descriptorOf returns a descriptor as the API shows it.
func descriptorOf(d ocispec.Descriptor) types.Descriptor {
	t := types.Descriptor{MediaType: d.MediaType, Digest: d.Digest.String(), Size: d.Size, ArtifactType: d.ArtifactType,
		Annotations: d.Annotations}
	if d.Platform != nil {
		p := platformOf(*d.Platform)
		t.Platform = &p
	}
	return t
}

// descriptorsOf returns descriptors as the API shows them.
func descriptorsOf(list []ocispec.Descriptor) []types.Descriptor {
	var all []types.Descriptor
	for _, d := range list {
		all = append(all, descriptorOf(d))
	}
	return all
}

func platformOf(p ocispec.Platform) types.Platform {
	return types.Platform{OS: p.OS, Architecture: p.Architecture, Variant: p.Variant, OSVersion: p.OSVersion,
		OSFeatures: p.OSFeatures}
}

// imageOf returns the facts of a manifest as the API shows them.
func imageOf(f *image.Facts) types.Image {
	i := types.Image{
		Digest: f.Descriptor.Digest.String(), MediaType: f.Descriptor.MediaType, Size: f.Descriptor.Size,
		Kind: string(f.Kind), ArtifactType: f.ArtifactType, Annotations: f.Annotations, TotalSize: f.Size,
		Created: instant(f.Created()), Layers: descriptorsOf(f.Layers), Manifests: descriptorsOf(f.Manifests),
	}
	if f.Subject != nil {
		s := descriptorOf(*f.Subject)
		i.Subject = &s
	}
	c := f.Config
	if c == nil {
		return i
	}
	i.Config = &types.ImageConfig{
		Digest: c.Digest.String(), Author: c.Author, Platform: platformOf(c.Platform), Entrypoint: c.Entrypoint,
		Cmd: c.Cmd, Env: c.Env, WorkingDir: c.WorkingDir, User: c.User, ExposedPorts: c.ExposedPorts,
		Volumes: c.Volumes, StopSignal: c.StopSignal, Labels: c.Labels, Malformed: c.Malformed,
	}
	for _, s := range c.History {
		i.Config.History = append(i.Config.History, types.ImageStep{Created: instant(s.Created),
			CreatedBy: s.CreatedBy, Author: s.Author, Comment: s.Comment, EmptyLayer: s.EmptyLayer})
	}
	return i
}

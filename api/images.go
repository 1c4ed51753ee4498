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
	facts, err := a.opts.Images.Read(q.Context(), q.caller.Reader(), q.param("repository"), ref, nil)
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
	i.Subject, i.ConfigDescriptor, i.Chart = optionalDescriptor(f.Subject), optionalDescriptor(f.ConfigBlob),
		chartOf(f.Chart)
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

// chartOf returns the facts of a chart as the API shows them, or nil.
func chartOf(c *image.Chart) *types.Chart {
	if c == nil {
		return nil
	}
	t := &types.Chart{Name: c.Name, Version: c.Version, AppVersion: c.AppVersion, Description: c.Description,
		Type: c.Type, KubeVersion: c.KubeVersion, Home: c.Home, Sources: c.Sources, Keywords: c.Keywords,
		Deprecated: c.Deprecated, Malformed: c.Malformed}
	for _, m := range c.Maintainers {
		t.Maintainers = append(t.Maintainers, types.ChartMaintainer(m))
	}
	for _, d := range c.Dependencies {
		t.Dependencies = append(t.Dependencies, types.ChartDependency(d))
	}
	return t
}

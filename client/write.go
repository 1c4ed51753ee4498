package client

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/manifest"
	"github.com/registrykit/registry/internal/options"
	"github.com/registrykit/registry/reference"
)

// MountBlob implements [registry.Writer]. Without MountOptions.From the registry chooses the
// source, and reports it only after the mount. Allow cannot be called in time then, so a mount with
// Allow and without From returns ErrUnsupported.
func (c *Client) MountBlob(ctx context.Context, repo string, d digest.Digest,
	opts *registry.MountOptions) (ocispec.Descriptor, error) {
	if err := checkBlob(repo, d); err != nil {
		return ocispec.Descriptor{}, err
	}
	o := options.Value(opts)
	q := url.Values{"mount": {string(d)}}
	switch {
	case o.From != "":
		if err := registry.CheckName(o.From); err != nil {
			return ocispec.Descriptor{}, err
		}
		if o.Allow != nil {
			if err := o.Allow(o.From); err != nil {
				return ocispec.Descriptor{}, registry.ErrBlobUnknown.WithCause(err)
			}
		}
		q.Set("from", o.From)
	case o.Allow != nil:
		return ocispec.Descriptor{}, registry.ErrUnsupported.WithMessage("a mount with Allow must name its source")
	}
	r := &request{method: http.MethodPost, url: c.url(repo+"/blobs/uploads/", q)}
	res, err := c.expect(ctx, r, registry.ErrBlobUnknown, http.StatusCreated, http.StatusAccepted)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	drop(res)
	if res.StatusCode == http.StatusCreated {
		return c.StatBlob(ctx, repo, d, nil)
	}
	// The registry has started an upload instead. Creating an upload is up to the caller.
	if loc, err := c.location(r.url, res.Header); err == nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
		defer cancel()
		_ = (&upload{c: c, repo: repo, loc: loc}).Cancel(ctx) // if this fails, the upload expires
	}
	return ocispec.Descriptor{}, registry.ErrBlobUnknown.WithDetail(map[string]string{"digest": string(d)})
}

// PutManifest implements [registry.Writer]. With at most one tag it uses the request that every
// registry supports. Several tags, or a tag for a sha512 digest, are set with the parameter tag of
// the spec (end-7b). If the registry does not support that parameter, the tags are set one by one.
func (c *Client) PutManifest(ctx context.Context, repo, mediaType string, content []byte,
	opts *registry.PutOptions) (registry.PutResult, error) {
	o := options.Value(opts)
	if o.Digest == "" {
		o.Digest = digest.FromBytes(content)
	}
	if err := checkPut(repo, mediaType, content, &o); err != nil {
		return registry.PutResult{}, err
	}
	cond, err := conditionOf(&o)
	if err == nil {
		err = c.checkCondition(cond)
	}
	if err != nil {
		return registry.PutResult{}, err
	}
	p := &manifestPut{c: c, repo: repo, mediaType: mediaType, content: content, digest: o.Digest, cond: cond}
	for _, t := range o.Tags {
		p.tags = append(p.tags, t.Name)
	}
	known, err := manifest.Inspect(mediaType, content)
	if err != nil { // the registry may know the type, or reject it
		known = &manifest.Facts{}
		known.MediaType, _, _ = strings.Cut(mediaType, ";")
	}
	subject, err := p.put(ctx)
	if err != nil {
		return registry.PutResult{}, err
	}
	res := registry.PutResult{
		Descriptor: ocispec.Descriptor{MediaType: strings.TrimSpace(known.MediaType), Digest: o.Digest,
			Size: int64(len(content))},
		ArtifactType: known.ArtifactType,
		Tags:         p.tags,
	}
	if known.Subject != nil && string(known.Subject.Digest) == subject {
		s := known.Subject
		res.Subject = &ocispec.Descriptor{MediaType: s.MediaType, Digest: s.Digest, Size: s.Size}
	}
	return res, nil
}

func checkPut(repo, mediaType string, content []byte, o *registry.PutOptions) error {
	if err := checkBlob(repo, o.Digest); err != nil {
		return err
	}
	for _, t := range o.Tags {
		if err := registry.CheckTag(t.Name); err != nil {
			return err
		}
		if t.IfAbsent || t.Keep {
			return registry.ErrUnsupported.WithMessage("HTTP cannot express IfAbsent and Keep")
		}
	}
	if o.Digest.Algorithm().FromBytes(content) != o.Digest {
		return registry.ErrDigestInvalid.WithDetail(map[string]string{"digest": string(o.Digest)})
	}
	if strings.ContainsFunc(mediaType, func(r rune) bool { return r < ' ' || r >= 0x7f }) {
		return registry.ErrManifestInvalid.WithMessage("invalid media type")
	}
	return nil
}

// maxTagsAtOnce is the maximum number of tags that one request sets. A registry rejects too many
// with 414 and then sets none of them.
const maxTagsAtOnce = 10

// manifestPut is one push of a manifest.
type manifestPut struct {
	c         *Client
	repo      string
	mediaType string
	content   []byte
	digest    digest.Digest
	tags      []string
	cond      *registry.Condition
}

// put pushes the manifest with its tags and returns the subject that the registry reports.
func (p *manifestPut) put(ctx context.Context) (subject string, err error) {
	byTag := p.digest.Algorithm() == digest.SHA256 // registries store a push by tag under sha256
	if len(p.tags) == 1 && byTag {
		h, err := p.send(ctx, reference.Ref{Tag: p.tags[0]}, nil)
		return h.Get("OCI-Subject"), err
	}
	most := maxTagsAtOnce
	if !p.cond.IsZero() {
		most = len(p.tags) // several requests would not be atomic
	}
	for tags := p.tags; ; {
		n := min(len(tags), most)
		h, err := p.send(ctx, reference.Ref{Digest: p.digest}, tags[:n])
		if err != nil {
			return "", err
		}
		set := setTags(h)
		for _, tag := range tags[:n] {
			if slices.Contains(set, tag) {
				continue
			}
			if !byTag {
				return "", registry.ErrUnsupported.WithMessage("the registry does not set tags for " + string(p.digest.Algorithm()))
			}
			if !p.cond.IsZero() {
				return "", registry.ErrUnsupported.WithMessage("the registry does not set several tags at once")
			}
			if _, err := p.send(ctx, reference.Ref{Tag: tag}, nil); err != nil {
				return "", err
			}
		}
		if tags = tags[n:]; len(tags) == 0 {
			return h.Get("OCI-Subject"), nil
		}
	}
}

// setTags returns the tags that a response reports as set. One header line may name several.
func setTags(h http.Header) []string {
	var tags []string
	for _, line := range h.Values("OCI-Tag") {
		for tag := range strings.SplitSeq(line, ",") {
			tags = append(tags, strings.TrimSpace(tag))
		}
	}
	return tags
}

func (p *manifestPut) send(ctx context.Context, ref reference.Ref, tags []string) (http.Header, error) {
	r := &request{
		method: http.MethodPut, url: p.c.url(manifestURL(p.repo, ref), url.Values{"tag": tags}), header: http.Header{},
		content: p.content,
	}
	if p.mediaType != "" {
		r.header.Set("Content-Type", p.mediaType)
	}
	setCondition(r.header, p.cond)
	h, err := p.c.call(ctx, r, registry.ErrNameUnknown, http.StatusCreated)
	if err != nil {
		return nil, err
	}
	if got := sentDigest(h); got != "" && got != p.digest {
		return nil, fmt.Errorf("%s: %w: wrong digest", r, ErrContent)
	}
	return h, nil
}

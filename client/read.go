package client

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/manifest"
	"github.com/registrykit/registry/reference"
)

// blobMediaType is the media type in the descriptors of blobs.
const blobMediaType = "application/octet-stream"

func blobURL(repo string, d digest.Digest) string { return repo + "/blobs/" + string(d) }

func manifestURL(repo string, ref reference.Ref) string { return repo + "/manifests/" + ref.String() }

// StatBlob implements [registry.Reader].
func (c *Client) StatBlob(ctx context.Context, repo string, d digest.Digest,
	_ *registry.StatOptions) (ocispec.Descriptor, error) {
	if err := checkBlob(repo, d); err != nil {
		return ocispec.Descriptor{}, err
	}
	r := &request{method: http.MethodHead, url: c.url(blobURL(repo, d), nil)}
	res, err := c.expect(ctx, r, registry.ErrBlobUnknown, http.StatusOK)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	drop(res)
	if got := sentDigest(res.Header); res.ContentLength < 0 || got != "" && got.Algorithm() == d.Algorithm() && got != d {
		return ocispec.Descriptor{}, fmt.Errorf("%s: %w", r, ErrContent)
	}
	return ocispec.Descriptor{MediaType: blobMediaType, Digest: d, Size: res.ContentLength}, nil
}

// OpenBlob implements [registry.Reader]. It requests only the size. The first Read of the body, and
// the first Read after a Seek, request the content.
func (c *Client) OpenBlob(ctx context.Context, repo string, d digest.Digest, _ *registry.OpenOptions) (*registry.Blob,
	error) {
	desc, err := c.StatBlob(ctx, repo, d, nil)
	if err != nil {
		return nil, err
	}
	return &registry.Blob{Descriptor: desc, Body: &body{c: c, ctx: ctx, url: c.url(blobURL(repo, d), nil), desc: desc}},
		nil
}

// accept lists the media types of manifests that the registry must not convert to older types.
var accept = strings.Join([]string{
	ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageIndex,
	"application/vnd.docker.distribution.manifest.v2+json", "application/vnd.docker.distribution.manifest.list.v2+json",
	"application/vnd.oci.artifact.manifest.v1+json", "*/*;q=0.5",
}, ", ")

func (c *Client) manifestRequest(method, repo string, ref reference.Ref) *request {
	return &request{method: method, url: c.url(manifestURL(repo, ref), nil), header: http.Header{"Accept": {accept}}}
}

// GetManifest implements [registry.Reader].
func (c *Client) GetManifest(ctx context.Context, repo string, ref reference.Ref) (*registry.Manifest, error) {
	if err := checkRef(repo, ref); err != nil {
		return nil, err
	}
	r := c.manifestRequest(http.MethodGet, repo, ref)
	res, err := c.expect(ctx, r, registry.ErrManifestUnknown, http.StatusOK)
	if err != nil {
		return nil, err
	}
	content, err := readAll(ctx, r, res, c.opts.MaxManifestSize)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r, err)
	}
	d := ref.Digest
	if d == "" {
		d = sentDigest(res.Header)
	}
	if d == "" {
		d = digest.FromBytes(content)
	}
	if d.Algorithm().FromBytes(content) != d {
		return nil, fmt.Errorf("%s: %w: wrong digest", r, ErrContent)
	}
	// A manifest must not mean one thing to clients that use the header and another to clients that
	// use the content (CVE-2021-41190).
	facts, err := manifest.Inspect(res.Header.Get("Content-Type"), content)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", r, ErrContent, err)
	}
	desc := ocispec.Descriptor{MediaType: facts.MediaType, Digest: d, Size: int64(len(content))}
	return &registry.Manifest{Descriptor: desc, Content: content}, nil
}

// StatManifest implements [registry.Reader].
func (c *Client) StatManifest(ctx context.Context, repo string, ref reference.Ref,
	_ *registry.StatOptions) (ocispec.Descriptor, error) {
	if err := checkRef(repo, ref); err != nil {
		return ocispec.Descriptor{}, err
	}
	r := c.manifestRequest(http.MethodHead, repo, ref)
	res, err := c.expect(ctx, r, registry.ErrManifestUnknown, http.StatusOK)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	drop(res)
	desc := ocispec.Descriptor{MediaType: contentType(res.Header), Digest: sentDigest(res.Header), Size: res.ContentLength}
	if ref.Digest != "" && desc.Digest != "" && desc.Digest.Algorithm() == ref.Digest.Algorithm() &&
		desc.Digest != ref.Digest {
		return ocispec.Descriptor{}, fmt.Errorf("%s: %w: wrong digest", r, ErrContent)
	}
	if ref.Digest != "" {
		desc.Digest = ref.Digest
	}
	if desc.Size > c.opts.MaxManifestSize {
		return ocispec.Descriptor{}, fmt.Errorf("%s: %w", r, ErrTooLarge)
	}
	if desc.MediaType == "" || desc.Digest == "" || desc.Size < 0 {
		// Some registries send all headers only together with the content.
		m, err := c.GetManifest(ctx, repo, ref)
		if err != nil {
			return ocispec.Descriptor{}, err
		}
		return m.Descriptor, nil
	}
	return desc, nil
}

// sentDigest returns the digest in the Docker-Content-Digest header, or "" if there is none that
// can be checked.
func sentDigest(h http.Header) digest.Digest {
	d, err := reference.ParseDigest(h.Get("Docker-Content-Digest"))
	if err != nil {
		return ""
	}
	return d
}

// contentType returns the media type without parameters, or "" if there is none.
func contentType(h http.Header) string {
	mediaType, _, _ := strings.Cut(h.Get("Content-Type"), ";")
	if mediaType = strings.TrimSpace(mediaType); !manifest.IsMediaType(mediaType) {
		return ""
	}
	return mediaType
}

package client

import (
	"context"
	"net/http"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/reference"
)

// DeleteBlob implements [registry.Deleter].
func (c *Client) DeleteBlob(ctx context.Context, repo string, d digest.Digest, opts *registry.DeleteOptions) error {
	if err := checkDelete(opts); err != nil {
		return err
	}
	if err := checkBlob(repo, d); err != nil {
		return err
	}
	return c.delete(ctx, blobURL(repo, d), registry.ErrBlobUnknown)
}

// DeleteManifest implements [registry.Deleter]. Registries differ in what a delete by tag deletes; by the spec, only the tag.
func (c *Client) DeleteManifest(ctx context.Context, repo string, ref reference.Ref, opts *registry.DeleteOptions) error {
	if err := checkDelete(opts); err != nil {
		return err
	}
	if err := checkRef(repo, ref); err != nil {
		return err
	}
	return c.delete(ctx, manifestURL(repo, ref), registry.ErrManifestUnknown)
}

// checkDelete refuses conditions that cannot be said by HTTP.
func checkDelete(opts *registry.DeleteOptions) error {
	if opts != nil && opts.Keep != nil {
		return registry.ErrUnsupported.WithMessage("the registry cannot be told which tags to keep")
	}
	if opts != nil && opts.IfUnused {
		return registry.ErrUnsupported.WithMessage("the registry cannot be told to keep blobs that manifests name")
	}
	return nil
}

func (c *Client) delete(ctx context.Context, path string, unknown *registry.Error) error {
	r := &request{method: http.MethodDelete, url: c.url(path, nil)}
	_, err := c.call(ctx, r, unknown, http.StatusAccepted, http.StatusOK, http.StatusNoContent)
	return err
}

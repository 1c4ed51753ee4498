package client

import (
	"context"
	"net/http"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/reference"
)

// DeleteBlob implements [registry.Deleter].
func (c *Client) DeleteBlob(ctx context.Context, repo string, d digest.Digest) error {
	if err := checkBlob(repo, d); err != nil {
		return err
	}
	return c.delete(ctx, blobURL(repo, d), registry.ErrBlobUnknown)
}

// DeleteManifest implements [registry.Deleter]. Registries differ in what a delete by tag deletes; by the spec, only the tag.
func (c *Client) DeleteManifest(ctx context.Context, repo string, ref reference.Ref) error {
	if err := checkRef(repo, ref); err != nil {
		return err
	}
	return c.delete(ctx, manifestURL(repo, ref), registry.ErrManifestUnknown)
}

func (c *Client) delete(ctx context.Context, path string, unknown *registry.Error) error {
	r := &request{method: http.MethodDelete, url: c.url(path, nil)}
	_, err := c.call(ctx, r, unknown, http.StatusAccepted, http.StatusOK, http.StatusNoContent)
	return err
}

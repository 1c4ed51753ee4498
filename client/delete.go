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
	cond, err := c.checkDelete(opts)
	if err != nil {
		return err
	}
	if err := checkBlob(repo, d); err != nil {
		return err
	}
	return c.delete(ctx, blobURL(repo, d), cond, registry.ErrBlobUnknown)
}

// DeleteManifest implements [registry.Deleter]. By the spec, a delete by tag deletes only the tag.
// Some registries delete the manifest, too.
func (c *Client) DeleteManifest(ctx context.Context, repo string, ref reference.Ref,
	opts *registry.DeleteOptions) error {
	cond, err := c.checkDelete(opts)
	if err != nil {
		return err
	}
	if err := checkRef(repo, ref); err != nil {
		return err
	}
	return c.delete(ctx, manifestURL(repo, ref), cond, registry.ErrManifestUnknown)
}

// checkDelete returns the condition of a delete.
//
// Errors: registry.ErrUnsupported for options that HTTP cannot express.
func (c *Client) checkDelete(opts *registry.DeleteOptions) (*registry.Condition, error) {
	switch {
	case opts == nil:
		return nil, nil
	case opts.Keep != nil:
		return nil, registry.ErrUnsupported.WithMessage("HTTP cannot express which tags to keep")
	case opts.IfUnused:
		return nil, registry.ErrUnsupported.WithMessage("HTTP cannot express a delete of unused content only")
	case !opts.NotSetAfter.IsZero():
		return nil, registry.ErrUnsupported.WithMessage("HTTP cannot express a delete that depends on when a tag was set")
	}
	return opts.If, c.checkCondition(opts.If)
}

func (c *Client) delete(ctx context.Context, path string, cond *registry.Condition, unknown *registry.Error) error {
	r := &request{method: http.MethodDelete, url: c.url(path, nil), header: http.Header{}}
	setCondition(r.header, cond)
	_, err := c.call(ctx, r, unknown, http.StatusAccepted, http.StatusOK, http.StatusNoContent)
	return err
}

package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"time"

	"github.com/registrykit/registry/api/types"
)

// PreviewDeletion returns what a delete would remove. It removes nothing.
func (c *Client) PreviewDeletion(ctx context.Context, repository string,
	what types.Deletion) (types.DeletionPreview, error) {
	preview, _, err := change[types.DeletionPreview](ctx, c, call{method: http.MethodPost,
		path: path("repositories", repository, "deletion-preview"), in: what})
	return preview, err
}

// BinOptions are the options of [Client.Bin]. nil means the zero BinOptions: everything that was deleted.
type BinOptions struct {
	// Namespace selects the repository of this name and those below it.
	Namespace string
	// Query selects the repositories whose name contains it.
	Query string
	// By selects the deletes by the caller with this name.
	By string
	// Since selects the deletes at this time or later.
	Since time.Time
}

// Bin lists what was deleted and can be restored: by repository, and the newest first in each.
func (c *Client) Bin(ctx context.Context, opts *BinOptions) iter.Seq2[types.Deleted, error] {
	q := url.Values{}
	if opts != nil {
		text(q, "namespace", opts.Namespace)
		text(q, "q", opts.Query)
		text(q, "by", opts.By)
		if !opts.Since.IsZero() {
			q.Set("since", opts.Since.UTC().Format(time.RFC3339))
		}
	}
	return list[types.Deleted](ctx, c, path("bin"), q)
}

// Copy copies an image to another repository, with everything that it names. It moves an existing tag only if the tag
// has the given version. With the version "", it creates the tag and moves none.
func (c *Client) Copy(ctx context.Context, repository string, version Version, what types.Copy) (types.Copied, Version,
	error) {
	k := call{method: http.MethodPost, path: path("repositories", repository, "copies"), in: what}
	if what.ToTag != "" {
		k.version, k.absent = version, version == ""
	}
	return change[types.Copied](ctx, c, k)
}

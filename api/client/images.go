package client

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"net/url"

	"github.com/registrykit/registry/api/types"
)

// Image returns the facts of a manifest. reference is a tag or a digest.
func (c *Client) Image(ctx context.Context, repository, reference string) (types.Image, Version, error) {
	return get[types.Image](ctx, c, path("repositories", repository, "manifests", reference), nil)
}

// Manifest returns the content of a manifest. reference is a tag or a digest.
func (c *Client) Manifest(ctx context.Context, repository, reference string) (json.RawMessage, error) {
	content, _, err := get[json.RawMessage](ctx, c, path("repositories", repository, "manifests", reference, "content"),
		nil)
	return content, err
}

// Referrers lists the manifests that refer to a manifest. artifactType selects one type; "" selects all.
func (c *Client) Referrers(ctx context.Context, repository, reference,
	artifactType string) iter.Seq2[types.Descriptor, error] {
	q := url.Values{}
	text(q, "artifactType", artifactType)
	return list[types.Descriptor](ctx, c, path("repositories", repository, "manifests", reference, "referrers"), q)
}

// ReferrersWithSizes is Referrers with the total size of each referrer, which takes the server more work. A page has at
// most 100 referrers.
func (c *Client) ReferrersWithSizes(ctx context.Context, repository, reference,
	artifactType string) iter.Seq2[types.Referrer, error] {
	q := url.Values{}
	text(q, "artifactType", artifactType)
	flag(q, "details", true)
	return list[types.Referrer](ctx, c, path("repositories", repository, "manifests", reference, "referrers"), q)
}

// DeleteImage removes a manifest, and the tags that point at it. With unused, it refuses to remove a manifest to which
// a tag or another manifest leads.
func (c *Client) DeleteImage(ctx context.Context, repository, digest string, version Version, unused bool) error {
	q := url.Values{}
	flag(q, "unused", unused)
	return c.done(ctx, call{method: http.MethodDelete, path: path("repositories", repository, "manifests", digest),
		query: q, version: version})
}

// History lists the changes of a repository, the newest first. tag selects those of one tag; "" selects all.
func (c *Client) History(ctx context.Context, repository, tag string) iter.Seq2[types.Change, error] {
	q := url.Values{}
	text(q, "tag", tag)
	return list[types.Change](ctx, c, path("repositories", repository, "history"), q)
}

// RestoreTag points a tag at the manifest with a digest again, or at the one before its last change for "". It moves an
// existing tag only if the tag has the given version. With the version "", it brings back a tag that does not exist.
func (c *Client) RestoreTag(ctx context.Context, repository, tag string, version Version,
	digest string) (types.Restored,
	error) {
	restored, _, err := change[types.Restored](ctx, c, call{method: http.MethodPost,
		path: path("repositories", repository, "restore"), in: types.Restore{Tag: tag, To: digest}, version: version,
		absent: version == ""})
	return restored, err
}

// Restore undoes a change of a tag, or a delete.
func (c *Client) Restore(ctx context.Context, repository string, what types.Restore) (types.Restored, error) {
	restored, _, err := change[types.Restored](ctx, c, call{method: http.MethodPost,
		path: path("repositories", repository, "restore"), in: what})
	return restored, err
}

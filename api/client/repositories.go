package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"

	"github.com/registrykit/registry/api/types"
)

// RepositoriesOptions are the options of [Client.Repositories]. nil means the zero RepositoriesOptions: all
// repositories that the caller may pull from.
type RepositoriesOptions struct {
	// Namespace selects the repositories of a user or organisation.
	Namespace string
	// Query selects the repositories whose name contains it.
	Query string
}

// Repositories lists repositories, sorted by name.
func (c *Client) Repositories(ctx context.Context,
	opts *RepositoriesOptions) iter.Seq2[types.RepositorySummary, error] {
	q := url.Values{}
	if opts != nil {
		text(q, "namespace", opts.Namespace)
		text(q, "q", opts.Query)
	}
	return list[types.RepositorySummary](ctx, c, path("repositories"), q)
}

// Repository returns a repository.
func (c *Client) Repository(ctx context.Context, name string) (types.Repository, Version, error) {
	return get[types.Repository](ctx, c, path("repositories", name), nil)
}

// UpdateRepository changes the description and the visibility of a repository.
func (c *Client) UpdateRepository(ctx context.Context, name string, version Version,
	to types.RepositoryChange) (types.Repository, Version, error) {
	return change[types.Repository](ctx, c, call{method: http.MethodPatch, path: path("repositories", name),
		version: version, in: to})
}

// DeleteRepository removes a repository with everything in it.
func (c *Client) DeleteRepository(ctx context.Context, name string, version Version) error {
	return c.done(ctx, call{method: http.MethodDelete, path: path("repositories", name), version: version})
}

// TagsOptions are the options of [Client.Tags]. nil means the zero TagsOptions: all tags, sorted by name.
type TagsOptions struct {
	// Query selects the tags that contain it, or that match it if it is a pattern such as "v1.*".
	Query string
	// Digest selects the tags that point at a manifest.
	Digest string
	// Sort is the order: "name", "version" or "set", or the same after "-" for the descending order. Default: "name".
	Sort string
	// Details adds the details of each tag. A page then has at most 100 tags.
	Details bool
}

// Tags lists the tags of a repository that the caller may pull.
func (c *Client) Tags(ctx context.Context, repository string, opts *TagsOptions) iter.Seq2[types.Tag, error] {
	q := url.Values{}
	if opts != nil {
		text(q, "q", opts.Query)
		text(q, "digest", opts.Digest)
		text(q, "sort", opts.Sort)
		if opts.Details {
			q.Set("details", "true")
		}
	}
	return list[types.Tag](ctx, c, path("repositories", repository, "tags"), q)
}

// ManifestsOptions are the options of [Client.Manifests]. nil means the zero ManifestsOptions: all manifests.
type ManifestsOptions struct {
	// Kind selects "untagged" manifests, or those of kind "artifact".
	Kind string
}

// Manifests lists the manifests of a repository, sorted by digest.
func (c *Client) Manifests(ctx context.Context, repository string,
	opts *ManifestsOptions) iter.Seq2[types.ManifestSummary, error] {
	q := url.Values{}
	if opts != nil {
		text(q, "kind", opts.Kind)
	}
	return list[types.ManifestSummary](ctx, c, path("repositories", repository, "manifests"), q)
}

// Tag returns a tag.
func (c *Client) Tag(ctx context.Context, repository, tag string) (types.Tag, Version, error) {
	return get[types.Tag](ctx, c, path("repositories", repository, "tags", tag), nil)
}

// SetTag points a tag at a manifest of the repository. It moves an existing tag only if the tag has the given version.
// With the version "", it creates a tag and moves none.
func (c *Client) SetTag(ctx context.Context, repository, tag string, version Version,
	digest string) (types.Tag, Version, error) {
	return change[types.Tag](ctx, c, call{method: http.MethodPut, path: path("repositories", repository, "tags", tag),
		version: version, absent: version == "", in: types.TagPut{Digest: digest}})
}

// DeleteTag removes a tag. Its manifest stays.
func (c *Client) DeleteTag(ctx context.Context, repository, tag string, version Version) error {
	return c.done(ctx, call{method: http.MethodDelete, path: path("repositories", repository, "tags", tag),
		version: version})
}

package client

import (
	"context"
	"iter"
	"net/http"

	"github.com/registrykit/registry/api/types"
)

// Jobs lists the background jobs, sorted by name.
func (c *Client) Jobs(ctx context.Context) iter.Seq2[types.Job, error] {
	return list[types.Job](ctx, c, path("jobs"), nil)
}

// Job returns a background job.
func (c *Client) Job(ctx context.Context, name string) (types.Job, error) {
	job, _, err := get[types.Job](ctx, c, path("jobs", name), nil)
	return job, err
}

// RunJob requests a run now. It does not wait for the run.
func (c *Client) RunJob(ctx context.Context, name string) (types.Job, error) {
	job, _, err := change[types.Job](ctx, c, call{method: http.MethodPost, path: path("jobs", name, "run")})
	return job, err
}

// CancelJob ends the present run. It does not wait for the end.
func (c *Client) CancelJob(ctx context.Context, name string) (types.Job, error) {
	job, _, err := change[types.Job](ctx, c, call{method: http.MethodPost, path: path("jobs", name, "cancel")})
	return job, err
}

// Mirror returns the state of the mirror in the replica that answers.
func (c *Client) Mirror(ctx context.Context) (types.Mirror, error) {
	m, _, err := get[types.Mirror](ctx, c, path("mirror"), nil)
	return m, err
}

// RefreshMirror asks the upstream for the present state of a tag, or of all tags of a repository.
func (c *Client) RefreshMirror(ctx context.Context, what types.Refresh) (types.Refreshed, error) {
	r, _, err := change[types.Refreshed](ctx, c, call{method: http.MethodPost, path: path("mirror", "refresh"), in: what})
	return r, err
}

// Pins lists the images that the mirror never evicts.
func (c *Client) Pins(ctx context.Context) iter.Seq2[types.Pin, error] {
	return list[types.Pin](ctx, c, path("mirror", "pins"), nil)
}

// Pin protects an image of the mirror from eviction. reference is a tag or a digest.
func (c *Client) Pin(ctx context.Context, repository, reference string) error {
	return c.done(ctx, call{method: http.MethodPut, path: path("mirror", "pins", repository, reference)})
}

// Unpin ends the protection of an image.
func (c *Client) Unpin(ctx context.Context, repository, reference string) error {
	return c.done(ctx, call{method: http.MethodDelete, path: path("mirror", "pins", repository, reference)})
}

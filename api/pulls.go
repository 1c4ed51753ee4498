package api

import (
	"context"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/pulltime"
)

// PullTimes knows when manifests and tags were last pulled. pulltime.Recorder implements it.
type PullTimes interface {
	// Read returns the times of a repository. A repository without pulls is not an error.
	Read(ctx context.Context, repo string) (*pulltime.Times, error)
}

// pullTimes returns the pull times of a repository. They are empty, and can be used, if the host
// records none.
func (a *API) pullTimes(ctx context.Context, repo string) (*pulltime.Times, error) {
	if a.opts.Pulls == nil {
		return nil, nil
	}
	return a.opts.Pulls.Read(ctx, repo)
}

// lastPullOf returns when a tag or the manifest that it points at was last pulled, or zero. Clients
// such as docker ask for the digest of a tag, and pull by the digest.
func lastPullOf(pulls *pulltime.Times, t *types.Tag) (last time.Time) {
	if at, ok := pulls.Tag(t.Name); ok {
		last = at.UTC()
	}
	if at, ok := pulls.Digest(digest.Digest(t.Digest)); ok && at.After(last) {
		last = at.UTC()
	}
	return last
}

// lastPull returns when anything in a repository was last pulled, or zero.
func lastPull(pulls *pulltime.Times) (last time.Time) {
	for _, at := range pulls.Digests() {
		if at.After(last) {
			last = at
		}
	}
	for _, at := range pulls.Tags() {
		if at.After(last) {
			last = at
		}
	}
	if !last.IsZero() {
		last = last.UTC()
	}
	return last
}

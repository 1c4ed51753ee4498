package api

import (
	"errors"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/scrub"
	"github.com/registrykit/registry/storage/driver"
)

// scrubRoutes are the routes of the part scrub.
func (a *API) scrubRoutes() []route {
	read := needs(auth.TypeRegistry, auth.NameScrub, auth.Read)
	manage := needs(auth.TypeRegistry, auth.NameScrub, auth.Manage)
	const one = "/v1/scrub/losses/{repository}/{digest}"
	return []route{
		{method: "GET", path: "/v1/scrub/losses", access: read, handle: listLosses},
		{method: "GET", path: one, access: read, handle: getLoss},
		{method: "DELETE", path: one, access: manage, conditional: true, handle: forgetLoss},
	}
}

func listLosses(q *request) (*response, error) {
	if err := q.only("after", "limit"); err != nil {
		return nil, err
	}
	after, limit, err := q.page()
	if err != nil {
		return nil, err
	}
	losses := scrub.Losses(q.Context(), q.api.opts.Scrub)
	if after != "" {
		repo, d, _ := strings.Cut(after, "@")
		losses = scrub.LossesAfter(q.Context(), q.api.opts.Scrub, repo, digest.Digest(d))
	}
	list := types.LossList{Items: []types.Loss{}}
	for l, err := range losses {
		if err != nil {
			return nil, err
		}
		list.Items = append(list.Items, lossOf(l))
		if len(list.Items) == limit {
			return &response{body: list, next: l.Repository + "@" + string(l.Digest)}, nil
		}
	}
	return &response{body: list}, nil
}

func getLoss(q *request) (*response, error) {
	if err := q.only(); err != nil {
		return nil, err
	}
	l, err := q.loss()
	if err != nil {
		return nil, err
	}
	return found(lossOf(l)), nil
}

// forgetLoss compares If-Match just before the delete. A scrub that finds the loss again afterwards
// records it again.
func forgetLoss(q *request) (*response, error) {
	if err := q.only(); err != nil {
		return nil, err
	}
	l, err := q.loss()
	if err != nil {
		return nil, err
	}
	if err := q.match(lossOf(l)); err != nil {
		return nil, err
	}
	if err := scrub.Forget(q.Context(), q.api.opts.Scrub, l); err != nil {
		return nil, err
	}
	return done(), nil
}

// loss returns the loss in the path.
//
// Errors: 404; 400 for an invalid name or digest.
func (q *request) loss() (scrub.Loss, error) {
	l, err := scrub.FindLoss(q.Context(), q.api.opts.Scrub, q.param("repository"), digest.Digest(q.param("digest")))
	if errors.Is(err, driver.ErrNotExist) {
		err = errNotFound.WithMessage("this content is not lost")
	}
	return l, err
}

func lossOf(l scrub.Loss) types.Loss {
	loss := types.Loss{Repository: l.Repository, Digest: string(l.Digest), Manifest: l.Manifest, Size: l.Size,
		MediaType: l.MediaType, Reason: string(l.Reason)}
	for _, tag := range l.Tags {
		loss.Tags = append(loss.Tags, types.LostTag{Name: tag, Set: instant(l.Sets[tag])})
	}
	return loss
}

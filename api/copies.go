package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/replicate"
)

// maxCopyTime is the maximum time of a copy. A further request goes on where it ended.
const maxCopyTime = 2 * time.Minute

// errUnfinished is returned by a copy that takes too long.
var errUnfinished = registry.NewError("UNFINISHED", http.StatusServiceUnavailable,
	"the copy has not ended in time, and no tag was set: send the request again to go on")

// copyRoutes are the routes of the part copies.
func (a *API) copyRoutes() []route {
	return []route{{method: "POST", path: "/v1/repositories/{repository}/copies", access: onRepository(auth.Pull),
		handle: a.copy}}
}

// copy copies what a manifest names by mounts, and sets the tag last. The Backend asks for all accesses again; they are
// asked for here so that a refused copy does nothing.
func (a *API) copy(q *request) (*response, error) {
	if err := q.only(); err != nil {
		return nil, err
	}
	var what types.Copy
	if err := q.decode(&what); err != nil {
		return nil, err
	}
	cond, err := q.condition()
	if err != nil {
		return nil, err
	}
	ref := reference.Ref{Tag: what.Tag, Digest: digest.Digest(what.Digest)}
	switch {
	case (ref.Tag == "") == (ref.Digest == ""):
		return nil, errInvalid.WithMessage("a copy has either a tag or a digest")
	case what.ToTag != "" && cond == nil:
		return nil, errNoCondition.WithMessage("a header is required for toTag: If-Match with the ETag of the tag, or " +
			"\"*\"; or If-None-Match")
	case what.ToTag == "" && cond != nil:
		return nil, errInvalid.WithMessage("If-Match and If-None-Match go with toTag")
	}
	if err := q.allowCopy(&what); err != nil {
		return nil, err
	}
	from, b := q.param("repository"), q.caller.Backend()
	source, err := b.GetManifest(q.Context(), from, ref)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(q.Context(), maxCopyTime)
	defer cancel()
	by := "@" + source.Descriptor.Digest.String()
	res, err := replicate.Copy(ctx, b, b, from+by, &replicate.Options{To: what.To + by, Referrers: what.Referrers,
		MountFrom: []string{from}, Retries: -1})
	if err == nil && what.ToTag != "" {
		err = setTag(ctx, b, what.To, what.ToTag, source, cond)
	}
	switch {
	case err != nil && ctx.Err() != nil && q.Context().Err() == nil:
		return nil, errUnfinished.WithCause(err)
	case err != nil:
		return nil, copyError(err)
	}
	d, p := source.Descriptor, res.Progress
	return &response{status: http.StatusCreated, tagged: true, version: d.Digest, body: types.Copied{
		Repository: what.To, Tag: what.ToTag, Digest: d.Digest.String(), MediaType: d.MediaType, Size: d.Size,
		Manifests: p.ManifestsTotal, Blobs: p.BlobsTotal, Bytes: p.BytesTotal,
	}}, nil
}

// allowCopy returns an error for a caller who may not push to the destination.
func (q *request) allowCopy(what *types.Copy) error {
	if err := registry.CheckName(what.To); err != nil {
		return err
	}
	push := auth.Access{Type: auth.TypeRepository, Name: what.To, Action: auth.Push}
	pull := push
	pull.Action = auth.Pull
	accesses := []auth.Access{push, pull} // the copy looks what is there
	if what.ToTag != "" {
		if err := registry.CheckTag(what.ToTag); err != nil {
			return err
		}
		push.Tag = what.ToTag
		accesses = append(accesses, push)
	}
	return q.caller.Authorize(q.Context(), accesses...)
}

// copyError returns the error of the registry within that of a copy. The text around it is for the log.
func copyError(err error) error {
	var e *registry.Error
	if errors.As(err, &e) {
		return e.WithCause(err)
	}
	return err
}
